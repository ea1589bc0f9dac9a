"""Normalisation by statistics that were learned."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verify.coreml.layout import pointwise
from tfkd.verify.coreml.weights import weights


def batch_norm(x: Any, mean: Any, variance: Any, gamma: Any = None, beta: Any = None, epsilon: Any = 1e-5) -> Any:
    """Computes gamma * (x - mean) / sqrt(variance + epsilon) + beta; the statistics are [channels], axis 1."""
    scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + epsilon)
    shift = (0.0 if beta is None else beta) - mean * scale
    return _affine(x, scale, shift)


def batch_norm_layer(layer: Any, x: Any) -> Any:
    if layer.computeMeanVar or layer.instanceNormalization:
        raise ValueError("it normalises each image by its own statistics, which is not known")
    gamma, beta, mean, variance = (
        weights(field, [layer.channels]) for field in (layer.gamma, layer.beta, layer.mean, layer.variance)
    )
    return batch_norm(x, mean, variance, gamma, beta, layer.epsilon)


def scale_layer(layer: Any, x: Any) -> Any:
    """Multiplies by one factor, one a channel or one an element, and adds a bias of such a shape."""
    y = pointwise(tf.multiply, x, weights(layer.scale, layer.shapeScale))
    return pointwise(tf.add, y, weights(layer.bias, layer.shapeBias)) if layer.hasBias else y


def bias_layer(layer: Any, x: Any) -> Any:
    return pointwise(tf.add, x, weights(layer.bias, layer.shape))


def _affine(x: Any, scale: Any, shift: Any) -> Any:
    channels = (x.shape[1], *[1] * (len(x.shape) - 2))
    factor, offset = (np.reshape(value, channels).astype(np.float32) for value in (scale, shift))
    return pointwise(lambda x, factor, offset: x * factor + offset, x, factor, offset)
