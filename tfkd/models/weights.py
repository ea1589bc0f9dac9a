"""Weights files of Keras, read without building their model."""

import contextlib
import io
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tfkd.errors import RequestError, cause
from tfkd.files import sha256
from tfkd.kernels import keras_private
from tfkd.models import hdf5
from tfkd.models.download import download
from tfkd.models.imports import import_modules, modules_of_registered
from tfkd.processes import FORKSERVER
from tfkd.recipe import Student
from tfkd.sandbox import Sandbox

NamedArrays = dict[str, Any]


def read_apart(read: Callable[..., NamedArrays], path: Path, *arguments: Any) -> NamedArrays:
    """Returns the arrays of a weights file, read in a separate process.

    Args:
        read: such as `read_h5`, called with the path and the arguments.
        path: path of the file.
        arguments: arguments of the reader, after the path.

    Raises:
        RequestError: raised by the reader, or the file crashed it, or needs too much memory or time.
    """
    with Sandbox(RequestError) as sandbox:
        arrays: NamedArrays = sandbox.call(path, read, path, *arguments)
    return arrays


def read_h5(source: Path | bytes, name: str) -> dict[str, list[np.ndarray]]:
    """Returns the arrays of every layer that has some, by layer name, in the file's order.

    Args:
        source: a `.h5` file in the layout of Keras 1 and 2 (also what keras.applications downloads), or its bytes.
        name: name of the file, for messages.

    Raises:
        RequestError: the file is missing, damaged, not in that layout, or has arrays that are not in it.
    """
    if isinstance(source, Path) and not source.is_file():
        raise RequestError(f"There is no weights file {name}.")
    try:
        with h5py.File(io.BytesIO(source) if isinstance(source, bytes) else source, "r") as file:
            hdf5.check(file, name)
            root = file.get("model_weights", file)
            layers = {_text(layer): root[_text(layer)] for layer in root.attrs["layer_names"]}
            arrays = {
                layer: [np.asarray(group[_text(weight)]) for weight in group.attrs["weight_names"]]
                for layer, group in layers.items()
            }
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise RequestError(f"{name} is not a weights file of Keras (.h5 with layer_names): {error}") from None
    return {layer: values for layer, values in arrays.items() if values}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def initial_file(student: Student, variant: str, imagenet_file: Callable[[str, float], Path]) -> Path:
    """Returns the file of a student's initial weights.

    Args:
        student: its recipe.
        variant: of the network.
        imagenet_file: returns the file of the ImageNet weights of a variant and a width.

    Raises:
        RequestError: the ImageNet weights cannot be had, or are not those that the recipe names by their hash.
    """
    if student.weights_file:
        return Path(student.weights_file)
    path = imagenet_file(variant, student.width)
    if student.weights_hash and (found := sha256(path)) != student.weights_hash:
        raise RequestError(
            f"The ImageNet weights of {student.model} in {path} have the SHA-256 {found}, not that of the recipe, "
            f"{student.weights_hash}: install the version that it was made with, or set weights='imagenet'."
        )
    return path


def load_by_name(model: Any, arrays: dict[str, list[np.ndarray]], fresh: tuple[str, ...], name: str) -> None:
    """Sets the weights of every layer from the arrays of that name.

    A 1 x 1 convolution's kernel fits a Dense layer. The layers in `fresh` keep their initial weights if the arrays are
    missing or for another number of classes.

    Raises:
        RequestError: another layer is missing or differs in shape.
    """
    for layer in model.layers:
        if not layer.weights:
            continue
        values = arrays.get(layer.name, [])
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if [_squeezed(value.shape) for value in values] == [_squeezed(shape) for shape in shapes]:
            layer.set_weights([value.reshape(shape) for value, shape in zip(values, shapes, strict=True)])
        elif layer.name not in fresh:
            raise RequestError(
                f"{name} doesn't fit {model.name}: layer {layer.name!r} needs {shapes}, "
                f"the file has {[value.shape for value in values]}. Check the variant and the width."
            )


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[2:] if len(shape) == 4 and shape[:2] == (1, 1) else shape


def load_whole(model: Any, path: Path) -> None:
    """Loads a file of `model.save_weights` or `model.save` of the same model (`.weights.h5`, `.keras`).

    The last layer of a whole model is left out if it has another number of classes.

    Raises:
        RequestError: the file is missing, damaged, or of another model.
    """
    import keras

    if not path.is_file():
        raise RequestError(f"There is no weights file {path}.")
    if not path.name.endswith(".weights.h5"):
        _copy(_whole(path, model), model, path)
        return
    config = json.dumps(keras.saving.serialize_keras_object(model))
    with Sandbox(RequestError, context=FORKSERVER) as sandbox:
        model.set_weights(sandbox.call(path, _loaded, path, config, modules_of_registered(), model.name))


def _whole(path: Path, model: Any) -> Any:
    """Opens a whole model with the input of another one."""
    from tfkd.models import foreign, foreign_ids, form

    size = model.input_shape[1]
    if form.takes_ids(model):
        return foreign_ids.open_ids_model(path, length=size)
    return foreign.open_model(path, image_size=size)


def _loaded(path: Path, config: str, modules: Sequence[str], model_name: str) -> list[np.ndarray]:
    """Returns the weights of a model of a configuration, loaded by Keras from a `.weights.h5` file."""
    import keras

    from tfkd.models import registered  # noqa: F401  (layers of tfkd's own in the configuration)

    import_modules(modules)
    try:
        with h5py.File(path, "r") as file:
            hdf5.check(file, str(path))
        model = keras.saving.deserialize_keras_object(json.loads(config))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Keras only warns about a layer without weights in the file
            model.load_weights(path)
    except RequestError:
        raise
    except UserWarning:
        raise RequestError(
            f"{path} doesn't hold the weights of {model_name}: it is of another network, width or number of classes."
        ) from None
    except Exception as error:  # h5py and Keras raise many kinds of errors for a file that doesn't fit
        raise RequestError(f"{path} doesn't hold the weights of {model_name}: {cause(error)}") from error
    arrays: list[np.ndarray] = model.get_weights()
    return arrays


def _copy(source: Any, target: Any, path: Path) -> None:
    theirs, ours = source.get_weights(), target.get_weights()
    last = next((len(layer.weights) for layer in reversed(target.layers) if layer.weights), 0)
    body = [value.shape for value in ours[:-last]]
    if len(theirs) != len(ours) or [value.shape for value in theirs[:-last]] != body:
        raise RequestError(f"{path} holds another model than {target.name}; check the variant and the width.")
    same_head = [value.shape for value in theirs[-last:]] == [value.shape for value in ours[-last:]]
    target.set_weights(theirs if same_head else theirs[:-last] + ours[-last:])


def application(name: str, **arguments: Any) -> Any:
    """Builds a model of keras.applications; with weights="imagenet" Keras downloads them once.

    Raises:
        RequestError: the download failed.
    """
    return _application(name, arguments)[0]


def application_with_file(name: str, **arguments: Any) -> tuple[Any, Path]:
    """Builds a model of keras.applications with weights="imagenet"; returns it and the file of the weights.

    Raises:
        RequestError: the download failed.
    """
    model, (file,) = _application(name, arguments)
    return model, file


def _application(name: str, arguments: Mapping[str, Any]) -> tuple[Any, list[Path]]:
    import keras

    try:
        # Keras prints that it downloads, and warns of the size of the input.
        with (
            keras_private.downloads_by(download) as files,
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(action="ignore"),
        ):
            return getattr(keras.applications, name)(**arguments), files
    except Exception as error:
        if arguments.get("weights") != "imagenet":
            raise
        raise RequestError(
            f"Cannot get the ImageNet weights of {name}: {cause(error)} "
            "Give the path of a weights file you have, or weights='none'."
        ) from error
