"""Reductions along axes."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfkd.verification.coreml import layout


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the kernel that reduces by one of TensorFlow's functions, such as tf.reduce_mean."""

    def kernel(x: Any, axes: Any = None, keep_dims: Any = False) -> Any:
        reduced_axes = layout.axes(x, range(len(x.shape)) if axes is None else axes)
        (source,), order = layout.aligned(x)
        reduced = layout.transpose(function(source, [order[axis] for axis in reduced_axes], keepdims=True), order)
        rest = [size for axis, size in enumerate(layout.shape(x)) if axis not in reduced_axes]
        return reduced if keep_dims else layout.reshape(reduced, rest)

    return kernel


def reduction_layer(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the kernel of a neural network's reducing layer."""
    kernel = reduction(function)
    return lambda layer, x: kernel(x, None if layer.reduceAll else list(layer.axes), layer.keepDims)


def argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the kernel that gives the place of the largest or smallest value along an axis."""

    def kernel(x: Any, axis: Any = -1, keep_dims: Any = True, output_dtype: Any = None) -> Any:
        (reduced_axis,) = layout.axes(x, [axis])
        places = function(x, reduced_axis, output_type=tf.int32)
        return tf.expand_dims(places, reduced_axis) if keep_dims else places

    return kernel


def argument_layer(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the same kernel of a neural network, whose values are all floating point."""
    kernel = argument(function)
    return lambda layer, x: tf.cast(kernel(x, layer.axis, not layer.removeDim), tf.float32)


def log_of_sum(x: Any, axis: list[int], keepdims: bool) -> Any:
    return tf.math.log(tf.reduce_sum(x, axis, keepdims=keepdims))


def sum_of_absolutes(x: Any, axis: list[int], keepdims: bool) -> Any:
    return tf.reduce_sum(tf.abs(x), axis, keepdims=keepdims)


def euclidean(x: Any, axis: list[int], keepdims: bool) -> Any:
    return tf.sqrt(tf.reduce_sum(tf.square(x), axis, keepdims=keepdims))


def sum_of_squares(x: Any, axis: list[int], keepdims: bool) -> Any:
    return tf.reduce_sum(tf.square(x), axis, keepdims=keepdims)
