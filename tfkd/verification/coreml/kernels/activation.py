"""Activation functions."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verification.coreml.layout import aligned, axes, pointwise, transpose
from tfkd.verification.coreml.limits import UnsupportedError
from tfkd.verification.coreml.weights import weights

_LAYERS = {
    "linear": lambda x, p: p.alpha * x + p.beta,
    "ReLU": lambda x, p: tf.nn.relu(x),
    "leakyReLU": lambda x, p: tf.where(x >= 0, x, p.alpha * x),
    "thresholdedReLU": lambda x, p: tf.where(x >= p.alpha, x, tf.zeros_like(x)),
    "tanh": lambda x, p: tf.tanh(x),
    "scaledTanh": lambda x, p: p.alpha * tf.tanh(p.beta * x),
    "sigmoid": lambda x, p: tf.sigmoid(x),
    "sigmoidHard": lambda x, p: tf.clip_by_value(p.alpha * x + p.beta, 0.0, 1.0),
    "ELU": lambda x, p: tf.where(x >= 0, x, p.alpha * tf.math.expm1(x)),
    "softsign": lambda x, p: tf.nn.softsign(x),
    "softplus": lambda x, p: tf.nn.softplus(x),
}

_GELU = {
    "EXACT": lambda x: tf.nn.gelu(x),
    "TANH_APPROXIMATION": lambda x: tf.nn.gelu(x, approximate=True),
    "SIGMOID_APPROXIMATION": lambda x: x * tf.sigmoid(1.702 * x),
}


def linear_activation(x: Any, alpha: Any, beta: Any) -> Any:
    return pointwise(lambda x: alpha * x + beta, x)


def leaky_relu(x: Any, alpha: Any) -> Any:
    return pointwise(lambda x: tf.where(x >= 0, x, alpha * x), x)


def elu(x: Any, alpha: Any) -> Any:
    return pointwise(lambda x: tf.where(x >= 0, x, alpha * tf.math.expm1(x)), x)


def prelu(x: Any, alpha: Any) -> Any:
    """Scales negative values; `alpha` [channels] holds a slope for each channel, axis 1."""
    slopes = alpha.reshape(-1, *[1] * (len(x.shape) - 2))
    return pointwise(lambda x, slope: tf.where(x >= 0, x, slope * x), x, slopes)


def clamped_relu(x: Any, alpha: Any, beta: Any) -> Any:
    return pointwise(lambda x: tf.minimum(tf.where(x >= 0, x, alpha * x), beta), x)


def sigmoid_hard(x: Any, alpha: Any, beta: Any) -> Any:
    return pointwise(lambda x: tf.clip_by_value(alpha * x + beta, 0.0, 1.0), x)


def gelu(x: Any, mode: str = "EXACT") -> Any:
    if mode not in _GELU:
        raise UnsupportedError(f"it has the unknown mode {mode}")
    return pointwise(_GELU[mode], x)


def gelu_layer(layer: Any, x: Any) -> Any:
    return gelu(x, type(layer).GeluMode.Name(layer.mode))


def thresholded_relu(x: Any, alpha: Any = 1.0) -> Any:
    return pointwise(lambda x: tf.where(x >= alpha, x, tf.zeros_like(x)), x)


def clamped_relu_layer(layer: Any, x: Any) -> Any:
    return clamped_relu(x, layer.alpha, layer.beta)


def scaled_tanh(x: Any, alpha: Any = 1.0, beta: Any = 1.0) -> Any:
    return pointwise(lambda x: alpha * tf.tanh(beta * x), x)


def softplus_parametric(x: Any, alpha: Any, beta: Any) -> Any:
    """Computes alpha * log(1 + exp(beta * x)), with a pair of numbers for each channel, axis 1."""
    scales, factors = (np.reshape(each, (-1, *[1] * (len(x.shape) - 2))) for each in (alpha, beta))
    return pointwise(lambda x, scale, factor: scale * tf.nn.softplus(factor * x), x, scales, factors)


def softmax(x: Any, axis: Any = -1) -> Any:
    (axis,) = axes(x, [axis])
    (source,), order = aligned(x)
    return transpose(tf.nn.softmax(source, axis=order[axis]), order)


def activation_layer(layer: Any, x: Any) -> Any:
    """Computes the function that an activation layer names."""
    kind = layer.WhichOneof("NonlinearityType")
    if kind == "PReLU":
        return prelu(x, weights(layer.PReLU.alpha, [x.shape[1]]))
    if kind == "parametricSoftplus":
        numbers = layer.parametricSoftplus
        return softplus_parametric(x, *(weights(each, [x.shape[1]]) for each in (numbers.alpha, numbers.beta)))
    if kind not in _LAYERS:
        raise UnsupportedError(f"it has the unknown function {kind}")
    parameters = getattr(layer, kind)
    return pointwise(lambda x: _LAYERS[kind](x, parameters), x)


def softmax_layer(layer: Any, x: Any) -> Any:
    """Computes softmax over the channels, the third axis from the end."""
    return softmax(x, -3)


def softmax_nd_layer(layer: Any, x: Any) -> Any:
    return softmax(x, layer.axis)
