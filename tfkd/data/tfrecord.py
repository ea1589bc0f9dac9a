"""TFRecord files with random access: how tensorflow-datasets has stored its data sets for most of its life.

A record is a length (uint64, little-endian), its CRC, the data and its CRC, so one walk over the lengths finds all.
"""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_LENGTH = struct.Struct("<Q")
_HEAD, _TAIL = 12, 4


@dataclass(frozen=True, eq=False)
class Records:
    """The records of some TFRecord files, by number; thread-safe.

    Attributes:
        files: in the order of the records.
        places: int64 [n, 3], file, offset and length of the data of every record.
        parse: turns the data of a record into its value.
    """

    files: list[Path]
    places: np.ndarray
    parse: Callable[[bytes], Any]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number: int) -> Any:
        file, offset, length = self.places[number].tolist()
        with self.files[file].open("rb", buffering=0) as stream:
            return self.parse(os.pread(stream.fileno(), length, offset))


def open_records(files: list[Path], parse: Callable[[bytes], Any]) -> Records:
    """Finds the records of TFRecord files, reading nothing but their lengths.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file ends within a record.
    """
    places = [(k, *place) for k, file in enumerate(files) for place in _walk(file)]
    return Records(files, np.array(places, np.int64).reshape(-1, 3), parse)


def _walk(file: Path) -> list[tuple[int, int]]:
    places = []
    with file.open("rb", buffering=0) as stream:
        end = os.fstat(stream.fileno()).st_size
        offset = 0
        while offset < end:
            head = os.pread(stream.fileno(), _LENGTH.size, offset)
            length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else end
            places.append((offset + _HEAD, length))
            offset += _HEAD + length + _TAIL
    if offset != end:
        raise ValueError(f"{file} ends within a record")
    return places
