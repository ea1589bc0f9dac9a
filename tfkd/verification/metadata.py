"""Reads the TFLite Metadata of a model file as its consumers do, by the slots of the published schema.

Schema M001, metadata_schema.fbs of tflite-support 1.1.0. Nothing in it is trusted: a damaged table is a problem to
tell, not an error.
"""

import math
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from flatbuffers.number_types import Float32Flags, Int8Flags, Uint32Flags
from flatbuffers.table import Table

from tfkd.inputs import kind_of
from tfkd.inputs.image.normalization import ImageNormalization
from tfkd.inputs.kind import listed
from tfkd.inputs.table.tensors import COLUMNS
from tfkd.inputs.text.vocabulary import VOCABULARY
from tfkd.labels import LABELS, THRESHOLDS
from tfkd.signature import Signature
from tfkd.writers import Card
from tfkd.writers.bert_inputs import BERT_INPUTS

_BUFFER_NAME = b"TFLITE_METADATA"
_IDENTIFIER = b"M001"

# ModelMetadata
_TEXTS = {"name": 0, "description": 1, "version": 2, "author": 4, "license": 5}
_SUBGRAPHS, _PARSER = 3, 7
_INPUTS, _OUTPUTS, _PROCESS_UNITS = 2, 3, 5  # of SubGraphMetadata
_CONTENT, _UNITS, _FILES = 3, 4, 6  # of TensorMetadata
_MOST_ENTRIES = 64  # of a vector that is read here; a damaged length may claim any number
_IMAGE, _NORMALIZATION, _SCORE_THRESHOLDING, _BERT_TOKENIZER = 2, 1, 3, 4  # values of unions
_DESCRIPTIONS, _AXIS_LABELS, _VOCABULARY = 1, 2, 5  # kinds of files
_COLOURS = ("unknown", "RGB", "GRAYSCALE")


def problems(model: Any, card: Card, signature: Signature) -> list[str]:
    """Returns what is wrong in the metadata of a classifier; nothing where it is as a consumer needs it.

    Args:
        model: a ModelT of TFLite's schema.
        card: the expected content.
        signature: what the classifier must take.
    """
    content = _content(model)
    if content is None or content[4:8] != _IDENTIFIER:
        return ["it holds no TFLite Metadata"]
    try:
        return list(_problems(_Reader(bytearray(content), int.from_bytes(content[:4], "little")), card, signature))
    except (struct.error, ValueError, IndexError, TypeError, OverflowError, MemoryError):
        return ["its TFLite Metadata is damaged"]


def normalization(model: Any) -> ImageNormalization | None:
    """Returns what a file's metadata want done to raw values (NormalizationOptions); None where they do not say it.

    Args:
        model: a ModelT of TFLite's schema, with one input.
    """
    content = _content(model)
    if content is None or content[4:8] != _IDENTIFIER:
        return None
    try:
        metadata = _Reader(bytearray(content), int.from_bytes(content[:4], "little"))
        units = metadata.only(_SUBGRAPHS).only(_INPUTS).each(_UNITS)
        options = [unit.child(1) for unit in units if unit.number(0, Int8Flags) == _NORMALIZATION]
        means, deviations = (tuple(options[0].each_float(slot)) for slot in (0, 1))
    except (struct.error, ValueError, IndexError, TypeError, OverflowError, MemoryError):
        return None
    fits = len(means) == len(deviations) in (1, 3) and all(map(math.isfinite, means)) and min(deviations) > 0
    return ImageNormalization(means, deviations) if fits else None


def _content(model: Any) -> bytes | None:
    for entry in model.metadata or []:
        if entry.name == _BUFFER_NAME and entry.buffer < len(model.buffers):
            data = model.buffers[entry.buffer].data
            return None if data is None else np.asarray(data, np.uint8).tobytes()
    return None


def _problems(metadata: "_Reader", card: Card, signature: Signature) -> Iterator[str]:
    for field, slot in _TEXTS.items():
        if metadata.text(slot) != getattr(card, field):
            yield f"its metadata give the {field} {metadata.text(slot)!r}, not {getattr(card, field)!r}"
    if metadata.text(_PARSER) is None:
        yield "its metadata do not say which parser they need"
    subgraph = metadata.only(_SUBGRAPHS)
    yield from _WRONG_INPUTS[signature.kind](subgraph, signature)
    output = subgraph.only(_OUTPUTS)
    yield from _wrong_score_threshold(output, card)
    labels, *others = output.each(_FILES)
    if (labels.text(0), labels.number(2, Int8Flags)) != (LABELS, _AXIS_LABELS):
        yield f"its metadata do not name {LABELS} as the labels of its output"
    if [file.text(0) for file in others] != ([THRESHOLDS] if card.thresholds else []):
        yield f"its metadata {'do not name' if card.thresholds else 'name more than'} the files of its output"


def _wrong_score_threshold(output: "_Reader", card: Card) -> Iterator[str]:
    """Yields what makes consumers withhold other labels than the bundle says, or change their probabilities."""
    units = output.each(_UNITS) if output.has(_UNITS) else []
    kinds = [unit.number(0, Int8Flags) for unit in units]
    found = [unit.child(1).real(0) for unit in units if unit.number(0, Int8Flags) == _SCORE_THRESHOLDING]
    expected = [] if card.score_threshold is None else [float(np.float32(card.score_threshold))]
    if found != expected or len(kinds) != len(found):
        yield f"its metadata give the score thresholds {_listed(found)}, not {_listed(expected)}"


def _listed(numbers: list[float]) -> str:
    """Returns numbers in words."""
    return ", ".join(f"{number:.8g}" for number in numbers) or "none"


def _wrong_image(subgraph: "_Reader", signature: Signature) -> Iterator[str]:
    tensor, expected = subgraph.only(_INPUTS), kind_of(signature.kind).describe(signature).properties
    content, unit = tensor.child(_CONTENT), tensor.only(_UNITS)
    found = _image_properties(content.child(1)) if content.number(0, Int8Flags) == _IMAGE else {}
    if found != expected:
        yield f"its metadata give its input {listed(found) or 'no properties'}, not {listed(expected)}"
    normalization = unit.child(1)
    if unit.number(0, Int8Flags) != _NORMALIZATION or (normalization.floats(0), normalization.floats(1)) != ([0], [1]):
        yield "its metadata make an app normalise its input, which the model does itself"


def _image_properties(properties: "_Reader") -> dict[str, Any]:
    width, height = (properties.child(1).number(slot, Uint32Flags) for slot in (0, 1))
    return {"colours": _COLOURS[properties.number(0, Int8Flags)], "height": height, "width": width}


def _wrong_text(subgraph: "_Reader", signature: Signature) -> Iterator[str]:
    names = tuple(tensor.text(0) for tensor in subgraph.each(_INPUTS))
    if names != BERT_INPUTS:
        yield f"its metadata name its inputs {names}, not {BERT_INPUTS}"
    tokenizer = subgraph.only(_PROCESS_UNITS)
    if tokenizer.number(0, Int8Flags) != _BERT_TOKENIZER:
        yield "its metadata do not give MediaPipe's BertTokenizer as what splits a text"
        return
    file = tokenizer.child(1).only(0)
    if (file.text(0), file.number(2, Int8Flags)) != (VOCABULARY, _VOCABULARY):
        yield f"its metadata do not name {VOCABULARY} as the vocabulary of its tokenizer"


def _wrong_row(subgraph: "_Reader", signature: Signature) -> Iterator[str]:
    tensor = subgraph.only(_INPUTS)
    if tensor.text(0) != signature.single.name:
        yield f"its metadata name its input {tensor.text(0)!r}, not {signature.single.name!r}"
    file = tensor.only(_FILES)
    if (file.text(0), file.number(2, Int8Flags)) != (COLUMNS, _DESCRIPTIONS):
        yield f"its metadata do not name {COLUMNS} as the columns of its row"


_WRONG_INPUTS: Mapping[str, Callable[["_Reader", Signature], Iterator[str]]] = {
    "image": _wrong_image,
    "text": _wrong_text,
    "table": _wrong_row,
}
"""By kind of input: what is wrong about a file's inputs."""


class _Reader:
    """A table whose fields are read by slot; raises a ValueError if a required one is missing."""

    def __init__(self, content: bytearray, position: int) -> None:
        self._table = Table(content, position)

    def text(self, slot: int) -> str | None:
        place = self._table.Offset(4 + 2 * slot)
        return self._table.String(self._table.Pos + place).decode() if place else None

    def number(self, slot: int, flags: Any) -> int:
        place = self._table.Offset(4 + 2 * slot)
        return int(self._table.Get(flags, self._table.Pos + place)) if place else 0

    def has(self, slot: int) -> bool:
        return bool(self._table.Offset(4 + 2 * slot))

    def real(self, slot: int) -> float:
        place = self._table.Offset(4 + 2 * slot)
        return float(self._table.Get(Float32Flags, self._table.Pos + place)) if place else 0.0

    def child(self, slot: int) -> "_Reader":
        return self._at(self._table.Indirect(self._table.Pos + self._needed(slot)))

    def only(self, slot: int) -> "_Reader":
        """Returns the one table of a vector."""
        return self._at(self._table.Indirect(self._vector(slot)))

    def each(self, slot: int) -> list["_Reader"]:
        """Returns the tables of a vector."""
        return [self._at(self._table.Indirect(place)) for place in self._places(slot)]

    def floats(self, slot: int) -> list[float]:
        """Returns the one number of a vector."""
        return [float(self._table.Get(Float32Flags, self._vector(slot)))]

    def each_float(self, slot: int) -> list[float]:
        """Returns the numbers of a vector."""
        return [float(self._table.Get(Float32Flags, place)) for place in self._places(slot)]

    def _places(self, slot: int) -> list[int]:
        """Returns where the entries of a vector begin; each takes four bytes, a table's offset and a float alike."""
        entries = self._table.VectorLen(self._needed(slot))
        if entries > _MOST_ENTRIES:
            raise ValueError("there are too many entries")
        return [int(self._table.Vector(self._needed(slot))) + 4 * number for number in range(entries)]

    def _vector(self, slot: int) -> int:
        if self._table.VectorLen(self._needed(slot)) != 1:
            raise ValueError("there is not one entry")
        return int(self._table.Vector(self._needed(slot)))

    def _needed(self, slot: int) -> int:
        place = int(self._table.Offset(4 + 2 * slot))
        if not place:
            raise ValueError("a field is missing")
        return place

    def _at(self, position: int) -> "_Reader":
        return _Reader(self._table.Bytes, position)
