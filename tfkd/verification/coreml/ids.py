"""The ids of a text that a model takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfkd.quiet import native_logs_silenced
from tfkd.verification import VerifyError

with native_logs_silenced():  # away from macOS the import logs every library that it misses
    from coremltools import proto

_LONGEST = 1 << 16  # ids


@dataclass(frozen=True)
class Ids:
    """The ids of a text that a model takes.

    Attributes:
        name: of the input.
        length: number of ids.
    """

    name: str
    length: int

    dtype = tf.int32
    examples = "ids"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a raw example."""
        return (self.length,)

    def prepared(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns what the first operation reads for raw ids, int32 [batch, length]: the same."""
        return ids


def declared_ids(specification: Any, path: Path) -> Ids:
    """Reads what a model says about its input.

    Raises:
        VerifyError: it does not take the ids of one text.
    """
    (source,) = specification.description.input
    array = source.type.multiArrayType
    shape = list(array.shape)
    if array.dataType != proto.FeatureTypes_pb2.ArrayFeatureType.INT32 or len(shape) != 2 or shape[0] != 1:
        raise VerifyError(f"{path}: takes neither one image nor the ids of one text, int32 [1, length].")
    if not 1 <= shape[1] <= _LONGEST:
        raise VerifyError(f"{path}: takes {shape[1]:,} ids, which no text has.")
    return Ids(source.name, int(shape[1]))
