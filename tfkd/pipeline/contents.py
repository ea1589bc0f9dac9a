"""Digests of the files behind a network: models, weights, and source code of the user's own functions.

They are computed without importing or loading anything, so that planning a run is quick and safe.
"""

import functools
import hashlib
import os
from pathlib import Path

from tfkd.errors import RequestError, nearest
from tfkd.files import sha256
from tfkd.inputs.text.bert_folders import files_in, folder_of
from tfkd.models import STUDENTS, TEACHERS
from tfkd.recipe import IMAGENET, RANDOM, Student, Teacher
from tfkd.recipe.bert import is_bert
from tfkd.recipe.user_code import sources_of


def files_of(network: Teacher | Student) -> dict[str, str]:
    """Returns the SHA-256 of every file or folder that a network is built from, by its name in messages.

    Paired images (`rendering`) are not included, because the data set determines which of them are used.

    Raises:
        RequestError: a file is missing or unreadable.
    """
    found: dict[str, str] = {}
    if ":" in network.model:
        sources = sources_of(network.model.partition(":")[0]).values()
        found |= {source.file: source.digest for source in sources}
    elif isinstance(network, Teacher) and network.is_bert:
        found |= _bert(network.model)
    elif network.model and network.model not in (STUDENTS if isinstance(network, Student) else TEACHERS):
        found |= _file(network.model, "model")
        found |= {str(path): _digest(path) for path in weights_beside(Path(network.model))}
    for field in ("weights_file", "predictions", "class_embeddings", "vocabulary"):
        if path := getattr(network, field, None):
            found |= _bert(path) if is_bert(path) else _file(path, field.removesuffix("_file"), required=True)
    return found


def _bert(model: str) -> dict[str, str]:
    """Returns the digests of the files of a BERT model, by their paths within its folder."""
    folder = folder_of(model)
    try:
        return {f"{model}/{path.relative_to(folder)}": _digest(path) for path in files_in(folder)}
    except OSError as error:
        raise RequestError(f"The file {error.filename} of {model} cannot be read: {error.strerror}.") from None


def weights_beside(model: Path) -> list[Path]:
    """Returns the files in which exporters put the weights of a large ONNX file."""
    names = (f"{model.name}.data", f"{model.name}_data", f"{model.stem}.data") if model.suffix == ".onnx" else ()
    return [path for path in (model.with_name(name) for name in names) if path.is_file()]


def _file(text: str, field: str, required: bool = False) -> dict[str, str]:
    path = Path(text)
    if not path.exists():
        if required or path.suffix or os.sep in text:
            meant = nearest(text, [IMAGENET, RANDOM]) if field == "weights" else ""
            raise RequestError(f"There is no {field} file {text}.{meant}")
        return {}  # a misspelt name, for which building the network reports the nearest known one
    try:
        return {text: _digest(path)}
    except OSError as error:
        raise RequestError(f"The {field} file {error.filename or text} cannot be read: {error.strerror}.") from None


def _digest(path: Path) -> str:
    """Returns the SHA-256 of a file, or of the names and contents of all files in a folder."""
    if not path.is_dir():
        return _remembered(path, *_state(path))
    whole = hashlib.sha256()
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        whole.update(f"{file.relative_to(path).as_posix()}\0{_remembered(file, *_state(file))}\n".encode())
    return whole.hexdigest()


def _state(path: Path) -> tuple[int, int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


@functools.lru_cache(4096)  # a sweep reads the same files once per variation
def _remembered(path: Path, *state: int) -> str:
    return sha256(path)
