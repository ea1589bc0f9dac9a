"""The reader of .pth files takes real state dicts of both layouts, and nothing else."""

import builtins
import collections
import io
import os
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tfkd.errors import RequestError
from tfkd.models.torch_weights import read_state_dict

TENSORS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn.bias": np.array([1.5, -2.0], np.float32),
    "bn.num_batches_tracked": np.array(7, np.int64),
}
STORAGES = {np.dtype(np.float32): "FloatStorage", np.dtype(np.int64): "LongStorage"}


class Storage:
    def __init__(self, array: np.ndarray, key: str) -> None:
        self.array, self.key = array, key


class Tensor:
    def __init__(self, storage: Storage, *view: object) -> None:
        self.storage, self.view = storage, view

    def __reduce__(self):
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (self.storage, *self.view, False, collections.OrderedDict())


class Parameter:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_parameter, (self.tensor, True, collections.OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, item: object):
        if isinstance(item, Storage):
            kind = getattr(sys.modules["torch"], STORAGES[item.array.dtype])
            return ("storage", kind, item.key, "cpu", item.array.size, *self.tail)
        return None


@pytest.fixture(autouse=True)
def torch_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules with torch's names, because a pickler only writes names that it can import."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
        function = types.FunctionType((lambda: None).__code__, {}, name)
        function.__module__, function.__qualname__ = "torch._utils", name
        setattr(utils, name, function)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def pickled(value: object, tail: tuple = ()) -> bytes:
    stream = io.BytesIO()
    pickler = Pickler(stream, protocol=2)
    pickler.tail = tail
    pickler.dump(value)
    return stream.getvalue()


def state_dict(tensors: dict[str, np.ndarray]) -> tuple[collections.OrderedDict, list[Storage]]:
    values, storages = collections.OrderedDict(), []
    for key, (name, array) in enumerate(tensors.items()):
        storage = Storage(array, str(key))
        storages.append(storage)
        strides = tuple(stride // array.itemsize for stride in array.strides)
        values[name] = Tensor(storage, 0, array.shape, strides)
    values._metadata = collections.OrderedDict(version=1)
    return values, storages


def stream_file(program: bytes, storages: list[Storage]) -> bytes:
    """The layout before torch 1.6."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = [pickled(0x1950A86A20F9469CFC6C), pickled(1001), pickled(system), program]
    parts.append(pickled([storage.key for storage in storages]))
    parts += [struct.pack("<q", storage.array.size) + storage.array.tobytes() for storage in storages]
    return b"".join(parts)


def zip_file(program: bytes, storages: list[Storage]) -> bytes:
    """The layout since torch 1.6."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("model/data.pkl", program)
        for storage in storages:
            archive.writestr(f"model/data/{storage.key}", storage.array.tobytes())
    return stream.getvalue()


def valid(layout: str, tensors: dict[str, np.ndarray] = TENSORS) -> bytes:
    values, storages = state_dict(tensors)
    if layout == "zip":
        return zip_file(pickled(values), storages)
    return stream_file(pickled(values, tail=(None,)), storages)


def read(tmp_path: Path, content: bytes) -> dict[str, np.ndarray]:
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    return read_state_dict(path)


@pytest.mark.parametrize("layout", ["stream", "zip"])
def test_reads_every_tensor(tmp_path: Path, layout: str) -> None:
    tensors = read(tmp_path, valid(layout))
    assert list(tensors) == list(TENSORS)
    for name, expected in TENSORS.items():
        assert tensors[name].dtype == expected.dtype
        np.testing.assert_array_equal(tensors[name], expected)


def test_reads_the_parameters_of_a_whole_module(tmp_path: Path) -> None:
    values, storages = state_dict({"w": TENSORS["bn.bias"]})
    program = pickled({"w": Parameter(values["w"])})
    np.testing.assert_array_equal(read(tmp_path, zip_file(program, storages))["w"], TENSORS["bn.bias"])


def test_reads_a_tensor_without_elements(tmp_path: Path) -> None:
    empty = read(tmp_path, valid("zip", {"t": np.zeros((0, 3), np.float32)}))["t"]
    assert empty.shape == (0, 3) and empty.dtype == np.float32


def test_reads_a_transposed_view(tmp_path: Path) -> None:
    base = np.arange(6, dtype=np.float32)
    storage = Storage(base, "0")
    program = pickled({"t": Tensor(storage, 0, (3, 2), (1, 3))})
    np.testing.assert_array_equal(read(tmp_path, zip_file(program, [storage]))["t"], base.reshape(2, 3).T)


@pytest.mark.parametrize(
    "view", [(0, (7,), (1,)), (5, (2,), (1,)), (0, (2, 2), (5, 1)), (0, (10**6, 10**6), (0, 0)), (-1, (2,), (1,)),
             (0, (2,), (-1,)), (0, (-2,), (1,)), (0, (2, 2), (1,)), (0, ("a",), (1,)), (0, None, None)],
)  # fmt: skip
def test_view_outside_its_storage_is_refused(tmp_path: Path, view: tuple) -> None:
    storage = Storage(np.arange(6, dtype=np.float32), "0")
    with pytest.raises(RequestError, match="not a plain PyTorch state dict"):
        read(tmp_path, zip_file(pickled({"t": Tensor(storage, *view)}), [storage]))


class Call:
    """Pickles as a call, like an attack."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


HOSTILE = {
    "os.system": lambda mark: Call(os.system, f"touch {mark}"),
    "builtins.eval": lambda mark: Call(eval, f"open({str(mark)!r}, 'w')"),
    "builtins.exec": lambda mark: Call(exec, f"open({str(mark)!r}, 'w')"),
    "builtins.open": lambda mark: Call(open, str(mark), "w"),
    "builtins.getattr": lambda mark: Call(builtins.getattr, {}, "get"),
    "collections.namedtuple": lambda mark: Call(collections.namedtuple, "x", "y"),
}


@pytest.mark.parametrize("layout", ["stream", "zip"])
@pytest.mark.parametrize("attack", HOSTILE)
@pytest.mark.parametrize("place", ["whole", "entry", "name"])
def test_hostile_pickle_is_refused_and_never_run(tmp_path: Path, layout: str, attack: str, place: str) -> None:
    mark = tmp_path / "ran"
    call = HOSTILE[attack](mark)
    values, storages = state_dict(TENSORS)
    value = {"whole": call, "entry": {**values, "x": call}, "name": {**values, call: 1}}[place]
    program = pickled(value, tail=(None,) if layout == "stream" else ())
    content = zip_file(program, storages) if layout == "zip" else stream_file(program, storages)
    with pytest.raises(RequestError, match="may be hostile"):
        read(tmp_path, content)
    assert not mark.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x02(S'true'\nios\nsystem\n.",
        b"\x80\x02(cos\nsystem\nS'true'\no.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        b"\x80\x02ccollections\nOrderedDict\n)\x81}b.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02ccollections\nOrderedDict\n(NtR.",
        b"\x80\x02r\xff\xff\xff\x7f.",
        b"\x80\x02h\x05.",
        b"\x80\x02t.",
        b"\x80\x02Nu.",
        b"\x80\x02]q\x00h\x00a.",
        b"\x80\x02X\xff\xff\xff\x7f.",
        b"\x80\x02NQ.",
        b".",
        b"",
    ],
)
def test_invalid_programs_are_refused(tmp_path: Path, program: bytes) -> None:
    for content in (zip_file(program, []), stream_file(program, []), program):
        with pytest.raises(RequestError, match="not a plain PyTorch state dict"):
            read(tmp_path, content)


@pytest.mark.parametrize("layout", ["stream", "zip"])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, layout: str) -> None:
    content = valid(layout)
    for length in range(0, len(content) - 1, 7):
        with pytest.raises(RequestError):
            read(tmp_path, content[:length])


@pytest.mark.parametrize("layout", ["stream", "zip"])
def test_a_file_with_flipped_bytes_never_escapes(tmp_path: Path, layout: str) -> None:
    """Damage within a tensor's numbers may be unnoticed, but the result is always tensors or one clear line."""
    rng = np.random.default_rng(11)
    content = valid(layout)
    for _ in range(400):
        damaged = bytearray(content)
        for position in rng.integers(0, len(content), 3):
            damaged[position] = rng.integers(0, 256)
        try:
            tensors = read(tmp_path, bytes(damaged))
        except RequestError as error:
            assert "\n" not in str(error)
        else:
            assert all(isinstance(tensor, np.ndarray) for tensor in tensors.values())


def grown(seed: bytes, doubling: bytes) -> bytes:
    """Opcodes of a value that doubles in each of a thousand steps."""
    return seed + b"q\x02" + 1000 * (doubling + b"q\x02")


BOMBS = {
    "hash of tuples": (b"}" + grown(b")", b"h\x02\x86") + b"Ns.", "name that is no text"),
    "names of a number": (b"}K\x01Ns.", "name that is no text"),
    "tuples printed": (b"}X\x01\0\0\0a" + grown(b")", b"h\x02\x86") + b"s.", "the entry 'a' is not a tensor"),
    "tuples imported": (grown(b")", b"h\x02\x86") + b"X\x01\0\0\0a\x93.", "TypeError"),
    "list of itself": (b"}X\x01\0\0\0a]q\0(h\0h\0es.", "the entry 'a' is not a tensor"),
    "dict of itself": (b"}q\0X\x01\0\0\0ah\0s.", "the entry 'a' is not a tensor"),
    "two of one name": (b"}(X\x01\0\0\0aNX\x01\0\0\0aNu.", "two entries of the name 'a'"),
    "a long name": (b"}X\0\x10\0\0" + b"a" * 4096 + b"Ns.", "the entry 'aaa.*…' is not"),
    "many opcodes": (b"N" * 1_000_001 + b".", "no end within 1,000,000 opcodes"),
    "long integers": (b"\x8b\0\x10\0\0" + b"\x7f" * 4096 + b".", "LONG4"),
    "text that is none": (b"S'\xff'\n.", "damaged"),
    "digits": (b"I" + b"9" * 5000 + b"\n.", "damaged"),
}


@pytest.mark.parametrize("layout", ["stream", "zip"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_values_that_grow_exponentially_are_refused(tmp_path: Path, bomb: str, layout: str) -> None:
    program, message = BOMBS[bomb]
    with pytest.raises(RequestError, match=message) as caught:
        read(tmp_path, zip_file(b"\x80\x02" + program, []) if layout == "zip" else stream_file(program, []))
    assert len(str(caught.value)) < 500


def test_storages_that_are_no_text_are_not_printed(tmp_path: Path) -> None:
    content = stream_file(pickled({}), [])
    keys = b"]" + grown(b")", b"h\x02\x86") + b"a."
    with pytest.raises(RequestError, match="lists a storage that no tensor uses"):
        read(tmp_path, content.removesuffix(pickled([])) + keys)


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ((0, (1,) * 65, (1,) * 65), "more than 64 dimensions"),
        ((0, (0, 2**62), (1, 1)), "shape is too large"),
        ((0, (2**62, 4), (0, 0)), "shape is too large"),
        ((0, (2**40,), (0,)), "beyond its storage"),
        ((2**63, (1,), (1,)), "damaged"),
        ((True, (1,), (1,)), "damaged"),
    ],
)
def test_shapes_that_no_array_can_have_are_refused(tmp_path: Path, view: tuple, message: str) -> None:
    storage = Storage(np.arange(6, dtype=np.float32), "0")
    with pytest.raises(RequestError, match=message):
        read(tmp_path, zip_file(pickled({"t": Tensor(storage, *view)}), [storage]))


def test_the_stride_of_a_single_element_does_not_matter(tmp_path: Path) -> None:
    storage = Storage(np.arange(6, dtype=np.float32), "0")
    tensors = read(tmp_path, zip_file(pickled({"t": Tensor(storage, 2, (1, 3), (2**62, 1))}), [storage]))
    np.testing.assert_array_equal(tensors["t"], [[2, 3, 4]])


@pytest.mark.parametrize("size", [2**40, 2**62])
@pytest.mark.parametrize("layout", ["stream", "zip"])
def test_a_storage_larger_than_the_file_is_refused(tmp_path: Path, layout: str, size: int) -> None:
    class Declared:
        dtype, size = np.dtype(np.float32), None

    values, (storage,) = state_dict({"t": TENSORS["bn.bias"]})
    content = valid(layout, {"t": TENSORS["bn.bias"]})
    storage.array = Declared()
    storage.array.size = size
    tail = (None,) if layout == "stream" else ()
    good, changed = pickled(state_dict({"t": TENSORS["bn.bias"]})[0], tail), pickled(values, tail)
    if layout == "zip":
        content = zip_file(changed, [Storage(TENSORS["bn.bias"], "0")])
    with pytest.raises(RequestError, match="cut short"):
        read(tmp_path, content.replace(good, changed))


def test_weights_may_be_shared_but_not_multiplied(tmp_path: Path) -> None:
    storage = Storage(np.ones(1000, np.float32), "0")
    for count, message in ((3, None), (100, "many times the bytes of the file")):
        values = {f"t{number}": Tensor(storage, 0, (1000,), (1,)) for number in range(count)}
        content = zip_file(pickled(values), [storage])
        if message is None:
            assert len(read(tmp_path, content)) == count
        else:
            with pytest.raises(RequestError, match=message):
                read(tmp_path, content)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(RequestError, match="the tensor 't' holds NaN or infinity"):
        read(tmp_path, valid("zip", {"t": np.array([1, value], np.float32)}))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("model/data/0", b"")], "two entries of one name"),
        ([("other/data.pkl", b"")], "no data.pkl"),
        ([("model/byteorder", b"big")], "little-endian"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_odd_archives_are_refused(tmp_path: Path, entries: list[tuple[str, bytes]], message: str) -> None:
    stream = io.BytesIO(valid("zip"))
    with zipfile.ZipFile(stream, "a") as archive:
        for name, body in entries:
            archive.writestr(name, body)
    with pytest.raises(RequestError, match=message):
        read(tmp_path, stream.getvalue())


@pytest.mark.parametrize("name", ["absent.pth", "pipe", ".", "a\0b"])
def test_a_path_that_is_not_a_file_gets_one_line(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RequestError, match=r"Cannot read the weights .* no such file"):
        read_state_dict(tmp_path / name)


def test_a_file_larger_than_any_network_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "sparse.pth").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RequestError, match=r"larger than 2\.1 GB"):
        read_state_dict(tmp_path / "sparse.pth")


def test_compressed_archive_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", b"\0" * 10**6)
    with pytest.raises(RequestError, match="compressed"):
        read(tmp_path, stream.getvalue())
