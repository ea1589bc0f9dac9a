"""The constants of an ML program: in the program itself, or in the weight file beside it.

The weight file is a sequence of entries. The program names the offset of a record of 64 bytes: a mark, the type of the
numbers, how many bytes they take and where they start.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfkd.quiet import native_logs_silenced
from tfkd.verification.coreml.limits import UnsupportedError

with native_logs_silenced():  # away from macOS the import logs every library that it misses
    from coremltools import proto

Constant = Any  # np.ndarray, str, or a list of str

_RECORD = struct.Struct("<IIQQ")
_MARK = 0xDEADBEEF
_PREFIX = "@model_path/"

_WHOLE = {
    "BOOL": "?",
    "FLOAT16": "<f2",
    "FLOAT32": "<f4",
    "FLOAT64": "<f8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
}
_PACKED = {
    "INT4": (4, True),
    "UINT1": (1, False),
    "UINT2": (2, False),
    "UINT3": (3, False),
    "UINT4": (4, False),
    "UINT6": (6, False),
}
# The weight file numbers its types on its own.
_STORED = {
    "FLOAT16": 1,
    "FLOAT32": 2,
    "UINT8": 3,
    "INT8": 4,
    "INT16": 6,
    "UINT16": 7,
    "INT4": 8,
    "UINT1": 9,
    "UINT2": 10,
    "UINT4": 11,
    "UINT3": 12,
    "UINT6": 13,
    "INT32": 14,
    "UINT32": 15,
}


@dataclass(frozen=True)
class Declared:
    """The type of a value: the protobuf's name of its numbers, and its shape."""

    dtype: str
    shape: list[int]

    @property
    def count(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Constants:
    """Reads constants.

    Attributes:
        content: returns the bytes of a file, given its name inside the package.
    """

    content: Callable[[str], bytes]
    _files: dict[str, bytes] = field(default_factory=dict)

    def read(self, value: Any) -> Constant:
        """Returns a `Value` of the program: an array, float16 widened to float32; a string; or a list of them.

        Raises:
            ValueError: it is damaged, or of a kind that is not known.
        """
        if value.WhichOneof("value") == "immediateValue" and value.immediateValue.WhichOneof("value") == "list":
            return [self.read(item) for item in value.immediateValue.list.values]
        kind = declared(value.type)
        if value.WhichOneof("value") == "blobFileValue":
            numbers = self._stored(value.blobFileValue, kind)
        elif value.immediateValue.tensor.WhichOneof("value") == "strings":
            (text,) = value.immediateValue.tensor.strings.values
            return text
        else:
            numbers = _immediate(value.immediateValue.tensor, kind)
        if numbers.size != kind.count:
            raise ValueError(f"it has {numbers.size} numbers for the shape {kind.shape}")
        return _widened(numbers).reshape(kind.shape)

    def _stored(self, place: Any, kind: Declared) -> np.ndarray:
        content = self._file(place.fileName)
        if place.offset + _RECORD.size > len(content):
            raise ValueError(f"its weights start behind the end of {place.fileName}")
        mark, stored, size, start = _RECORD.unpack_from(content, place.offset)
        if mark != _MARK or stored != _STORED.get(kind.dtype):
            raise ValueError(f"there are no {kind.dtype} weights at byte {place.offset} of {place.fileName}")
        if start + size > len(content):
            raise ValueError(f"its weights end behind the end of {place.fileName}")
        return _numbers(content[start : start + size], kind)

    def _file(self, name: str) -> bytes:
        if not name.startswith(_PREFIX):
            raise ValueError(f"its weights lie in {name!r}, not under {_PREFIX}")
        if name not in self._files:
            self._files[name] = self.content(name.removeprefix(_PREFIX))
        return self._files[name]


def declared(kind: Any) -> Declared:
    """Returns the type that the program declares for a value.

    Raises:
        ValueError: it is no tensor, or of a size that is not known beforehand.
    """
    if kind.WhichOneof("type") != "tensorType":
        raise UnsupportedError(f"it has the unknown type {kind.WhichOneof('type')}")
    tensor = kind.tensorType
    if any(axis.WhichOneof("dimension") != "constant" for axis in tensor.dimensions):
        raise UnsupportedError("it has a size that changes, which is not known")
    if tensor.dataType not in proto.MIL_pb2.DataType.values():
        raise ValueError(f"it has the unknown type {tensor.dataType}")
    return Declared(proto.MIL_pb2.DataType.Name(tensor.dataType), [axis.constant.size for axis in tensor.dimensions])


def unpacked(content: bytes, bits: int, count: int) -> np.ndarray:
    """Returns `count` unsigned numbers, uint8, that follow each other bit by bit, the least significant bit first.

    Raises:
        ValueError: the content is of another length.
    """
    if len(content) != (count * bits + 7) // 8:
        raise ValueError(f"it has {len(content)} bytes for {count} numbers of {bits} bits")
    bit_rows = np.unpackbits(np.frombuffer(content, np.uint8), count=count * bits, bitorder="little")
    return np.packbits(bit_rows.reshape(count, bits), axis=1, bitorder="little")[:, 0]


def _immediate(tensor: Any, kind: Declared) -> np.ndarray:
    field_name = tensor.WhichOneof("value")
    if field_name is None:
        return np.zeros(0, np.int32)
    values = getattr(tensor, field_name).values
    if field_name == "bytes":
        return _numbers(values, kind)
    return np.array(values, _whole_type(kind.dtype))


def _numbers(content: bytes, kind: Declared) -> np.ndarray:
    if kind.dtype not in _PACKED:
        whole = _whole_type(kind.dtype)
        if len(content) != kind.count * whole.itemsize:
            raise ValueError(f"it has {len(content)} bytes for {kind.count} numbers of {kind.dtype}")
        return np.frombuffer(content, whole)
    bits, signed = _PACKED[kind.dtype]
    codes = unpacked(content, bits, kind.count)
    return ((codes ^ (1 << (bits - 1))).astype(np.int8) - (1 << (bits - 1))).astype(np.int8) if signed else codes


def _whole_type(name: str) -> np.dtype[Any]:
    if name not in _WHOLE:
        raise ValueError(f"it holds numbers of the unknown type {name}")
    return np.dtype(_WHOLE[name])


def _widened(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(np.float32) if numbers.dtype.kind == "f" else numbers
