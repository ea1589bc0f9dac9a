"""Arithmetic on single elements, with NumPy's broadcasting."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verification.coreml.layout import pointwise
from tfkd.verification.coreml.running import Kernel

_UNARY_FUNCTION = {
    "SQRT": lambda x, layer: tf.sqrt(x),
    "RSQRT": lambda x, layer: tf.math.rsqrt(x + layer.epsilon),
    "INVERSE": lambda x, layer: 1.0 / (x + layer.epsilon),
    "POWER": lambda x, layer: tf.pow(x, layer.alpha),
    "EXP": lambda x, layer: tf.exp(x),
    "LOG": lambda x, layer: tf.math.log(x),
    "ABS": lambda x, layer: tf.abs(x),
    "THRESHOLD": lambda x, layer: tf.maximum(x, layer.alpha),
}

_CASTS = {
    "bool": tf.bool,
    "fp16": tf.float32,
    "fp32": tf.float32,
    "int16": tf.int16,
    "int32": tf.int32,
    "uint16": tf.uint16,
}


def unary(function: Kernel) -> Kernel:
    """Returns the kernel of an operation with one argument."""
    return lambda x: pointwise(function, x)


def binary(function: Kernel) -> Kernel:
    """Returns the kernel of an operation with two arguments."""
    return lambda x, y: pointwise(function, x, y)


def log(x: Any, epsilon: Any = 1e-45) -> Any:
    return pointwise(lambda x: tf.math.log(x + epsilon), x)


def rsqrt(x: Any, epsilon: Any = 1e-12) -> Any:
    return pointwise(lambda x: tf.math.rsqrt(x + epsilon), x)


def inverse(x: Any, epsilon: Any = 1e-4) -> Any:
    return pointwise(lambda x: 1.0 / (x + epsilon), x)


def clip(x: Any, alpha: Any, beta: Any) -> Any:
    return pointwise(lambda x: tf.clip_by_value(x, alpha, beta), x)


def cast(x: Any, dtype: str) -> Any:
    """Casts to a type of Core ML; the caller rounds what is declared as float16."""
    if dtype not in _CASTS:
        raise ValueError(f"it casts to {dtype}")
    return pointwise(lambda x: tf.cast(x, _CASTS[dtype]), x)


def identity(x: Any) -> Any:
    return x


def plain_layer(function: Kernel) -> Kernel:
    """Returns the kernel of a layer with one input and no parameters."""
    return lambda layer, x: pointwise(function, x)


def threshold(x: Any, alpha: Any) -> Any:
    return pointwise(lambda x: tf.maximum(x, alpha), x)


def unary_layer(layer: Any, x: Any) -> Any:
    """Computes f(scale * x + shift) for the function that the layer names."""
    function = _UNARY_FUNCTION[type(layer).Operation.Name(layer.type)]
    return pointwise(lambda x: function(x * layer.scale + layer.shift, layer), x)


def clip_layer(layer: Any, x: Any) -> Any:
    return clip(x, layer.minVal, layer.maxVal)


def sum_layer(layer: Any, *values: Any) -> Any:
    """Adds its inputs, or a constant to its only input."""
    return _folded(tf.add, values if len(values) > 1 else (*values, np.float32(layer.alpha)))


def product_layer(layer: Any, *values: Any) -> Any:
    """Multiplies its inputs, or its only input by a constant."""
    return _folded(tf.multiply, values if len(values) > 1 else (*values, np.float32(layer.alpha)))


def folding_layer(function: Kernel) -> Kernel:
    """Returns the kernel of a layer that joins any number of inputs from left to right."""
    return lambda layer, *values: _folded(function, values)


def binary_layer(function: Kernel) -> Kernel:
    """Returns the kernel of a layer with two inputs that broadcast."""
    return lambda layer, x, y: pointwise(function, x, y)


def copy_layer(layer: Any, x: Any) -> Any:
    return x


def _folded(function: Kernel, values: tuple[Any, ...]) -> Any:
    result, *others = values
    for value in others:
        result = pointwise(function, result, value)
    return result
