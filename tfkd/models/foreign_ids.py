"""Opens models of the user's own that take the ids of a text: Keras 3 files, and models in memory."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from tfkd.errors import RequestError
from tfkd.models import foreign, form
from tfkd.models.file_kind import FileKind, file_kind
from tfkd.models.logits import is_tf_keras
from tfkd.models.precision import in_float32, rebuilt

_ONE_INPUT = "a model of texts takes their ids alone; compute a mask inside: keras.ops.not_equal(ids, 0)."


def open_ids_model(
    path: Path, *, length: int | None = None, imports: Sequence[str] = (), allow_code: bool = False
) -> keras.Model:
    """Opens a model of texts, as `tfkd.models.foreign.open_model` does.

    Args:
        path: path of a file of Keras 3.
        length: number of ids; None for that of the model.
        imports: modules that register the model's custom layers; importing runs them.
        allow_code: accept code in the file, which may do anything.

    Returns:
        A model from one tensor of ids, int32 [B, length], to one tensor, computed in float32.

    Raises:
        RequestError: as `open_model`; the file is of another kind, the model takes something else than ids or ids of
            another length, or it takes any length and `length` is None.
    """
    return foreign.opened_apart(path, functools.partial(_opened, length=length), imports, allow_code)


def from_memory(model: Any, name: str, length: int | None = None) -> keras.Model:
    """Returns a model in memory in the form of `open_ids_model`; its own layers are trusted.

    Raises:
        RequestError: it is no such model.
    """
    if is_tf_keras(model):
        raise RequestError(f"{name} is a model of tf_keras; of texts, models of Keras 3 are opened.")
    return _prepared(model, name, length, allow_code=True)


def _opened(path: Path, allow_code: bool, length: int | None) -> keras.Model:
    kind = file_kind(path)
    if kind not in (FileKind.KERAS3, FileKind.KERAS3_H5):
        raise RequestError(f"{path} is {kind.value}; of texts, Keras 3 files are opened: model.save('model.keras').")
    return _prepared(foreign.open_keras3(path, kind, allow_code), path.name, length, allow_code)


def _prepared(model: Any, name: str, length: int | None, allow_code: bool) -> keras.Model:
    """Returns a model of ids, int32 [B, length], in float32."""
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise RequestError(f"{name} is not a functional or sequential Keras model; rebuild it as one.")
    ids = form.only(name, "inputs", foreign.named_tensors(model, "input"), _ONE_INPUT)
    form.only(name, "outputs", foreign.named_tensors(model, "output"))
    found = f"{name} takes {ids.dtype} {tuple(ids.shape)}"
    if not form.takes_ids(model):
        raise RequestError(
            f"{found}, not the ids of a text; for a model of images, give images and leave the vocabulary out."
        )
    if length is None and ids.shape[1] is None:
        raise RequestError(f"{found}, texts of any length; set one: `--tokens 64`.")
    if length is not None and ids.shape[1] not in (None, length):
        raise RequestError(f"{found}, not {length} ids of a text; set tokens to {ids.shape[1]}.")
    shape = (None, ids.shape[1] or length)
    if tuple(ids.shape) == shape and ids.dtype == "int32":
        return in_float32(model, allow_code)
    return rebuilt(model, shape, allow_code, "int32")
