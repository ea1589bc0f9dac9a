"""Operators that move elements and do not change them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verification.coreml import layout
from tfkd.verification.coreml.limits import BatchError, UnsupportedError
from tfkd.verification.coreml.weights import weights

_MODES = {"constant": "CONSTANT", "reflect": "REFLECT"}
_LARGEST_PAD = 1 << 16


def reshape(x: Any, shape: Sequence[int]) -> Any:
    return layout.reshape(x, shape)


def transpose(x: Any, perm: Sequence[int]) -> Any:
    rank = len(x.shape)
    return layout.transpose(x, [int(axis) % rank for axis in perm])


def expand_dims(x: Any, axes: Sequence[int]) -> Any:
    rank = len(x.shape) + len(axes)
    shape = layout.shape(x)
    for axis in sorted(int(axis) % rank for axis in axes):
        shape.insert(axis, 1)
    return layout.reshape(x, shape)


def squeeze(x: Any, axes: Sequence[int] | None = None) -> Any:
    """Drops axes of size 1: the given ones, or all."""
    shape = layout.shape(x)
    dropped = [i for i, n in enumerate(shape) if n == 1] if axes is None else [int(a) % len(shape) for a in axes]
    if any(shape[axis] != 1 for axis in dropped):
        raise ValueError(f"it drops the axes {dropped} of {shape}, which are not all of size 1")
    return layout.reshape(x, [size for axis, size in enumerate(shape) if axis not in dropped])


def concat(values: Any, axis: Any, interleave: Any = False) -> Any:
    values = values if isinstance(values, list) else [values]
    if len({len(value.shape) for value in values}) != 1:
        raise ValueError("it joins values of different ranks")
    if len({layout.batched(value) for value in values}) != 1:
        raise BatchError("it joins the images with a constant")
    (axis,) = layout.axes(values[0], [axis])
    if interleave:
        return _interleaved(values, axis)
    sources, order = layout.aligned(*values)
    return layout.transpose(tf.concat(sources, order[axis]), order)


def split(x: Any, axis: Any, num_splits: Any = None, split_sizes: Any = None) -> list[Any]:
    """Cuts a value into parts of the given sizes, or into equal ones."""
    (axis,) = layout.axes(x, [axis])
    (source,), order = layout.aligned(x)
    sizes = int(num_splits) if split_sizes is None else [int(size) for size in split_sizes]
    return [layout.transpose(part, order) for part in tf.split(source, sizes, order[axis])]


def pad(x: Any, pad: Sequence[int], mode: str = "constant", constant_val: Any = 0.0) -> Any:
    """Pads the last axes; `pad` holds the amounts before and after each of them."""
    amounts = [int(amount) for amount in pad]
    rank = len(x.shape)
    if len(amounts) % 2 or len(amounts) > 2 * rank or not all(0 <= amount <= _LARGEST_PAD for amount in amounts):
        raise ValueError(f"it pads {layout.shape(x)} by {amounts}")
    if mode not in _MODES:
        raise UnsupportedError(f"it pads in the unknown way {mode}")
    pairs = [[0, 0]] * (rank - len(amounts) // 2) + [amounts[i : i + 2] for i in range(0, len(amounts), 2)]
    if layout.batched(x) and any(pairs[0]):
        raise BatchError("it pads the axis of the batch")
    (source,), order = layout.aligned(x)
    laid = [pairs[order.index(axis)] for axis in range(rank)]
    return layout.transpose(tf.pad(source, laid, _MODES[mode], float(constant_val)), order)


def slice_by_index(
    x: Any,
    begin: Sequence[int],
    end: Sequence[int],
    stride: Sequence[int] | None = None,
    begin_mask: Sequence[bool] | None = None,
    end_mask: Sequence[bool] | None = None,
    squeeze_mask: Sequence[bool] | None = None,
) -> Any:
    """Slices every axis as Python does; a squeezed axis keeps its element at `begin` alone and disappears."""
    rank = len(x.shape)
    steps = [1] * rank if stride is None else [int(step) for step in stride]
    if not len(begin) == len(end) == len(steps) == rank or 0 in steps:
        raise ValueError(f"it slices {layout.shape(x)} from {list(begin)} to {list(end)} in steps of {steps}")
    from_start, to_end, squeezed = (
        [False] * rank if mask is None else [bool(value) for value in mask]
        for mask in (begin_mask, end_mask, squeeze_mask)
    )
    first = [None if start else int(index) for index, start in zip(begin, from_start, strict=True)]
    last = [None if open_end else int(index) for index, open_end in zip(end, to_end, strict=True)]
    for axis, size in enumerate(layout.shape(x)):
        if squeezed[axis]:
            first[axis] = int(begin[axis]) % size
            last[axis], steps[axis] = int(begin[axis]) % size + 1, 1
    cuts = [slice(*ends) for ends in zip(first, last, steps, strict=True)]
    sliced = _sliced(x, cuts)
    rest = [size for size, drop in zip(layout.shape(sliced), squeezed, strict=True) if not drop]
    return layout.reshape(sliced, rest) if any(squeezed) else sliced


def slice_by_size(x: Any, begin: Sequence[int], size: Sequence[int]) -> Any:
    """Slices every axis from `begin`; a size of -1 takes all that follows."""
    to_end = [int(count) == -1 for count in size]
    end = [int(first) + int(count) for first, count in zip(begin, size, strict=True)]
    return slice_by_index(x, begin, end, end_mask=to_end)


def reshape_layer(layer: Any, x: Any) -> Any:
    return layout.reshape(x, layer.targetShape)


def transpose_layer(layer: Any, x: Any) -> Any:
    return transpose(x, layer.axes)


def expand_dims_layer(layer: Any, x: Any) -> Any:
    return expand_dims(x, layer.axes)


def squeeze_layer(layer: Any, x: Any) -> Any:
    return squeeze(x, None if layer.squeezeAll else layer.axes)


def flatten_to_2d_layer(layer: Any, x: Any) -> Any:
    """Joins the axes before the given one, and those from it on."""
    shape = layout.shape(x)
    axis = layer.axis % len(shape) if layer.axis < 0 else layer.axis
    return layout.reshape(x, [int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))])


def concat_layer(layer: Any, *values: Any) -> Any:
    """Joins channels, the third axis from the end."""
    if layer.sequenceConcat:
        raise UnsupportedError("it joins sequences, which is not known")
    return concat(list(values), -3)


def concat_nd_layer(layer: Any, *values: Any) -> Any:
    return concat(list(values), layer.axis, layer.interleave)


def split_nd_layer(layer: Any, x: Any) -> list[Any]:
    return split(x, layer.axis, layer.numSplits, list(layer.splitSizes) or None)


def slice_layer(layer: Any, x: Any) -> Any:
    return slice_by_index(
        x,
        layer.beginIds,
        layer.endIds,
        layer.strides,
        layer.beginMasks,
        layer.endMasks,
        list(layer.squeezeMasks) or None,
    )


def axis_slice_layer(layer: Any, x: Any) -> Any:
    """Slices one of the last three axes, channels, rows or columns, as NumPy does."""
    rank = len(x.shape)
    axis = rank - 3 + int(layer.axis)
    begins, ends, steps = [0] * rank, [0] * rank, [1] * rank
    begins[axis], ends[axis], steps[axis] = int(layer.startIndex), int(layer.endIndex), int(layer.stride) or 1
    whole = [each != axis for each in range(rank)]
    return slice_by_index(x, begins, ends, steps, whole, whole)


def constant_pad_layer(layer: Any, x: Any) -> Any:
    if layer.padToGivenOutputSizeMode:
        raise UnsupportedError("it pads to a given size, which is not known")
    return pad(x, layer.padAmounts, "constant", layer.value)


def padding_layer(layer: Any, x: Any) -> Any:
    """Pads height and width, the last two axes."""
    kind = layer.WhichOneof("PaddingType") or "constant"
    edges = [size for edge in layer.paddingAmounts.borderAmounts for size in (edge.startEdgeSize, edge.endEdgeSize)]
    return pad(x, edges or [0, 0, 0, 0], {"reflection": "reflect"}.get(kind, kind), layer.constant.value)


def crop_layer(layer: Any, x: Any) -> Any:
    """Cuts height and width, the last two axes."""
    edges = layer.cropAmounts.borderAmounts
    if len(edges) != 2:
        raise UnsupportedError("it cuts to the size of another value, which is not known")
    rank = len(x.shape)
    begin = [0] * (rank - 2) + [edge.startEdgeSize for edge in edges]
    end = [size - cut for size, cut in zip(layout.shape(x)[-2:], (edge.endEdgeSize for edge in edges), strict=True)]
    whole = [True] * (rank - 2)
    return slice_by_index(x, begin, [0] * (rank - 2) + end, None, [*whole, False, False], [*whole, False, False])


def constant_layer(layer: Any) -> np.ndarray:
    return weights(layer.data, layer.shape)


def _interleaved(values: list[Any], axis: int) -> Any:
    """Joins values of one shape so that their first slices along the axis come first, then their second ones, ..."""
    if len({tuple(value.shape) for value in values}) != 1:
        raise ValueError("it interleaves values of different shapes")
    sizes = [-1 if size is None else size for size in values[0].shape]
    sizes[axis] *= len(values)
    return tf.reshape(tf.stack(values, axis + 1), sizes)


def _sliced(x: Any, cuts: list[slice]) -> Any:
    if layout.batched(x):
        if list(range(1))[cuts[0]] != [0]:
            raise BatchError("it slices the axis of the batch")
        cuts = [slice(None), *cuts[1:]]
    (source,), order = layout.aligned(x)
    return layout.transpose(source[tuple(cuts[order.index(axis)] for axis in range(len(cuts)))], order)
