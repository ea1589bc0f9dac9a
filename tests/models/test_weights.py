"""Weights files of Keras, and those that Keras downloads."""

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from tfkd.errors import RequestError
from tfkd.models.file_kind import file_kind
from tfkd.models.weights import application, load_whole, read_h5


def test_a_failed_download_is_one_line_and_other_errors_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(**arguments: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(keras.applications, "ResNet50", failing)
    with pytest.raises(RequestError, match=r"weights of ResNet50: .*no route to host.* weights='none'"):
        application("ResNet50", weights="imagenet")
    with pytest.raises(OSError, match="no route to host"):
        application("ResNet50", weights=None)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the user that no weights file may read."""
    path = tmp_path / "secret"
    path.write_bytes(bytes(range(64)))
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["0"] = np.zeros(16, np.float32)
    return path


def external_link(group: h5py.Group, folder: Path) -> None:
    group["0"] = h5py.ExternalLink(folder / "secret.h5", "0")


def external_group(group: h5py.Group, folder: Path) -> None:
    group["0"] = np.zeros(16, np.float32)
    group["more"] = h5py.ExternalLink(folder / "secret.h5", "/")


def soft_link(group: h5py.Group, folder: Path) -> None:
    group["0"] = h5py.SoftLink("/elsewhere")


def external_storage(group: h5py.Group, folder: Path) -> None:
    group.create_dataset("0", (16,), np.float32, external=[(str(folder / "secret"), 0, 64)])


def virtual(group: h5py.Group, folder: Path) -> None:
    layout = h5py.VirtualLayout((16,), np.float32)
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "0", (16,))
    group.create_virtual_dataset("0", layout)


def declared(group: h5py.Group, folder: Path) -> None:
    group.create_dataset("0", (1 << 40,), np.float32, chunks=(1 << 10,))


def compressed(group: h5py.Group, folder: Path) -> None:
    group.create_dataset("0", data=np.zeros(1 << 25, np.float32), compression="gzip")


def text(group: h5py.Group, folder: Path) -> None:
    group["0"] = ["no", "numbers"]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (external_link, "'layer/0' is a link to another place"),
        (external_group, "'layer/more' is a link to another place"),
        (soft_link, "'layer/0' is a link to another place"),
        (external_storage, "'layer/0' is in another file"),
        (virtual, "'layer/0' is in another file"),
        (declared, "declares arrays of more than 67 MB in a file of 0.0 MB"),
        (compressed, "declares arrays of more than 67 MB in a file of 0.3 MB"),
        (text, "'layer/0' holds no numbers"),
    ],
)
@pytest.mark.parametrize("name", ["model.h5", "model.weights.h5"])
def test_arrays_that_are_not_in_the_file_are_refused(secret: Path, write: Any, message: str, name: str) -> None:
    path = secret.with_name(name)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"layer"]
        group = file.create_group("layer")
        group.attrs["weight_names"] = [b"0"]
        write(group, secret.parent)
    readers = [lambda: read_h5(path, name), lambda: file_kind(path)]
    if name.endswith(".weights.h5"):
        readers.append(lambda: load_whole(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), path))
    for read in readers:
        with pytest.raises(RequestError, match=message):
            read()
