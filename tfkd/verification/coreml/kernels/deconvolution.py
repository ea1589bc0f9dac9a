"""Transposed convolutions of feature maps, [n, C, H, W]: the gradient of a convolution."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verification.coreml.kernels.padding import positive
from tfkd.verification.coreml.layout import CHANNELS_FIRST, CHANNELS_LAST, transpose
from tfkd.verification.coreml.limits import UnsupportedError

_WEIGHTS_LAST = (2, 3, 1, 0)


def conv_transpose(
    x: Any,
    weight: np.ndarray,
    pad_type: str = "valid",
    strides: Sequence[int] = (1, 1),
    pad: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: Any = 1,
    bias: np.ndarray | None = None,
    output_shape: Sequence[int] | None = None,
) -> Any:
    """Spreads each position by the weights and adds what overlaps.

    Args:
        x: [n, C_in, H, W].
        weight: [C_in, C_out / groups, h, w].
        pad_type: valid; custom, which cuts `pad` off; or same, which leaves H * stride, the odd row cut off below and
            on the right.
        strides: down and right.
        pad: top, bottom, left, right; read if `pad_type` is custom.
        dilations: down and right.
        groups: that the channels are cut into.
        bias: [C_out].
        output_shape: ends in height and width of the result; zeros fill what is missing below and on the right.
    """
    if len(x.shape) != 4 or not isinstance(weight, np.ndarray) or weight.ndim != 4:
        raise UnsupportedError(f"it spreads {x.shape} by {weight.shape}; only images by constant weights are known")
    groups, strides, dilations = int(groups), positive(strides), positive(dilations)
    if groups < 1 or weight.shape[0] != x.shape[1] or weight.shape[0] % groups:
        raise ValueError(f"weights {weight.shape} in {groups} groups do not fit {x.shape[1]} channels")
    filters = spread(np.transpose(weight, _WEIGHTS_LAST), dilations)
    whole = _spread_out(transpose(x, CHANNELS_LAST), filters, strides, groups)
    sizes: list[int | None] = [None, None] if output_shape is None else [int(size) for size in output_shape[-2:]]
    edges = [
        _cut(pad_type, size * step, full, ends, requested)
        for size, step, full, ends, requested in zip(
            x.shape[2:], strides, whole.shape[1:3], (list(pad[:2]), list(pad[2:])), sizes, strict=True
        )
    ]
    (top, height), (left, width) = edges
    missing = [max(first + size - full, 0) for (first, size), full in zip(edges, whole.shape[1:3], strict=True)]
    whole = tf.pad(whole, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
    y = whole[:, top : top + height, left : left + width]
    return transpose(y if bias is None else tf.nn.bias_add(y, bias), CHANNELS_FIRST)


def _spread_out(x: Any, filters: np.ndarray, strides: list[int], groups: int) -> Any:
    """Returns all that the positions reach, [n, (H - 1) * stride + h, (W - 1) * stride + w, C_out]."""
    sizes = [
        (size - 1) * step + side for size, step, side in zip(x.shape[1:3], strides, filters.shape[:2], strict=True)
    ]
    parts = [
        tf.nn.conv2d_transpose(part, kernels, [tf.shape(x)[0], *sizes, kernels.shape[2]], strides, "VALID")
        for part, kernels in zip(tf.split(x, groups, -1), np.split(filters, groups, -1), strict=True)
    ]
    joined = parts[0] if groups == 1 else tf.concat(parts, -1)
    return tf.ensure_shape(joined, [x.shape[0], *sizes, joined.shape[-1]])


def _cut(pad_type: str, same: int, full: int, pad: list[int], requested: int | None) -> tuple[int, int]:
    """Returns where the result begins along an axis, and its size."""
    if pad_type in ("same", "same_lower"):
        size = requested or same
        odd = pad_type == "same_lower"
        return (max(full - size, 0) + odd) // 2, size
    before, after = (int(amount) for amount in pad) if pad_type == "custom" else (0, 0)
    return before, requested or full - before - after


def spread(filters: np.ndarray, dilations: Sequence[int]) -> np.ndarray:
    """Writes a dilated filter with its gaps: TensorFlow knows no dilated depthwise convolution with strides."""
    rows, columns = ((size - 1) * dilation + 1 for size, dilation in zip(filters.shape[:2], dilations, strict=True))
    spread = np.zeros((rows, columns, *filters.shape[2:]), filters.dtype)
    spread[:: dilations[0], :: dilations[1]] = filters
    return spread
