"""The form of an opened model: one example as input, one row of numbers as output."""

from collections.abc import Mapping
from typing import Any

import keras

from tfkd.errors import RequestError
from tfkd.kernels.keras_private import layers_of

_ONE_INPUT = "a classifier here has one image as its input."
_ONE_OUTPUT = (
    "Save a model that has the classes alone: keras.Model(model.inputs, model.outputs[N]).save('one.keras'), with the "
    "number N of that output."
)


def only(name: str, what: str, tensors: Mapping[str, Any], advice: str | None = None) -> Any:
    """Returns the only input or output of a model, whatever its name.

    Args:
        name: name of the model, for the message.
        what: "inputs" or "outputs".
        tensors: tensors by name, in the order of the model.
        advice: what to do; default: of inputs that one image is needed, of outputs how to choose one.

    Raises:
        RequestError: there are several, or none.
    """
    if len(tensors) == 1:
        return next(iter(tensors.values()))
    if what == "inputs":
        listed = f" ({', '.join(tensors)})" if tensors else ""
        raise RequestError(f"{name} has {len(tensors)} inputs{listed}; {advice or _ONE_INPUT}")
    listed = f" ({', '.join(f'{number}: {each}' for number, each in enumerate(tensors))})" if tensors else ""
    raise RequestError(f"{name} has {len(tensors)} outputs{listed}; a classifier here has one. {advice or _ONE_OUTPUT}")


def takes_ids(model: keras.Model) -> bool:
    """Returns whether the only input of a model holds ids: integers [batch, length], or numbers for an Embedding."""
    (ids,) = model.inputs
    is_read = any(isinstance(layer, keras.layers.Embedding) for layer in layers_of(model))
    return len(ids.shape) == 2 and ("int" in str(ids.dtype) or (is_read and "float" in str(ids.dtype)))


def fixed_shape(name: str, shape: tuple[int | None, ...], size: int | None) -> tuple[int | None, ...]:
    """Returns the shape of a model's images, with `size` for variable sides.

    Args:
        name: name of the model, for the message.
        shape: shape of its input, with the batch.
        size: side of the square images, pixels, or None.

    Raises:
        RequestError: the model takes images of any size and `size` is None.
    """
    if len(shape) != 4 or None not in shape[1:3]:
        return shape
    if size is None:
        raise RequestError(
            f"{name} takes images of any size, {shape}; set one: `--image-size 224`, or image_size=224 in a recipe."
        )
    return (shape[0], *(side or size for side in shape[1:3]), shape[3])
