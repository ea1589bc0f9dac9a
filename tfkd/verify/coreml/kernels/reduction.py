"""Reductions along axes."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfkd.verify.coreml import layout


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the kernel that reduces by one of TensorFlow's functions, such as tf.reduce_mean."""

    def kernel(x: Any, axes: Any = None, keep_dims: Any = False) -> Any:
        chosen = layout.axes(x, range(len(x.shape)) if axes is None else axes)
        (source,), order = layout.aligned(x)
        reduced = layout.transpose(function(source, [order[axis] for axis in chosen], keepdims=True), order)
        rest = [size for axis, size in enumerate(layout.shape(x)) if axis not in chosen]
        return reduced if keep_dims else layout.reshape(reduced, rest)

    return kernel


def reduction_layer(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the kernel of a neural network's reducing layer."""
    kernel = reduction(function)
    return lambda layer, x: kernel(x, None if layer.reduceAll else list(layer.axes), layer.keepDims)


def sum_of_squares(x: Any, axis: list[int], keepdims: bool) -> Any:
    return tf.reduce_sum(tf.square(x), axis, keepdims=keepdims)
