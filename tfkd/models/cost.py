"""The cost of a network: multiply-adds per image."""

import math
from typing import Any

import keras

from tfkd.errors import RequestError

_FREE = ("BatchNormalization", "Normalization", "PReLU")  # element-wise weights


def multiply_adds(model: keras.Model) -> int:
    """Counts the multiply-adds of convolutions and dense layers for one image, as papers do.

    Biases, normalisation, activations and pooling do not count.

    Args:
        model: a model with a static input shape, except for the batch.

    Returns:
        The number of multiply-adds, half the number of floating-point operations.

    Raises:
        RequestError: the cost of a layer with weights is unknown.
    """
    return sum(_of(layer) for layer in model.layers)


def _of(layer: Any) -> int:
    if isinstance(layer, keras.Model):
        return multiply_adds(layer)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return _size(layer.output) * math.prod(layer.kernel_size)
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return _size(layer.input) * layer.filters * math.prod(layer.kernel_size)
    if isinstance(layer, keras.layers.Conv2D):
        return _size(layer.output) * math.prod(layer.kernel.shape[:-1])
    if isinstance(layer, keras.layers.Dense):
        return _size(layer.output) * layer.kernel.shape[0]
    if layer.weights and type(layer).__name__ not in _FREE:
        raise RequestError(
            f"The multiply-adds of the layer {layer.name!r} ({type(layer).__name__}) are not known; "
            "those of Conv2D, DepthwiseConv2D, Conv2DTranspose and Dense are."
        )
    return 0


def _size(tensor: Any) -> int:
    return math.prod(tensor.shape[1:])
