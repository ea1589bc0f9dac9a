"""Writes small .safetensors files, as the format's description says."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_NAMES = {
    **{"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "int16": "I16"},
    **{"int8": "I8", "uint8": "U8", "bool": "BOOL"},
}


def encoded(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Returns the bytes of a file."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, values in tensors.items():
        offsets = [len(data), len(data) + values.nbytes]
        header[name] = {"dtype": _NAMES[values.dtype.name], "shape": list(values.shape), "data_offsets": offsets}
        data += values.tobytes()
    text = json.dumps(header).encode() + b"  "  # padded as the reference writes it
    return struct.pack("<Q", len(text)) + text + data


def written(folder: Path, tensors: Mapping[str, np.ndarray]) -> Path:
    """Writes model.safetensors into a folder and returns its path."""
    path = folder / "model.safetensors"
    path.write_bytes(encoded(tensors))
    return path
