"""Operators that select, repeat or reorder elements."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verification.coreml import layout
from tfkd.verification.coreml.limits import BatchError

_MOST_REPEATS = 1 << 16


def gather(x: Any, indices: Any, axis: Any = 0, batch_dims: Any = 0, validate_indices: Any = False) -> Any:
    """Takes slices along an axis; negative indices count from the end."""
    (axis,) = layout.axes(x, [axis])
    if int(batch_dims) and (layout.batched(x) or layout.batched(indices)):
        raise BatchError("it gathers along the axis of the batch")
    if layout.batched(x) and layout.batched(indices):
        raise BatchError("it gathers by indices of each image")
    return tf.gather(x, _places(indices, int(x.shape[axis])), axis=axis, batch_dims=int(batch_dims))


def gather_layer(layer: Any, x: Any, indices: Any) -> Any:
    return gather(x, indices, layer.axis)


def gather_along_axis(x: Any, indices: Any, axis: Any = 0, validate_indices: Any = False) -> Any:
    """Takes elements along an axis; all other axes of the indices are those of the value."""
    (axis,) = layout.axes(x, [axis])
    if layout.batched(x) != layout.batched(indices):
        raise BatchError("it gathers by indices that all images share")
    axes = [each for each in range(len(x.shape)) if each != axis] + [axis]
    back = [axes.index(each) for each in range(len(axes))]
    places = _places(indices, int(x.shape[axis]))
    gathered = tf.gather(tf.transpose(x, axes), tf.transpose(places, axes), axis=-1, batch_dims=len(axes) - 1)
    return tf.transpose(gathered, back)


def gather_along_axis_layer(layer: Any, x: Any, indices: Any) -> Any:
    return gather_along_axis(x, indices, layer.axis)


def tile(x: Any, reps: Sequence[int]) -> Any:
    """Repeats a value along each axis."""
    times = [int(count) for count in reps]
    if len(times) != len(x.shape) or not all(1 <= count <= _MOST_REPEATS for count in times):
        raise ValueError(f"it repeats {layout.shape(x)} {times} times")
    if layout.batched(x) and times[0] != 1:
        raise BatchError("it repeats the images of a batch")
    return tf.tile(x, times)


def tile_layer(layer: Any, x: Any) -> Any:
    return tile(x, layer.reps)


def reverse(x: Any, axes: Sequence[int] | None = None) -> Any:
    """Turns axes round: the given ones, or all."""
    return tf.reverse(x, layout.axes(x, range(len(x.shape)) if axes is None else axes))


def reverse_layer(layer: Any, x: Any) -> Any:
    return reverse(x, [axis for axis, turned in enumerate(layer.reverseDim) if turned])


def stack(values: Any, axis: Any) -> Any:
    values = values if isinstance(values, list) else [values]
    if len({layout.batched(value) for value in values}) != 1:
        raise BatchError("it stacks the images with a constant")
    place = int(axis) % (len(values[0].shape) + 1)
    if layout.batched(values[0]) and place == 0:
        raise BatchError("it stacks values in front of the batch")
    return tf.stack(values, place)


def stack_layer(layer: Any, *values: Any) -> Any:
    return stack(list(values), layer.axis)


def one_hot(indices: Any, one_hot_vector_size: Any, axis: Any = -1, on_value: Any = 1.0, off_value: Any = 0.0) -> Any:
    """Writes each index as a vector of one `on_value` among values of `off_value`."""
    place = int(axis) % (len(indices.shape) + 1)
    size = int(one_hot_vector_size)
    if not 1 <= size <= _MOST_REPEATS:
        raise ValueError(f"it makes vectors of {size} numbers")
    encoded = tf.one_hot(tf.cast(indices, tf.int32), size, np.float32(on_value), np.float32(off_value), axis=place)
    return encoded


def one_hot_layer(layer: Any, indices: Any, *size: Any) -> Any:
    return one_hot(indices, layer.oneHotVectorSize, layer.axis, layer.onValue, layer.offValue)


def topk(x: Any, k: Any, axis: Any = -1, ascending: Any = False) -> list[Any]:
    """Returns the largest values along an axis, or the smallest, in order, and their places."""
    (axis,) = layout.axes(x, [axis])
    order = [each for each in range(len(x.shape)) if each != axis] + [axis]
    back = [order.index(each) for each in range(len(order))]
    signed = tf.transpose(-x if ascending else x, order)
    values, places = tf.math.top_k(signed, int(k))
    return [tf.transpose(-values if ascending else values, back), tf.transpose(places, back)]


def topk_layer(layer: Any, x: Any) -> list[Any]:
    values, places = topk(x, layer.K, layer.axis, layer.useBottomK)
    return [values, tf.cast(places, tf.float32)]


def fill(shape: Sequence[int], value: Any = 0.0) -> np.ndarray:
    sizes = [int(size) for size in shape]
    if not all(1 <= size <= _MOST_REPEATS for size in sizes):
        raise ValueError(f"it fills {sizes}")
    return np.full(sizes, value, np.asarray(value).dtype)


def fill_like(ref_tensor: Any, value: Any = 0.0) -> Any:
    return tf.fill(tf.shape(ref_tensor), tf.constant(value))


def _places(indices: Any, size: int) -> Any:
    """Returns whole, non-negative indices; a neural network holds them as numbers of floating point."""
    whole = tf.cast(indices, tf.int32)
    return tf.where(whole < 0, whole + size, whole)
