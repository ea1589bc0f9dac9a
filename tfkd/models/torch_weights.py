"""Reads the tensors of a PyTorch state dict, without torch and without unpickling anything.

A `.pth` file is a pickle program, which can run any code, so this module does not use `pickle`. Its own machine
interprets the two dozen opcodes that a state dict needs. The only calls it makes are "make an ordered dict" and "view
this storage as a tensor"; it imports nothing.

Both layouts are read: the zip archive of torch >= 1.6 (`data.pkl` and `data/KEY`), and the older stream of five
pickles (magic number, protocol, system info, state dict, storage keys) followed by the raw storages.

Time and memory are bounded by the file's size: opcodes, entries and dimensions are limited, only text and integers are
hashed or printed, and all tensors together hold at most a small multiple of the file's bytes.
"""

import io
import itertools
import math
import pickletools
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import RequestError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = {
    "torch HalfStorage": "<f2",
    "torch FloatStorage": "<f4",
    "torch DoubleStorage": "<f8",
    "torch CharStorage": "<i1",
    "torch ByteStorage": "<u1",
    "torch ShortStorage": "<i2",
    "torch IntStorage": "<i4",
    "torch LongStorage": "<i8",
    "torch BoolStorage": "?",
}
_REBUILD_TENSOR = "torch._utils _rebuild_tensor_v2"
_REBUILD_PARAMETER = "torch._utils _rebuild_parameter"
_ORDERED_DICT = "collections OrderedDict"
_GLOBALS = {_REBUILD_TENSOR, _REBUILD_PARAMETER, _ORDERED_DICT, *_DTYPES}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}

_LARGEST_FILE = 1 << 31  # bytes; about a hundred times the files of the supported networks
_MOST_OPCODES = 1_000_000  # of one pickle; a tensor needs about 30
_MOST_ENTRIES = 100_000  # of an archive
_MOST_DIMENSIONS = 64  # of a NumPy array
_LARGEST_NUMBER = (1 << 63) - 1
_MOST_SHARING = 4  # bytes of all tensors per byte of the file


class _MalformedError(Exception):
    """The bytes are not a state dict; the text says why."""


@dataclass(frozen=True)
class _Global:
    """The name of an object that the pickle imports; it is never imported here."""

    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    size: int  # elements


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Returns every tensor of a PyTorch state dict by its name, as read-only arrays.

    Args:
        path: a `.pth` or `.pt` file with a state dict in either of PyTorch's layouts.

    Raises:
        RequestError: the file is missing, cut short, or not a mapping of names to tensors of finite numbers.
    """
    try:
        content = _content(path)
        tensors, storages = _read_zip(content) if content[:2] == b"PK" else _read_stream(content)
        views = {name: _view(tensor, storages) for name, tensor in _tensors(tensors).items()}
        if sum(view.nbytes for view in views.values()) > _MOST_SHARING * len(content):
            raise _MalformedError("its tensors hold many times the bytes of the file")
        for name, view in views.items():
            if not np.isfinite(view).all():
                raise _MalformedError(f"the tensor {_named(name)} holds NaN or infinity")
        return views
    except OSError as error:
        raise RequestError(f"Cannot read the weights {path}: {error.strerror}.") from None
    except _MalformedError as error:
        raise RequestError(
            f"{path} is not a plain PyTorch state dict: {error}. Download it again, or save `model.state_dict()`."
        ) from None


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise RequestError(f"Cannot read the weights {path}: there is no such file.")
    if path.stat().st_size > _LARGEST_FILE:
        raise _MalformedError(f"it is larger than {_LARGEST_FILE / 1e9:.1f} GB")
    return path.read_bytes()


def _named(name: str) -> str:
    """Returns a name from the file, shortened and quoted, for a message."""
    return repr(name if len(name) <= 100 else f"{name[:100]}…")


def _read_stream(content: bytes) -> tuple[Any, dict[str, bytes]]:
    stream = io.BytesIO(content)
    if _run(stream) != _MAGIC or _run(stream) != _PROTOCOL:
        raise _MalformedError("it does not begin with PyTorch's magic number")
    system = _run(stream)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise _MalformedError("it was not written on a little-endian machine")
    sizes: dict[str, int] = {}
    tensors = _run(stream, sizes)
    keys = _run(stream)
    if not isinstance(keys, list):
        raise _MalformedError("its list of storages is missing")
    storages = {}
    for key in keys:
        if not isinstance(key, str) or key not in sizes:
            raise _MalformedError("it lists a storage that no tensor uses")
        count = stream.read(8)
        body = stream.read(min(sizes[key], len(content)))
        if len(count) < 8 or len(body) < sizes[key]:
            raise _MalformedError("it is cut short")
        storages[key] = body
    return tensors, storages


def _read_zip(content: bytes) -> tuple[Any, dict[str, bytes]]:
    entries = _entries(content)
    names = [name for name in entries if name.endswith("/data.pkl")]
    if len(names) != 1:
        raise _MalformedError("the archive holds no data.pkl")
    sizes: dict[str, int] = {}
    tensors = _run(io.BytesIO(entries[names[0]]), sizes)
    folder = names[0].removesuffix("data.pkl")
    if entries.get(f"{folder}byteorder", b"little") != b"little":
        raise _MalformedError("it was not written on a little-endian machine")
    return tensors, {key: entries.get(f"{folder}data/{key}", b"")[:size] for key, size in sizes.items()}


def _entries(content: bytes) -> dict[str, bytes]:
    """Reads an uncompressed archive, as PyTorch writes it; a compressed one could be a zip bomb."""
    if content.count(b"PK\x01\x02") > _MOST_ENTRIES:
        raise _MalformedError(f"the archive has more than {_MOST_ENTRIES:,} entries")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise _MalformedError("the archive is compressed")
            if sum(entry.file_size for entry in entries) > len(content):
                raise _MalformedError("the archive's entries overlap")
            if len({entry.filename for entry in entries}) < len(entries):
                raise _MalformedError("the archive has two entries of one name")
            return {entry.filename: archive.read(entry) for entry in entries}
    # A damaged archive fails in any of these ways inside zipfile.
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        ValueError,
        RuntimeError,
        EOFError,
        OSError,
        struct.error,
    ) as error:
        raise _MalformedError(f"its archive is damaged ({type(error).__name__})") from None


def _tensors(value: Any) -> dict[str, _Tensor]:
    if not isinstance(value, dict) or not value:
        raise _MalformedError("it holds no tensors by name")
    for name, tensor in value.items():
        if not isinstance(tensor, _Tensor):
            raise _MalformedError(f"the entry {_named(name)} is not a tensor")
    return value


def _view(tensor: _Tensor, storages: dict[str, bytes]) -> np.ndarray:
    """Returns a strided tensor, without copying, after checking that every element lies inside its storage."""
    storage, shape, strides = tensor.storage, tensor.shape, tensor.strides
    dtype = np.dtype(storage.dtype)
    body = storages.get(storage.key, b"")
    if len(body) != storage.size * dtype.itemsize:
        raise _MalformedError("it is cut short")
    if math.prod(max(side, 1) for side in shape) * dtype.itemsize > _LARGEST_NUMBER:
        raise _MalformedError("a tensor's shape is too large")
    if math.prod(shape) == 0:
        return np.zeros(shape, dtype)
    last = tensor.offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    if last >= storage.size or math.prod(shape) > storage.size:
        raise _MalformedError("a tensor reaches beyond its storage")
    steps = [stride * dtype.itemsize if side > 1 else 0 for side, stride in zip(shape, strides, strict=True)]
    return np.ndarray(shape, dtype, body, tensor.offset * dtype.itemsize, steps)


def _run(stream: io.BytesIO, sizes: dict[str, int] | None = None) -> Any:
    """Interprets one pickle, leaves the stream at its end, and returns the object it builds.

    Args:
        stream: at the start of the pickle.
        sizes: receives the bytes of every storage by key; if None, storages are refused.
    """
    machine = _Machine(sizes)
    try:
        for opcode, argument, _ in itertools.islice(pickletools.genops(stream), _MOST_OPCODES):
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, TypeError, KeyError, OverflowError, struct.error, RecursionError) as error:
        raise _MalformedError(f"its pickle is damaged ({type(error).__name__})") from None
    raise _MalformedError(f"its pickle has no end within {_MOST_OPCODES:,} opcodes")


class _Machine:
    """A pickle machine without imports or calls: a stack, a memo and the opcodes of a state dict."""

    def __init__(self, sizes: dict[str, int] | None) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.sizes = sizes

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in ("PROTO", "FRAME"):
            return
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            stack.append(argument)
        elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append({"EMPTY_DICT": {}, "EMPTY_LIST": [], "EMPTY_TUPLE": ()}[name])
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name == "TUPLE":
            stack.append(tuple(self.since_mark()))
        elif name in _TUPLES:
            stack.append(tuple(self.take(_TUPLES[name])))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "APPEND":
            self.extend(self.take(1))
        elif name == "APPENDS":
            self.extend(self.since_mark())
        elif name == "SETITEM":
            self.update(self.take(2))
        elif name == "SETITEMS":
            self.update(self.since_mark())
        elif name == "GLOBAL":
            stack.append(_known(argument))
        elif name == "STACK_GLOBAL":
            module, attribute = self.take(2)
            if not isinstance(module, str) or not isinstance(attribute, str):
                raise TypeError
            stack.append(_known(f"{module} {attribute}"))
        elif name == "BINPERSID":
            stack.append(self.storage(stack.pop()))
        elif name == "REDUCE":
            function, arguments = self.take(2)
            stack.append(_rebuild(function, arguments))
        elif name == "BUILD":
            self.take(1)  # the state dict's metadata, which PyTorch stores as attributes
        else:
            raise _MalformedError(f"its pickle uses {name}, which no state dict needs")

    def take(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise TypeError
        self.stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise TypeError
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):  # hashing a nested key may never end
                raise _MalformedError("it has a name that is no text")
            if key in self.stack[-1]:
                raise _MalformedError(f"it has two entries of the name {_named(key)}")
            self.stack[-1][key] = value

    def storage(self, identity: Any) -> _Storage:
        tag, kind, key, _device, size = identity[:5]  # the older layout adds a sixth entry for views
        if self.sizes is None or tag != "storage" or not isinstance(kind, _Global) or not isinstance(key, str):
            raise TypeError
        storage = _Storage(key, _DTYPES[kind.name], _count(size))
        nbytes = storage.size * np.dtype(storage.dtype).itemsize
        if self.sizes.setdefault(key, nbytes) != nbytes:
            raise ValueError
        return storage


def _known(name: str) -> _Global:
    if name not in _GLOBALS:
        requested = _named(name.replace(" ", "."))
        raise _MalformedError(f"it asks for {requested}, which no state dict needs; it may be hostile")
    return _Global(name)


def _rebuild(function: Any, arguments: Any) -> Any:
    if function == _Global(_ORDERED_DICT) and arguments == ():
        return {}
    if function == _Global(_REBUILD_TENSOR):
        storage, offset, shape, strides = arguments[:4]
        if not isinstance(storage, _Storage) or len(shape) != len(strides):
            raise TypeError
        if len(shape) > _MOST_DIMENSIONS:
            raise _MalformedError(f"a tensor has more than {_MOST_DIMENSIONS} dimensions")
        return _Tensor(storage, _count(offset), tuple(map(_count, shape)), tuple(map(_count, strides)))
    if function == _Global(_REBUILD_PARAMETER) and isinstance(arguments[0], _Tensor):
        return arguments[0]
    raise TypeError


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _LARGEST_NUMBER:
        raise TypeError
    return value
