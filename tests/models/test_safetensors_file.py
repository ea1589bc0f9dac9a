"""The reader of .safetensors files: every dtype, and one line for each kind of damage."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.safetensors import encoded, written
from tfkd.errors import RequestError
from tfkd.models.safetensors_file import SafetensorsFile

DTYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1", "U8": "<u1"},
    "BOOL": "?",
}


def test_tensors_of_every_dtype_are_read_and_stay_in_the_file(tmp_path: Path) -> None:
    expected = {name: (np.arange(6) % 3).reshape(2, 3).astype(dtype) for name, dtype in DTYPES.items()}
    expected |= {"scalar": np.float32(-1.5).reshape(()), "empty": np.zeros((0, 4), np.float16)}
    expected |= {"large": np.arange(1 << 20, dtype=np.float32), "last": np.zeros((2, 0), np.float32)}
    file = SafetensorsFile(written(tmp_path, expected))
    assert dict.fromkeys(file) == dict.fromkeys(expected) and len(file) == len(expected)
    for name, values in expected.items():
        assert file[name].dtype == values.dtype and file.shape(name) == values.shape
        np.testing.assert_array_equal(file[name], values)
        assert not file[name].flags.writeable
    assert not file["large"].flags.owndata
    assert np.shares_memory(file["large"], file["large"])


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    values = np.array([1.0, -2.5, 3.140625, 2.0**-120], np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    path = file_of(tmp_path, {"t": entry("BF16", [4], 0, 8)}, halves)
    np.testing.assert_array_equal(SafetensorsFile(path)["t"], values)


def entry(dtype: Any, shape: Any, begin: Any, end: Any, **more: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end], **more}


def file_of(folder: Path, header: Any, data: bytes = b"") -> Path:
    path = folder / "model.safetensors"
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


F = entry("F32", [2], 0, 8)
NEEDS = "'a' needs a dtype, a shape and data_offsets, and nothing else"


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (b"\xff{}", b"", "its header is not UTF-8"),
        (b'{"a": ', b"", "its header is not JSON: Expecting value in line 1, column 7"),
        (b"[" * 100_000, b"", "its header is nested too deeply"),
        (b'{"a": NaN}', b"", "its header has the number NaN"),
        (b'{"a": -Infinity}', b"", "its header has the number -Infinity"),
        (b'{"a": ' + b"9" * 5000 + b"}", b"", "its header has a number of thousands of digits"),
        (b'{"a": {"shape": [1], "shape": [2]}}', b"", "its header has two values of 'shape'"),
        (b'{"a": 1, "a": 2}', b"", "its header has two values of 'a'"),
        ([F], b"", "its header is not a JSON object"),
        ({}, b"", "it holds no tensors"),
        ({"__metadata__": {"format": "pt"}}, b"", "it holds no tensors"),
        ({"__metadata__": {"format": 1}, "a": F}, bytes(8), "its __metadata__ are not texts by name"),
        ({"__metadata__": ["pt"], "a": F}, bytes(8), "its __metadata__ are not texts by name"),
        ({"a": [1]}, bytes(8), NEEDS),
        ({"a": {"dtype": "F32", "shape": [2]}}, bytes(8), NEEDS),
        ({"a": entry("F32", [2], 0, 8, more=1)}, bytes(8), NEEDS),
        ({"a": entry("F8_E4M3", [8], 0, 8)}, bytes(8), "has the dtype 'F8_E4M3', which is none of F64, F32, F16, BF16"),
        ({"a": entry(["F32"], [2], 0, 8)}, bytes(8), "has the dtype ['F32'], which is none of"),
        ({"a": entry("F32", 2, 0, 8)}, bytes(8), "has the shape 2, not up to 64 sizes"),
        ({"a": entry("F32", [-2], 0, 8)}, bytes(8), "has the shape [-2], not"),
        ({"a": entry("F32", [2.0], 0, 8)}, bytes(8), "has the shape [2.0], not"),
        ({"a": entry("F32", [True, 2], 0, 8)}, bytes(8), "has the shape [True, 2], not"),
        ({"a": entry("F32", [1] * 65, 0, 4)}, bytes(4), "not up to 64 sizes"),
        ({"a": entry("F32", [1 << 70], 0, 8)}, bytes(8), "not up to 64 sizes"),
        ({"a": entry("F32", [1 << 62, 0], 0, 0)}, b"", "which its bytes do not fit"),
        ({"a": entry("F32", [1 << 40, 1 << 40], 0, 8)}, bytes(8), "which its bytes do not fit"),
        ({"a": entry("F32", [3], 0, 8)}, bytes(8), "has the shape [3] as F32, which its bytes do not fit"),
        ({"a": entry("F32", [1], 0, 8)}, bytes(8), "has the shape [1] as F32, which its bytes do not fit"),
        ({"a": entry("F32", [0], 8, 0)}, bytes(8), "which its bytes do not fit"),
        ({"a": {**F, "data_offsets": [0]}}, bytes(8), "has the offsets [0], not"),
        ({"a": {**F, "data_offsets": [-8, 0]}}, bytes(8), "has the offsets [-8, 0], not"),
        ({"a": {**F, "data_offsets": "08"}}, bytes(8), "has the offsets '08', not"),
        ({"a": F}, bytes(7), "the tensor 'a' ends behind the file, which may be cut short"),
        ({"a": F}, bytes(9), "bytes behind its last tensor, 'a', belong to none"),
        ({"a": F, "b": entry("F32", [2], 4, 12)}, bytes(12), "the tensors 'a' and 'b' overlap"),
        ({"a": F, "b": F}, bytes(8), "the tensors 'a' and 'b' overlap"),
        ({"a": F, "b": entry("F32", [1], 4, 8)}, bytes(8), "the tensors 'a' and 'b' overlap"),
        ({"a": F, "b": entry("F32", [1], 12, 16)}, bytes(16), "bytes before the tensor 'b' belong to none"),
        ({"a": entry("F32", [1], 4, 8)}, bytes(8), "bytes before the tensor 'a' belong to none"),
        ({"a" * 5000: F}, bytes(7), f"the tensor '{'a' * 99}… ends behind"),
    ],
)
def test_damaged_or_hostile_files_get_one_line(tmp_path: Path, header: Any, data: bytes, message: str) -> None:
    path = file_of(tmp_path, header, data)
    with pytest.raises(RequestError) as caught:
        SafetensorsFile(path)
    text = str(caught.value)
    assert text.startswith(f"{path} is not a .safetensors file: ") and "\n" not in text and len(text) < 600
    assert message in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is cut short"),
        (bytes(7), "it is cut short"),
        (struct.pack("<Q", 100) + b"{}", "it is cut short within its header"),
        (struct.pack("<Q", 1 << 40) + b"{}", "its header would be larger than 8 MiB"),
        (b"PK\x03\x04 a zip archive", "its header would be larger than 8 MiB"),
        (struct.pack("<Q", 0), "its header is not JSON"),
    ],
)
def test_files_without_a_header_get_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=f"is not a .safetensors file: {message}"):
        SafetensorsFile(path)


def test_every_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    content = encoded({"a": np.ones(3, np.float32), "b": np.ones((2, 2), np.int8)})
    path = tmp_path / "model.safetensors"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(RequestError, match=r"is not a \.safetensors file"):
            SafetensorsFile(path)


def test_numbers_that_no_network_holds_are_refused_when_they_are_read(tmp_path: Path) -> None:
    infinite = np.array([1, np.inf], np.float32)
    file = SafetensorsFile(written(tmp_path, {"fine": np.ones(2, np.float32), "bad": infinite}))
    assert file["fine"].sum() == 2
    with pytest.raises(RequestError, match=r"the tensor 'bad' holds NaN or infinity"):
        file["bad"]
    path = file_of(tmp_path, {"t": entry("BOOL", [2], 0, 2)}, b"\x01\x02")
    with pytest.raises(RequestError, match="the tensor 't' holds bools other than 0 and 1"):
        SafetensorsFile(path)["t"]


def test_a_missing_tensor_or_file_gets_one_line(tmp_path: Path) -> None:
    file = SafetensorsFile(written(tmp_path, {"pooler.weight": np.ones(2, np.float32)}))
    with pytest.raises(RequestError, match=r"has no tensor 'pooler.weights'\. Did you mean 'pooler.weight'"):
        file["pooler.weights"]
    for place in (tmp_path / "absent.safetensors", tmp_path):
        with pytest.raises(RequestError, match="There is no weights file"):
            SafetensorsFile(place)
