"""Core ML lays images out as [n, channels, height, width]; TensorFlow's CPU kernels want the channels last.

A kernel transposes to the layout that it needs and back. Written so, nearly every second transposition undoes the one
before it, and the functions here leave such pairs out while a graph is traced: `transpose` composes with the
transposition that made its argument, and elementwise functions are applied before that transposition, not behind it. A
network then runs with its channels last from the image to the pooling, and the kernels need not know.

The first axis of a value that follows from the image is the batch, of unknown size, where Core ML has a size of 1.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verification.coreml.limits import BatchError

CHANNELS_LAST = (0, 2, 3, 1)
CHANNELS_FIRST = (0, 3, 1, 2)


def transpose(value: Any, order: Sequence[int]) -> Any:
    """Transposes as NumPy does; a transposition that this one undoes costs nothing.

    Raises:
        BatchError: `order` moves the batch.
        ValueError: `order` is no permutation of the axes.
    """
    order = [int(axis) for axis in order]
    if sorted(order) != list(range(len(value.shape))):
        raise ValueError(f"the axes {order} are no permutation of those of {shape(value)}")
    if batched(value) and order[0] != 0:
        raise BatchError("it moves the axis of the batch")
    if isinstance(value, np.ndarray):
        return np.transpose(value, order)
    source, before = _source(value)
    composed = [before[axis] for axis in order]
    return source if composed == sorted(composed) else tf.transpose(source, composed)


def aligned(*values: Any) -> tuple[list[Any], list[int]]:
    """Returns values in the layout in which the first transposed one of them was computed, and the way back.

    Args:
        values: of shapes that broadcast; smaller ranks are filled up with axes of size 1 in front.

    Returns:
        The values, all of one rank, and the `order` for which `transpose(value, order)` is each of them again.
    """
    rank = max(len(value.shape) for value in values)
    filled = [_of_rank(value, rank) for value in values]
    order = next((order for _, order in map(_source, filled) if order != sorted(order)), list(range(rank)))
    inverse = [order.index(axis) for axis in range(rank)]
    return [transpose(value, inverse) for value in filled], order


def pointwise(function: Callable[..., Any], *values: Any) -> Any:
    """Applies an elementwise function of broadcast values, in whatever layout they lie."""
    operands, order = aligned(*values)
    return transpose(function(*operands), order)


def reshape(value: Any, target: Sequence[int]) -> Any:
    """Reshapes one image's value and keeps the batch in front.

    Args:
        value: any shape.
        target: of one image; one size may be -1, and 0 keeps the size of the same axis.

    Raises:
        BatchError: the first size is not 1, so that the images of a batch would mix.
        ValueError: the sizes do not fit.
    """
    target = [int(size) for size in target]
    known = shape(value)
    if 0 in target and len(target) != len(known):
        raise ValueError(f"the shape {target} keeps axes of {known}, which has another rank")
    target = [before if size == 0 else size for size, before in zip(target, [*known, *target], strict=False)]
    if target.count(-1) == 1:
        rest = -math.prod(target)
        target = [math.prod(known) // max(rest, 1) if size == -1 else size for size in target]
    if min(target, default=1) < 1 or math.prod(target) != math.prod(known):
        raise ValueError(f"the shape {known} cannot become {target}")
    if not batched(value):
        return tf.reshape(value, target)
    if target[:1] != [1]:
        raise BatchError("it mixes the images of a batch")
    return tf.reshape(value, [-1, *target[1:]])


def axes(value: Any, numbers: Sequence[int]) -> list[int]:
    """Returns axes counted from the front.

    Raises:
        BatchError: one of them is the batch's.
        ValueError: there is no such axis.
    """
    rank = len(value.shape)
    counted = [int(axis) + rank if axis < 0 else int(axis) for axis in numbers]
    if any(not 0 <= axis < rank for axis in counted):
        raise ValueError(f"there are no axes {list(map(int, numbers))} in {shape(value)}")
    if batched(value) and 0 in counted:
        raise BatchError("it computes across the images of a batch")
    return counted


def batched(value: Any) -> bool:
    """Tells whether a value follows from the images."""
    return bool(len(value.shape)) and value.shape[0] is None


def shape(value: Any) -> list[int]:
    """Returns the shape of one image's value, as Core ML has it."""
    return [1 if size is None else int(size) for size in value.shape]


def _source(value: Any) -> tuple[Any, list[int]]:
    if tf.is_symbolic_tensor(value) and value.op.type == "Transpose":
        order = tf.get_static_value(value.op.inputs[1])
        if order is not None:  # TensorFlow's own, inside a function of its own, may be computed
            return value.op.inputs[0], [int(axis) for axis in order]
    return value, list(range(len(value.shape)))


def _of_rank(value: Any, rank: int) -> Any:
    missing = rank - len(value.shape)
    return value[(np.newaxis,) * missing] if missing else value
