"""The kind of a model file or folder, by its content and never by its suffix."""

import contextlib
import enum
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfkd.errors import RequestError

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_HEAD = 512  # bytes to read
_LARGEST_CONFIG = 1 << 27  # bytes; an archive may claim to unpack to anything

_ADVICE = (
    "A model here is a .keras or .h5 file of Keras 2 or 3, or the folder of a SavedModel; write one with "
    "model.save('model.keras') or model.export('folder')."
)


class FileKind(enum.Enum):
    """The forms of models that tfkd opens."""

    KERAS3 = "a Keras 3 model (.keras)"
    KERAS3_H5 = "a Keras 3 model (HDF5)"
    KERAS2 = "a Keras 2 model (.keras)"
    KERAS2_H5 = "a Keras 2 model (HDF5)"
    SAVED_MODEL = "a SavedModel"


def file_kind(path: Path) -> FileKind:
    """Returns the form of a model file or folder.

    Raises:
        RequestError: it is missing, unreadable or none of these forms.
    """
    kind = _kind(path)
    if isinstance(kind, FileKind):
        return kind
    raise RequestError(f"{path} is {kind}. {_ADVICE}")


def described(path: Path) -> str:
    """Returns the kind of a file or folder as a noun phrase: a form of model, or another kind by its first bytes.

    Raises:
        RequestError: it is missing or cannot be read.
    """
    kind = _kind(path)
    return kind.value if isinstance(kind, FileKind) else kind


def config_of(path: Path) -> Any:
    """Returns the configuration of a `.keras` or HDF5 model, as JSON values.

    Raises:
        OSError, KeyError, ValueError: the file is damaged.
    """
    with path.open("rb") as stream:
        is_hdf5 = stream.read(len(_HDF5)) == _HDF5  # a zip archive may follow, which is never loaded
    if not is_hdf5:
        return json.loads(_member(path, "config.json"))
    import h5py

    with h5py.File(path, "r") as file:
        return json.loads(file.attrs["model_config"])


@contextlib.contextmanager
def with_suffix(path: Path, kind: FileKind) -> Iterator[Path]:
    """Returns a path to the file with the suffix of its kind, because Keras decides by suffix how to read a file."""
    suffixes = (".keras",) if kind in (FileKind.KERAS2, FileKind.KERAS3) else (".h5", ".hdf5")
    if path.name.endswith(suffixes):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"model{suffixes[0]}"
        link.symlink_to(path.absolute())
        yield link


def _kind(path: Path) -> FileKind | str:
    if not path.exists():
        raise RequestError(f"There is no model file {path}.")
    if path.is_dir():
        return _folder_kind(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.") from None
    if head.startswith(_HDF5):
        return _hdf5_kind(path)
    if head.startswith(_ZIP):
        return _zip_kind(path)
    return _other(path, head)


def _folder_kind(path: Path) -> FileKind | str:
    if (path / "saved_model.pb").is_file():
        return FileKind.SAVED_MODEL
    if (path / "saved_model.pbtxt").is_file():
        return "a SavedModel in text form (saved_model.pbtxt)"
    names = sorted(entry.name for entry in path.iterdir())
    listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"a folder without saved_model.pb (it holds {listed})" if names else "an empty folder"


def _zip_kind(path: Path) -> FileKind | str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if "config.json" in names and "metadata.json" in names:
            version = str(json.loads(_member(path, "metadata.json")).get("keras_version", ""))
            return FileKind.KERAS2 if version.startswith("2.") else FileKind.KERAS3
    except (OSError, ValueError, KeyError, AttributeError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        return "a damaged .keras file or zip archive"
    if any(name.endswith("data.pkl") for name in names):
        return "a PyTorch file, a zip archive with a pickle"
    saved = [name for name in names if name.endswith("saved_model.pb")]
    return "a zip archive with a SavedModel; unpack it" if saved else "a zip archive without a Keras model"


def _member(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive, archive.open(name) as stream:
        return stream.read(_LARGEST_CONFIG)


def _hdf5_kind(path: Path) -> FileKind | str:
    import h5py

    from tfkd.models import hdf5

    try:
        with h5py.File(path, "r") as file:
            hdf5.check(file, str(path))
            names, version = set(file.attrs), str(file.attrs.get("keras_version", ""))
            groups = set(file)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError):
        return "a damaged HDF5 file"
    if "model_config" in names:
        return FileKind.KERAS3_H5 if version.startswith("3.") else FileKind.KERAS2_H5
    if "layer_names" in names or groups & {"layers", "_layer_checkpoint_dependencies", "model_weights"}:
        return "a weights file of Keras (save_weights), without the layers"
    return "an HDF5 file that Keras did not write"


def _other(path: Path, head: bytes) -> str:
    if not head:
        return "an empty file"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite file"
    if path.name in ("saved_model.pb", "saved_model.pbtxt"):
        return "a part of a SavedModel; give its folder"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer; fetch the file itself with `git lfs pull`"
    if head[0] == 0x80 and 2 <= head[1:2][0] <= 5:
        return "a Python pickle, as PyTorch and scikit-learn write it"
    if head[8:10] == b'{"':
        return "a safetensors file, weights without the layers"
    if head[0] == 0x08 and path.suffix == ".onnx":
        return "an ONNX model"
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML), perhaps of a download that failed"
    if path.suffix == ".pb":
        return "a TensorFlow graph without its SavedModel"
    return _text_or_bytes(head)


def _text_or_bytes(head: bytes) -> str:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return f"a file that begins with the bytes {head[:8].hex(' ')}"
        text = head[: error.start].decode()
    if not text.isprintable() and not all(letter.isprintable() or letter.isspace() for letter in text):
        return f"a file that begins with the bytes {head[:8].hex(' ')}"
    return f"a text file that begins with {text.strip()[:30]!r}"
