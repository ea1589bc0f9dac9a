"""Pooling of images, [n, channels, height, width]."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verify.coreml.kernels.padding import NONE, Borders, borders, layer_borders, positive
from tfkd.verify.coreml.layout import CHANNELS_FIRST, CHANNELS_LAST, aligned, transpose

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

    def pooled(x: Any, window: list[int], steps: list[int], edges: Borders) -> Any:
        if edges.name is None:
            x, edges = tf.pad(x, edges.amounts, constant_values=x.dtype.min), NONE
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
    """Averages each window; the zeros of the borders count unless they are excluded."""

    def pooled(x: Any, window: list[int], steps: list[int], edges: Borders) -> Any:
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
        raise ValueError(f"it pools by {kind}, which is not known")
    if layer.globalPooling:
        return _pooled_globally(tf.reduce_max if kind == _MAX else tf.reduce_mean, x)
    pad_type, pad = layer_borders(layer, "PoolingPaddingType")
    window, strides = list(layer.kernelSize) or [3, 3], list(layer.stride) or [1, 1]
    if kind == _MAX:
        return max_pool(x, window, pad_type, strides, pad)
    return avg_pool(x, window, pad_type, strides, pad, layer.avgPoolExcludePadding)


def _pool(
    pooled: Callable[..., Any],
    x: Any,
    kernel_sizes: Sequence[int],
    pad_type: str,
    strides: Sequence[int],
    pad: Sequence[int],
    ceil_mode: Any,
) -> Any:
    if len(x.shape) != 4:
        raise ValueError(f"it pools {x.shape}; only images are known")
    if ceil_mode:
        raise ValueError("it rounds its output size up (ceil_mode), which is not known")
    window, steps = positive(kernel_sizes), positive(strides)
    edges = borders(pad_type, pad, window, steps, x.shape[2:])
    return transpose(pooled(transpose(x, CHANNELS_LAST), window, steps, edges), CHANNELS_FIRST)


def _pooled_globally(function: Callable[..., Any], x: Any) -> Any:
    if len(x.shape) != 4:
        raise ValueError(f"it pools {x.shape}; only images are known")
    (source,), order = aligned(x)
    return transpose(function(source, [order[2], order[3]], keepdims=True), order)
