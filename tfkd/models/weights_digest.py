"""The digest of a network's weights by their values, which stays the same when the network is saved again."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from tfkd.errors import RequestError, cause
from tfkd.models import hdf5

SUFFIXES = (".keras", ".h5", ".hdf5")
_WEIGHTS = "model.weights.h5"  # in a .keras file
_OPTIMIZER = "optimizer"  # begins the name of the group that holds its state


def weights_digest(path: Path) -> str:
    """Returns the hex SHA-256 of the weights in a `.keras` or `.h5` file.

    It is that of the sorted digests of its arrays of floating-point numbers, whatever the layers are called and however
    the file is compressed. The state of an optimizer and of random generators does not count.

    Raises:
        RequestError: the file cannot be read, or holds no weights.
    """
    try:
        with zipfile.ZipFile(path) if path.suffix == ".keras" else path.open("rb") as opened:
            content = opened.read(_WEIGHTS) if isinstance(opened, zipfile.ZipFile) else opened.read()
        with h5py.File(io.BytesIO(content), "r") as file:
            hdf5.check(file, str(path))
            digests = sorted(_digests(file))
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, NotImplementedError) as error:
        raise RequestError(f"{path} holds no weights of Keras that can be read: {cause(error)}") from None
    if not digests:
        raise RequestError(f"{path} holds no weights: none of its arrays has floating-point numbers.")
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _digests(file: h5py.File) -> Iterator[str]:
    found: list[h5py.Dataset] = []
    file.visititems(lambda name, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    for each in found:
        if each.dtype.kind == "f" and not each.name.lstrip("/").startswith(_OPTIMIZER):
            values = np.ascontiguousarray(each[()], np.float32)
            yield hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()
