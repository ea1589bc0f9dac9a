"""Products of matrices."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verification.coreml.layout import batched
from tfkd.verification.coreml.limits import BatchError, UnsupportedError
from tfkd.verification.coreml.weights import weights


def matmul(x: Any, y: Any, transpose_x: Any = False, transpose_y: Any = False) -> Any:
    """Multiplies matrices, [..., m, k] by [..., k, n], and broadcasts the leading dimensions.

    Raises:
        ValueError: the shapes do not fit, or the images of a batch would mix.
    """
    if (batched(x) and len(x.shape) == 2 and transpose_x) or (batched(y) and len(y.shape) == 2):
        raise BatchError("it multiplies across the images of a batch")
    if len(y.shape) == 2 and not transpose_x:
        return _by_matrix(x, np.transpose(y) if transpose_y else y)
    return tf.matmul(x, y, transpose_a=bool(transpose_x), transpose_b=bool(transpose_y))


def linear(x: Any, weight: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """Computes x times the transposed weight, [..., k] by [n, k], plus a bias [n]."""
    y = _by_matrix(x, np.transpose(weight))
    return y if bias is None else y + bias


def inner_product_layer(layer: Any, x: Any) -> Any:
    if layer.int8DynamicQuantize:
        raise UnsupportedError("it quantizes its input as it runs, which is not known")
    weight = weights(layer.weights, [layer.outputChannels, layer.inputChannels])
    return linear(x, weight, weights(layer.bias, [layer.outputChannels]) if layer.hasBias else None)


def batched_matmul_layer(layer: Any, x: Any, y: Any = None) -> Any:
    """Multiplies its two inputs, or its only input by its weights, which are stored as [columns, rows]."""
    if layer.int8DynamicQuantize:
        raise UnsupportedError("it quantizes its input as it runs, which is not known")
    if y is not None:
        return matmul(x, y, layer.transposeA, layer.transposeB)
    rows, columns = layer.weightMatrixFirstDimension, layer.weightMatrixSecondDimension
    weight = weights(layer.weights, [columns, rows])
    return linear(x, weight, weights(layer.bias, [columns]) if layer.hasBias else None)


def _by_matrix(x: Any, matrix: Any) -> Any:
    """Multiplies by one matrix for all: a single large product is many times faster than a batch of rows."""
    depth, columns = matrix.shape
    if len(x.shape) < 2 or x.shape[-1] != depth:
        raise ValueError(f"it multiplies {x.shape} by {matrix.shape}")
    flat = tf.matmul(tf.reshape(x, [-1, depth]), matrix)
    return flat if len(x.shape) == 2 else tf.reshape(flat, [-1, *x.shape[1:-1], columns])
