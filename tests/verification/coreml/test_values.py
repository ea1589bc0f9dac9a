import struct

import numpy as np
import pytest
from coremltools import proto
from coremltools.libmilstoragepython import _BlobStorageWriter as BlobWriter
from hypothesis import given
from hypothesis import strategies as st

from tests.verification.coreml.graphs import few, seeds, values
from tfkd.verification.coreml.values import Constants, declared

MIL = proto.MIL_pb2
NAME = "@model_path/weights/weight.bin"


def tensor(dtype: str, *shape: int) -> MIL.Value:
    value = MIL.Value()
    kind = value.type.tensorType
    kind.dataType, kind.rank = MIL.DataType.Value(dtype), len(shape)
    for size in shape:
        kind.dimensions.add().constant.size = size
    return value


def stored(dtype: str, *shape: int, offset: int = 64, name: str = NAME) -> MIL.Value:
    value = tensor(dtype, *shape)
    value.blobFileValue.fileName, value.blobFileValue.offset = name, offset
    return value


def entry(kind: int, content: bytes, *, mark: int = 0xDEADBEEF, size: int | None = None, start: int = 128) -> bytes:
    """A weight file of one entry, behind a header that nobody needs."""
    record = struct.pack("<IIQQ", mark, kind, len(content) if size is None else size, start)
    return bytes(64) + record.ljust(64, b"\0") + content


def test_numbers_in_the_program() -> None:
    value = tensor("INT32", 2, 2)
    value.immediateValue.tensor.ints.values.extend([1, 2, 3, 4])
    np.testing.assert_array_equal(Constants(str.encode).read(value), [[1, 2], [3, 4]])
    value = tensor("FLOAT16", 2)
    value.immediateValue.tensor.bytes.values = np.array([1.5, -2], "<f2").tobytes()
    read = Constants(str.encode).read(value)
    assert (read.tolist(), read.dtype) == ([1.5, -2], np.float32)
    value = tensor("STRING")
    value.immediateValue.tensor.strings.values.append("valid")
    assert Constants(str.encode).read(value) == "valid"


@pytest.mark.parametrize(
    ("dtype", "write"),
    [
        ("FLOAT32", "float"),
        ("UINT8", "uint8"),
        ("INT8", "int8"),
        ("INT16", "int16"),
        ("UINT16", "uint16"),
        ("INT32", "int32"),
        ("UINT32", "uint32"),
        ("UINT1", "uint1"),
        ("UINT2", "uint2"),
        ("UINT3", "uint3"),
        ("UINT4", "uint4"),
        ("UINT6", "uint6"),
        ("INT4", "int4"),
    ],
)
@few
@given(seeds)
def test_reads_what_coremltools_writes(dtype: str, write: str, tmp_path_factory: object, seed: int) -> None:
    path = tmp_path_factory.mktemp("blob") / "weight.bin"
    bits = int("".join(filter(str.isdigit, dtype)))
    low = 0 if dtype.startswith("UINT") else -(1 << (min(bits, 30) - 1))
    numbers = np.random.default_rng(seed).integers(low, low + (1 << min(bits, 30)), (3, 7))
    kind = {"FLOAT32": np.float32}.get(dtype) or getattr(np, f"{'u' * dtype.startswith('U')}int{max(bits, 8)}")
    writer = BlobWriter(str(path))
    getattr(writer, f"write_{write}_data")(np.zeros(5, kind))
    offset = getattr(writer, f"write_{write}_data")(numbers.astype(kind).reshape(-1))
    del writer
    read = Constants(lambda name: path.read_bytes()).read(stored(dtype, 3, 7, offset=offset))
    np.testing.assert_array_equal(read, numbers.astype(kind))


def test_reads_half_floats() -> None:
    numbers = values((2, 3)).astype("<f2")
    read = Constants(lambda name: entry(1, numbers.tobytes())).read(stored("FLOAT16", 2, 3))
    np.testing.assert_array_equal(read, numbers.astype(np.float32))
    assert read.dtype == np.float32


@pytest.mark.parametrize(
    ("content", "value", "message"),
    [
        (entry(2, bytes(24)), stored("FLOAT32", 2, 3, offset=150), "start behind the end"),
        (entry(2, bytes(24)), stored("FLOAT32", 2, 3, offset=2**63), "start behind the end"),
        (entry(2, bytes(24), mark=7), stored("FLOAT32", 2, 3), "no FLOAT32 weights at byte 64"),
        (entry(1, bytes(24)), stored("FLOAT32", 2, 3), "no FLOAT32 weights at byte 64"),
        (entry(2, bytes(24), size=25), stored("FLOAT32", 2, 3), "end behind the end"),
        (entry(2, bytes(24), start=2**64 - 8), stored("FLOAT32", 2, 3), "end behind the end"),
        (entry(2, bytes(24)), stored("FLOAT32", 2, 2), "24 bytes for 4 numbers"),
        (entry(2, bytes(24)), stored("FLOAT32", 2**40, 2**40), "24 bytes for"),
        (entry(9, bytes(1)), stored("UINT1", 3, 3), "1 bytes for 9 numbers of 1 bits"),
        (entry(2, bytes(24)), stored("FLOAT32", 2, 3, name="/etc/passwd"), "not under @model_path/"),
        (b"", stored("FLOAT32", 2, 3), "start behind the end"),
        (b"", tensor("FLOAT32", 2, 3), "0 numbers for the shape"),
        (b"", MIL.Value(), "unknown type None"),
    ],
)
def test_damaged(content: bytes, value: MIL.Value, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Constants(lambda name: content).read(value)


@few
@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_any_weight_file_is_read_or_refused(content: bytes, offset: int) -> None:
    for place in (offset, offset % 200):
        with pytest.raises(ValueError, match="weights"):
            Constants(lambda name: content).read(stored("INT8", 3, offset=place))


def test_unknown_sizes_are_refused() -> None:
    value = tensor("FLOAT32", 2)
    value.type.tensorType.dimensions.add().unknown.variadic = True
    with pytest.raises(ValueError, match="a size that changes"):
        declared(value.type)
