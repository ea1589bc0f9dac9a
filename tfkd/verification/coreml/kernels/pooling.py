"""Pooling of feature maps, [n, C, H, W]."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verification.coreml.kernels.padding import NONE, Borders, borders, layer_borders, positive
from tfkd.verification.coreml.layout import CHANNELS_FIRST, CHANNELS_LAST, aligned, transpose
from tfkd.verification.coreml.limits import UnsupportedError

_MAX, _AVERAGE = "MAX", "AVERAGE"


def max_pool(
    x: Any,
    kernel_sizes: Sequence[int],
    pad_type: str,
    strides: Sequence[int] = (1, 1),
    pad: Sequence[int] = (0, 0, 0, 0),
    ceil_mode: Any = False,
) -> Any:
    """Takes the largest value of each window; borders never win."""

    def pooled(x: Any, window: list[int], steps: list[int], edges: Borders, beyond: Borders) -> Any:
        if edges.name is None or beyond != NONE:
            for border in (edges, beyond):
                x = tf.pad(x, border.amounts, constant_values=x.dtype.min)
            edges = NONE
        return tf.nn.max_pool2d(x, window, steps, edges.name)

    return _pool(pooled, x, kernel_sizes, pad_type, strides, pad, ceil_mode)


def avg_pool(
    x: Any,
    kernel_sizes: Sequence[int],
    pad_type: str,
    strides: Sequence[int] = (1, 1),
    pad: Sequence[int] = (0, 0, 0, 0),
    exclude_padding_from_average: Any = False,
    ceil_mode: Any = False,
) -> Any:
    """Averages each window; the zeros of the borders count unless they are excluded.

    What a window reaches beyond the borders, where the size of the result is rounded up, never counts.
    """

    def pooled(x: Any, window: list[int], steps: list[int], edges: Borders, beyond: Borders) -> Any:
        if beyond != NONE:
            counted = np.ones((1, *x.shape[1:3], 1), np.float32)
            counted = np.pad(counted, edges.amounts, constant_values=0.0 if exclude_padding_from_average else 1.0)
            counted = tf.nn.avg_pool2d(np.pad(counted, beyond.amounts), window, steps, "VALID")
            return tf.nn.avg_pool2d(tf.pad(tf.pad(x, edges.amounts), beyond.amounts), window, steps, "VALID") / counted
        if edges.name == "VALID" or (edges.name == "SAME" and exclude_padding_from_average):
            return tf.nn.avg_pool2d(x, window, steps, edges.name)
        mean = tf.nn.avg_pool2d(tf.pad(x, edges.amounts), window, steps, "VALID")
        if not exclude_padding_from_average:
            return mean
        inside = np.pad(np.ones((1, *x.shape[1:3], 1), np.float32), edges.amounts)
        return mean / tf.nn.avg_pool2d(inside, window, steps, "VALID")

    return _pool(pooled, x, kernel_sizes, pad_type, strides, pad, ceil_mode)


def pooling_layer(layer: Any, x: Any) -> Any:
    kind = type(layer).PoolingType.Name(layer.type)
    if kind not in (_MAX, _AVERAGE):
        raise UnsupportedError(f"it pools by {kind}, which is not known")
    if layer.globalPooling:
        return _pooled_globally(tf.reduce_max if kind == _MAX else tf.reduce_mean, x)
    window, strides = list(layer.kernelSize) or [3, 3], list(layer.stride) or [1, 1]
    rounds_up = layer.WhichOneof("PoolingPaddingType") == "includeLastPixel"
    if rounds_up:
        down, right = list(layer.includeLastPixel.paddingAmounts) or [0, 0]
        pad_type, pad = "custom", [down, down, right, right]
    else:
        pad_type, pad = layer_borders(layer, "PoolingPaddingType")
    if kind == _MAX:
        return max_pool(x, window, pad_type, strides, pad, rounds_up)
    return avg_pool(x, window, pad_type, strides, pad, layer.avgPoolExcludePadding, rounds_up)


def _pool(
    pooled: Callable[..., Any],
    x: Any,
    kernel_sizes: Sequence[int],
    pad_type: str,
    strides: Sequence[int],
    pad: Sequence[int],
    ceil_mode: Any,
) -> Any:
    if len(x.shape) == 3:  # a row of positions
        ends = [0, 0, *pad] if len(pad) == 2 else pad
        row = _pool(pooled, x[:, :, None], [1, *kernel_sizes], pad_type, [1, *strides], ends, ceil_mode)
        return row[:, :, 0]
    if len(x.shape) != 4:
        raise UnsupportedError(f"it pools {x.shape}; only images and rows are known")
    window, steps = positive(kernel_sizes), positive(strides)
    edges = borders(pad_type, pad, window, steps, x.shape[2:])
    beyond = _beyond(x.shape[2:], window, steps, edges) if ceil_mode else NONE
    return transpose(pooled(transpose(x, CHANNELS_LAST), window, steps, edges, beyond), CHANNELS_FIRST)


def _beyond(size: Sequence[int], window: list[int], steps: list[int], edges: Borders) -> Borders:
    """Returns what the last windows need beyond the borders, where the size of the result is rounded up.

    A window that would begin beyond the image is left out, as PyTorch does.
    """
    needed = []
    for length, extent, step, (before, after) in zip(size, window, steps, edges.amounts[1:3], strict=True):
        count = -(-(length + before + after - extent) // step) + 1
        count -= (count - 1) * step >= length + before
        needed.append(max((count - 1) * step + extent - length - before - after, 0))
    return Borders(None, 0, needed[0], 0, needed[1]) if any(needed) else NONE


def _pooled_globally(function: Callable[..., Any], x: Any) -> Any:
    if len(x.shape) != 4:
        raise ValueError(f"it pools {x.shape}; only images are known")
    (source,), order = aligned(x)
    return transpose(function(source, [order[2], order[3]], keepdims=True), order)
