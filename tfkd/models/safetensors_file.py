"""Reads .safetensors files: 8 bytes with the length of a JSON header, the header, and the tensors without gaps.

The format is that of github.com/huggingface/safetensors; nothing in a file can be run. The header is checked as a whole
when a file is opened. The tensors stay in the file, which is mapped into memory, until one is read.
"""

import itertools
import math
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import RequestError, nearest
from tfkd.strict_json import JsonError, parsed, quoted

_LENGTH = 8  # bytes that hold the header's length
_LARGEST_HEADER = 1 << 23  # bytes; a tensor needs about 100
_MOST_DIMENSIONS = 64  # of a NumPy array
_LARGEST_NUMBER = (1 << 63) - 1
_METADATA = "__metadata__"
_ENTRY = {"dtype", "shape", "data_offsets"}
_BFLOAT16 = "BF16"
_BOOL = "BOOL"
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    _BFLOAT16: "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U8": "<u1",
    _BOOL: "<u1",
}


class _MalformedFileError(Exception):
    """The bytes are not a .safetensors file; the text says why."""


@dataclass(frozen=True)
class _Entry:
    """A tensor as the header describes it; the offsets are bytes from the end of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class SafetensorsFile(Mapping[str, np.ndarray]):
    """The tensors of a .safetensors file by name, as read-only arrays.

    An array is a view of the file; that of a BF16 tensor is a float32 copy.

    Args:
        path: of the file.

    Raises:
        RequestError: there is no such file, or it is not a whole .safetensors file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._content = _mapped(path)
            header, self._start = _header(self._content)
            self._entries = {entry.name: entry for entry in _entries(header, len(self._content) - self._start)}
        except OSError as error:
            raise RequestError(f"The weights {path} cannot be read: {error.strerror}.") from None
        except _MalformedFileError as error:
            raise RequestError(f"{path} is not a .safetensors file: {error}. Download or save it again.") from None

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a tensor without reading it; errors as of reading it."""
        return self._entry(name).shape

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns a tensor.

        Raises:
            RequestError: there is none of that name, or it holds NaN, infinity or a bool other than 0 and 1.
        """
        entry = self._entry(name)
        count = math.prod(entry.shape)
        values = np.frombuffer(self._content, _DTYPES[entry.dtype], count, self._start + entry.begin)
        if entry.dtype == _BFLOAT16:  # the upper half of a float32
            values = (values.astype(np.uint32) << 16).view(np.float32)
        if entry.dtype == _BOOL:
            if values.max(initial=0) > 1:
                raise RequestError(f"{self.path}: the tensor {quoted(name)} holds bools other than 0 and 1.")
            values = values.view(np.bool_)
        if not np.isfinite(values).all():
            raise RequestError(f"{self.path}: the tensor {quoted(name)} holds NaN or infinity; its training failed.")
        return values.reshape(entry.shape)

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise RequestError(f"{self.path} has no tensor {name!r}.{nearest(name, list(self._entries))}")
        return self._entries[name]


def _mapped(path: Path) -> Any:
    """Returns the bytes of a file, or a map of them."""
    if not path.is_file():  # a pipe or a device would never end
        raise RequestError(f"There is no weights file {path}.")
    with path.open("rb") as stream:
        if path.stat().st_size < _LENGTH:
            raise _MalformedFileError("it is cut short")
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _header(content: Any) -> tuple[dict[str, Any], int]:
    """Returns the header, and the position of the byte behind it."""
    length = int.from_bytes(content[:_LENGTH], "little")
    if length > _LARGEST_HEADER:
        raise _MalformedFileError(f"its header would be larger than {_LARGEST_HEADER >> 20} MiB")
    start = _LENGTH + length
    if start > len(content):
        raise _MalformedFileError("it is cut short within its header")
    try:
        header = parsed(content[_LENGTH:start])
    except JsonError as error:
        raise _MalformedFileError(f"its header {error}") from None
    if not isinstance(header, dict):
        raise _MalformedFileError("its header is not a JSON object")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _MalformedFileError(f"its {_METADATA} are not texts by name")
    return header, start


def _entries(header: dict[str, Any], size: int) -> list[_Entry]:
    """Returns all tensors, which fill `size` bytes one after the other."""
    if not header:
        raise _MalformedFileError("it holds no tensors")
    entries = sorted((_entry(name, value) for name, value in header.items()), key=lambda each: (each.begin, each.end))
    if entries[0].begin != 0:
        raise _MalformedFileError(f"bytes before the tensor {quoted(entries[0].name)} belong to none")
    for entry, following in itertools.pairwise(entries):
        if following.begin < entry.end:
            raise _MalformedFileError(f"the tensors {quoted(entry.name)} and {quoted(following.name)} overlap")
        if following.begin > entry.end:
            raise _MalformedFileError(f"bytes before the tensor {quoted(following.name)} belong to none")
    last = entries[-1]
    if last.end > size:
        raise _MalformedFileError(f"the tensor {quoted(last.name)} ends behind the file, which may be cut short")
    if last.end < size:
        raise _MalformedFileError(f"bytes behind its last tensor, {quoted(last.name)}, belong to none")
    return entries


def _entry(name: str, value: Any) -> _Entry:
    where = f"the tensor {quoted(name)}"
    if not isinstance(value, dict) or value.keys() != _ENTRY:
        raise _MalformedFileError(f"{where} needs a dtype, a shape and data_offsets, and nothing else")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _MalformedFileError(f"{where} has the dtype {quoted(dtype)}, which is none of {', '.join(_DTYPES)}")
    if not _are_counts(shape) or len(shape) > _MOST_DIMENSIONS:
        raise _MalformedFileError(f"{where} has the shape {quoted(shape)}, not up to {_MOST_DIMENSIONS} sizes")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise _MalformedFileError(f"{where} has the offsets {quoted(offsets)}, not those of its first byte and its end")
    needed = math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize
    if math.prod(max(side, 1) for side in shape) > _LARGEST_NUMBER >> 3 or needed != offsets[1] - offsets[0]:
        raise _MalformedFileError(f"{where} has the shape {quoted(shape)} as {dtype}, which its bytes do not fit")
    return _Entry(name, dtype, tuple(shape), offsets[0], offsets[1])


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(each) is int and 0 <= each <= _LARGEST_NUMBER for each in values)
