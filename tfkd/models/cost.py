"""The cost of a network: multiply-adds per example."""

import math
from typing import Any

import keras

from tfkd.errors import RequestError
from tfkd.models.text_layers import AttentionLogits, WeightedSum

_FREE = ("BatchNormalization", "Normalization", "LayerNormalization", "PReLU", "Positions")  # element-wise weights
_LOOK_UPS = ("WordVectors", "TreeEnsemble")


def multiply_adds(model: keras.Model) -> int:
    """Counts the multiply-adds of convolutions, dense layers and attention for one example, as papers do.

    Biases, normalisation, activations, pooling and look-ups do not count.

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
    if isinstance(layer, keras.layers.Conv1D | keras.layers.Conv2D):
        return _size(layer.output) * math.prod(layer.kernel.shape[:-1])
    if isinstance(layer, keras.layers.Dense):
        return _size(layer.output) * layer.kernel.shape[0]
    if isinstance(layer, AttentionLogits):
        queries, *_ = layer.input
        return _size(layer.output) * queries.shape[-1] // layer.heads
    if isinstance(layer, WeightedSum):
        return _size(layer.output) * layer.output.shape[1]
    if layer.weights and type(layer).__name__ not in (*_FREE, *_LOOK_UPS):
        raise RequestError(
            f"The multiply-adds of the layer {layer.name!r} ({type(layer).__name__}) are not known; "
            "those of Conv1D, Conv2D, DepthwiseConv2D, Conv2DTranspose and Dense are."
        )
    return 0


def _size(tensor: Any) -> int:
    return math.prod(tensor.shape[1:])
