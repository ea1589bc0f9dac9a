"""Opens models of the user's own: Keras 3 and Keras 2 files, and SavedModels of any origin."""

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from tfkd.errors import RequestError, cause
from tfkd.kernels.keras_private import layers_of
from tfkd.models import form, registered  # noqa: F401  (registers layers: a file may be a run's own teacher)
from tfkd.models.file_kind import FileKind, config_of, file_kind, with_suffix
from tfkd.models.imports import import_modules, modules_of_registered
from tfkd.models.logits import is_tf_keras
from tfkd.models.precision import in_float32, rebuilt
from tfkd.models.safety import dictionaries, known_danger, missing_class, refused, shown_name
from tfkd.processes import FORKSERVER
from tfkd.sandbox import Sandbox, begin_phase

Opened = Callable[[Path, bool], keras.Model]

_TOLERANCE = 1e-3


def open_model(
    path: Path,
    *,
    image_size: int | None = None,
    imports: Sequence[str] = (),
    allow_code: bool = False,
) -> keras.Model:
    """Opens a model of images of any kind as a Keras 3 model that computes in float32.

    Keras 3 `.keras` and HDF5 files, Keras 2 `.keras` and HDF5 files, and SavedModels (of Keras 2, of Keras 3's
    `model.export`, of a tf.Module) are distinguished by their content. Layers stay layers if Keras 3 has them; a
    SavedModel becomes one layer that cannot be trained (see `tfkd.models.frozen_graph`).

    The file is read in a separate process, with limits on memory and time. It returns only a configuration of known
    layers and plain arrays, from which the model is built here; with `allow_code` the file is trusted and read here.

    Args:
        path: path of a file, or of a SavedModel's folder.
        image_size: side of the square input, pixels, for a model that takes images of any size.
        imports: modules that register the model's custom layers; importing runs them.
        allow_code: accept code in the file, which may do anything: Lambda layers, operators that open files.

    Returns:
        A model from one float32 tensor [B, ...] to one float32 tensor; a mapping with one entry is unwrapped.

    Raises:
        RequestError: there is no such file, it is damaged or not a model, it contains code or needs a class that is not
            imported, it has several inputs or outputs, it takes the ids of texts, or it takes images of any size and
            `image_size` is None.
    """
    return opened_apart(path, functools.partial(_opened, image_size=image_size), imports, allow_code)


def opened_apart(path: Path, opened: Opened, imports: Sequence[str], allow_code: bool) -> keras.Model:
    """Opens a model in a process apart, and builds it again here from plain values; trusted code is run here.

    Args:
        path: of the model.
        opened: opens it; called with the path and whether its code is accepted, perhaps in another process.
        imports: modules that register the model's custom layers; importing runs them.
        allow_code: accept code in the file.

    Raises:
        RequestError: the model cannot be opened, or built again.
    """
    import_modules(imports)
    if allow_code:
        return opened(path, True)
    with Sandbox(RequestError, context=FORKSERVER) as sandbox:
        plain = sandbox.call(path, _plain, path, opened, (*imports, *modules_of_registered()))
    return _built(plain, path)


def from_memory(model: Any, name: str, image_size: int | None = None) -> keras.Model:
    """Returns a model in memory in the form of `open_model`; its own layers are trusted.

    Args:
        model: model of Keras 3 or tf_keras.
        name: name of the model in messages.
        image_size: side of the square input, pixels, for a model that takes images of any size.

    Raises:
        RequestError: it is not a model, it has several inputs or outputs, or a variable input size and `image_size` is
            None.
    """
    if is_tf_keras(model):
        from tfkd.models.keras2 import keras3_of

        return keras3_of(model, name, image_size)
    return _prepared(model, name, image_size, allow_code=True)


@dataclass(frozen=True)
class _Plain:
    """A model without its file.

    Attributes:
        config: configuration of its layers, JSON.
        weights: weights in the order of `get_weights`.
        outputs: float32 outputs for `_probe`.
    """

    config: str
    weights: list[np.ndarray]
    outputs: np.ndarray


def _plain(path: Path, opened: Opened, imports: Sequence[str]) -> _Plain:
    """Opens a model in a separate process."""
    import_modules(imports)
    model = opened(path, False)
    begin_phase(1)
    outputs = _probe(model)
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    return _Plain(json.dumps(config), model.get_weights(), outputs)


def _built(plain: _Plain, path: Path) -> keras.Model:
    """Returns a model of known layers and plain weights; compares its outputs with those in the other process."""
    try:
        model = keras.saving.deserialize_keras_object(json.loads(plain.config), safe_mode=True)
        model.set_weights(plain.weights)
        for layer in layers_of(model):
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()
        outputs = _probe(model)
    except Exception as error:  # a user's layer can raise anything
        raise RequestError(f"{path} cannot be built again from its layers' get_config(): {cause(error)}") from error
    if not _are_close(outputs, plain.outputs):
        raise RequestError(
            f"{path} gives other outputs once it is built again from its layers' get_config() and its weights; "
            "a layer keeps something else, which get_config() must return."
        )
    return model


def _probe(model: keras.Model) -> np.ndarray:
    """Returns the outputs of a model for noise of whole pixels: one image, or a batch of its fixed size."""
    shape = (model.inputs[0].shape[0] or 1, *model.inputs[0].shape[1:])
    return _predicted(model, np.random.default_rng(0).integers(0, _highest(model), shape))


def _highest(model: keras.Model) -> int:
    """Returns the number of raw values: those of a pixel, or few enough to be ids of any vocabulary."""
    return 2 if "int" in str(model.inputs[0].dtype) else 256


def _opened(path: Path, allow_code: bool, image_size: int | None) -> keras.Model:
    kind = file_kind(path)
    if kind is FileKind.SAVED_MODEL:
        from tfkd.models.frozen_graph import open_saved_model

        return open_saved_model(path, image_size, allow_code)
    if kind in (FileKind.KERAS2, FileKind.KERAS2_H5):
        from tfkd.models.keras2 import open_keras2

        model = open_keras2(path, kind, image_size, allow_code)
    else:
        model = open_keras3(path, kind, allow_code)
    return _prepared(model, path.name, image_size, allow_code)


def open_keras3(path: Path, kind: FileKind = FileKind.KERAS3, allow_code: bool = False) -> keras.Model:
    """Opens a file of Keras 3.

    Raises:
        RequestError: the file is damaged, contains code, or needs a class that is not imported.
    """
    try:
        with with_suffix(path, kind) as named:
            return keras.saving.load_model(named, compile=False, safe_mode=not allow_code)
    except RequestError as error:  # raised by a layer of tfkd
        raise RequestError(f"{path}: {error}") from None
    except Exception as error:  # a damaged or hostile file can raise anything in Keras
        if "safe_mode" in str(error) or "unsafe" in str(error).lower():
            raise RequestError(_danger(path) or refused(path, f"what Keras calls unsafe: {cause(error)}")) from None
        if missing := _missing_class(path):
            raise RequestError(missing) from None
        raise RequestError(f"{path} cannot be loaded as a Keras model: {cause(error)}") from error


def _danger(path: Path) -> str | None:
    """Returns the message about the first class of a configuration that does more than compute."""
    return next(filter(None, (known_danger(path, part) for part in _classes(path))), None)


def _classes(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the description of each class in a configuration."""
    try:
        config = config_of(path)
    except Exception:
        return  # damaged: Keras's own reason is shown
    yield from (part for part in dictionaries(config) if isinstance(part.get("class_name"), str))


def _missing_class(path: Path) -> str | None:
    """Returns the message about the first class of a configuration that is not registered, if any."""
    for part in _classes(path):
        name, module = part["class_name"], part.get("module")
        full_name = part.get("registered_name") or name
        if keras.saving.get_registered_object(full_name) is not None:
            continue
        is_theirs = isinstance(module, str) and module.split(".")[0] not in ("keras", "builtins")
        if is_theirs or ">" in full_name:
            return missing_class(path, shown_name(part), module)
    return None


def _prepared(model: Any, name: str, size: int | None, allow_code: bool) -> keras.Model:
    """Returns a model with one float32 input and one float32 output, of a fixed size and a variable batch."""
    if not isinstance(model, keras.Model):
        raise RequestError(f"{name} has the type {type(model).__name__} and is no Keras model.")
    model = _functional(model, name)
    image = form.only(name, "inputs", named_tensors(model, "input"))
    output = form.only(name, "outputs", named_tensors(model, "output"))
    if form.takes_ids(model):
        raise RequestError(
            f"{name} takes {image.dtype} {tuple(image.shape)}, the ids of a text; name their vocabulary: `--vocabulary "
            "vocab.txt`, or vocabulary='vocab.txt' of a teacher."
        )
    if not isinstance(model, keras.Sequential) and (model.input is not image or model.output is not output):
        model = keras.Model(image, output, name=model.name)  # not in a mapping
    shape = form.fixed_shape(name, tuple(image.shape), size)
    if (None, *shape[1:]) == tuple(image.shape) and "int" not in str(image.dtype):
        return in_float32(model, allow_code)
    copy = rebuilt(model, (None, *shape[1:]), allow_code)
    _check_same(model, copy, name)
    return copy


def _functional(model: Any, name: str) -> keras.Model:
    """Returns a functional model around a subclassed one, if its input is known."""
    if getattr(model, "inputs", None) and getattr(model, "outputs", None):
        return model
    shape = (model.get_build_config() or {}).get("input_shape")
    if shape is None:
        raise RequestError(f"{name} has no fixed input; call the model on one batch of images and save it again.")
    try:
        image = keras.Input(batch_shape=(None, *shape[1:]), name="image")
        return keras.Model(image, model(image), name=f"{model.name}_functional")
    except Exception as error:
        raise RequestError(f"{name} cannot be called on images {tuple(shape)}: {cause(error)}") from error


def named_tensors(model: keras.Model, what: Literal["input", "output"]) -> dict[str, Any]:
    """Returns the symbolic inputs or outputs of a model by name, in order."""
    tensors = getattr(model, f"{what}s")
    structure = None if isinstance(model, keras.Sequential) else getattr(model, what)
    names = sorted(structure) if isinstance(structure, dict) else [tensor.name for tensor in tensors]
    return dict(zip(names, tensors, strict=True))


def _check_same(model: keras.Model, copy: keras.Model, name: str) -> None:
    """Compares the copy with another input with the model itself, on noise of whole pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (model.inputs[0].shape[0] or 2, *copy.inputs[0].shape[1:]))
    if not _are_close(_predicted(copy, pixels), _predicted(model, pixels)):
        raise RequestError(
            f"{name} takes {model.inputs[0].dtype} {tuple(model.inputs[0].shape)}, and gives other outputs for float32 "
            f"{tuple(copy.inputs[0].shape)}; build it for that."
        )


def _predicted(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    outputs = model(keras.ops.cast(pixels, model.inputs[0].dtype), training=False)
    return np.asarray(keras.ops.cast(outputs, "float32"))


def _are_close(computed: np.ndarray, expected: np.ndarray) -> bool:
    largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=1e-6))
    return computed.shape == expected.shape and np.allclose(
        computed, expected, atol=_TOLERANCE * largest, equal_nan=True
    )
