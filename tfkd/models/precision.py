"""Recreates models from their configuration, in float32 or with another input."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tfkd.errors import RequestError, cause
from tfkd.kernels.keras_private import calls_of, layers_of

_HALVES = ("float16", "bfloat16")
_FLOAT32_OF = {name: "float32" for half in _HALVES for name in (half, f"mixed_{half}")}


def in_float32(model: keras.Model, allow_code: bool = False) -> keras.Model:
    """Returns the model itself if it computes in float32, else a float32 copy with the same layers and weights.

    Converters do not support half precision; the weights of a mixed policy are float32 anyway.

    Args:
        model: a functional, sequential or registered subclassed model under any dtype policy.
        allow_code: recreate Lambda layers.

    Raises:
        RequestError: a layer cannot be recreated from its configuration.
    """
    return rebuilt(model, allow_code=allow_code) if _is_half(model) else model


def rebuilt(
    model: keras.Model, shape: tuple[Any, ...] | None = None, allow_code: bool = False, dtype: str = "float32"
) -> keras.Model:
    """Returns a float32 copy of a model with the same layers and weights.

    Args:
        model: functional or sequential; without `shape`, any model that Keras can save.
        shape: shape with the batch of the copy's only input; None keeps the input's shape.
        allow_code: recreate Lambda layers.
        dtype: of the copy's input, if its shape is given.

    Raises:
        RequestError: a layer cannot be recreated from its configuration.
    """
    classes = {type(layer).__name__: type(layer) for layer in layers_of(model)}
    try:
        config = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)
        _widen(config)
        if shape is not None:
            _set_input(config, shape, dtype)
        with keras.saving.custom_object_scope({name: kind for name, kind in classes.items() if _is_custom(kind)}):
            copy = keras.saving.deserialize_keras_object(config, safe_mode=not allow_code)
        copy.set_weights([_widened(value) for value in model.get_weights()])
    except Exception as error:  # a user's layer can raise anything
        raise RequestError(
            f"The model {model.name!r} cannot be built again in float32 from its layers' get_config(): {cause(error)}"
        ) from error
    for layer in layers_of(copy):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    return copy


def _is_half(model: keras.Model) -> bool:
    """Returns whether a layer or an operation of a model computes in half precision."""
    layers = [layer for layer in layers_of(model) if isinstance(layer, keras.layers.Layer)]
    if any(dtype in _HALVES for layer in layers for dtype in (layer.compute_dtype, layer.variable_dtype)):
        return True
    operations = [operation for layer in layers for operation in getattr(layer, "operations", ())]
    tensors = [tensor for each in operations for node in calls_of(each) for tensor in node.output_tensors]
    return any(str(tensor.dtype) in _HALVES for tensor in tensors)


def _is_custom(kind: type) -> bool:
    return not kind.__module__.startswith("keras.")


def _widen(config: Any) -> None:
    """Replaces half precision in a configuration, in place."""
    for part in _dictionaries(config):
        if isinstance(part.get("dtype"), str):
            part["dtype"] = _FLOAT32_OF.get(part["dtype"], part["dtype"])
        if part.get("class_name") == "DTypePolicy":
            part["config"]["name"] = _FLOAT32_OF.get(part["config"]["name"], part["config"]["name"])


def _dictionaries(config: Any) -> Iterator[dict[str, Any]]:
    if isinstance(config, dict):
        yield config
    if isinstance(config, dict | list | tuple):
        for value in list(config.values()) if isinstance(config, dict) else config:
            yield from _dictionaries(value)


def _set_input(config: Any, shape: tuple[Any, ...], dtype: str) -> None:
    """Changes the shape of the outermost input layer; Keras infers all other shapes."""
    layers = [layer for layer in config["config"]["layers"] if layer["class_name"] == "InputLayer"]
    for layer in layers:
        layer["config"] |= {"batch_shape": list(shape), "dtype": dtype}
    for part in _dictionaries(config):
        part.pop("build_input_shape", None)
        part.pop("build_config", None)


def _widened(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float32) if value.dtype.name in _HALVES else value
