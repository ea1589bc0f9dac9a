"""Normalisation by statistics that were learned, or by those of each image."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verification.coreml import layout
from tfkd.verification.coreml.layout import pointwise
from tfkd.verification.coreml.weights import weights


def batch_norm(x: Any, mean: Any, variance: Any, gamma: Any = None, beta: Any = None, epsilon: Any = 1e-5) -> Any:
    """Computes gamma * (x - mean) / sqrt(variance + epsilon) + beta; the statistics are [channels], axis 1."""
    scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + epsilon)
    shift = (0.0 if beta is None else beta) - mean * scale
    return _affine(x, scale, shift)


def batch_norm_layer(layer: Any, x: Any) -> Any:
    gamma, beta = (weights(field, [layer.channels]) for field in (layer.gamma, layer.beta))
    if layer.computeMeanVar:  # Core ML has one image in a batch
        return instance_norm(x, gamma, beta, layer.epsilon)
    mean, variance = (weights(field, [layer.channels]) for field in (layer.mean, layer.variance))
    return batch_norm(x, mean, variance, gamma, beta, layer.epsilon)


def instance_norm(x: Any, gamma: Any = None, beta: Any = None, epsilon: Any = 1e-5) -> Any:
    """Normalises each channel, axis 1, of each image by its own mean and variance."""
    channels = [1, x.shape[1], *[1] * (len(x.shape) - 2)]
    scale, shift = (None if value is None else np.reshape(value, channels) for value in (gamma, beta))
    return _normalised(x, list(range(2, len(x.shape))), scale, shift, epsilon)


def layer_norm(x: Any, axes: Any = None, gamma: Any = None, beta: Any = None, epsilon: Any = 1e-5) -> Any:
    """Normalises by mean and variance over axes, whose sizes are the shape of `gamma` and `beta` (arXiv:1607.06450)."""
    reduced = layout.axes(x, range(1, len(x.shape)) if axes is None else axes)
    sizes = [size if axis in reduced else 1 for axis, size in enumerate(layout.shape(x))]
    scale, shift = (None if value is None else np.reshape(value, sizes) for value in (gamma, beta))
    return _normalised(x, reduced, scale, shift, epsilon)


def layer_norm_layer(layer: Any, x: Any) -> Any:
    sizes = list(layer.normalizedShape)
    gamma, beta = (weights(field, sizes) for field in (layer.gamma, layer.beta))
    return layer_norm(x, range(-len(sizes), 0), gamma, beta, layer.eps)


def l2_norm(x: Any, epsilon: Any = 1e-6) -> Any:
    """Divides by the root of the sum of squares over the last three axes."""
    reduced = layout.axes(x, range(-min(3, len(x.shape)), 0))
    return x * tf.math.rsqrt(tf.reduce_sum(tf.square(x), reduced, keepdims=True) + epsilon)


def l2_norm_layer(layer: Any, x: Any) -> Any:
    return l2_norm(x, layer.epsilon)


def scale_layer(layer: Any, x: Any) -> Any:
    """Multiplies by one factor, one a channel or one an element, and adds a bias of such a shape."""
    y = pointwise(tf.multiply, x, weights(layer.scale, layer.shapeScale))
    return pointwise(tf.add, y, weights(layer.bias, layer.shapeBias)) if layer.hasBias else y


def bias_layer(layer: Any, x: Any) -> Any:
    return pointwise(tf.add, x, weights(layer.bias, layer.shape))


def _normalised(x: Any, axes: list[int], scale: Any, shift: Any, epsilon: Any) -> Any:
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), axes, keepdims=True)
    y = (x - mean) * tf.math.rsqrt(variance + epsilon)
    y = y if scale is None else y * scale
    return y if shift is None else y + shift


def _affine(x: Any, scale: Any, shift: Any) -> Any:
    channels = (x.shape[1], *[1] * (len(x.shape) - 2))
    factor, offset = (np.reshape(value, channels).astype(np.float32) for value in (scale, shift))
    return pointwise(lambda x, factor, offset: x * factor + offset, x, factor, offset)
