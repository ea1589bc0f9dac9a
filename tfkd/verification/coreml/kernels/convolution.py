"""Convolutions of feature maps, [n, C, H, W]."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verification.coreml.kernels.deconvolution import conv_transpose, spread
from tfkd.verification.coreml.kernels.padding import NONE, Borders, borders, layer_borders, positive
from tfkd.verification.coreml.layout import CHANNELS_FIRST, CHANNELS_LAST, transpose
from tfkd.verification.coreml.limits import UnsupportedError
from tfkd.verification.coreml.weights import weights

_WEIGHTS_LAST = (2, 3, 1, 0)


def conv(
    x: Any,
    weight: np.ndarray,
    pad_type: str,
    strides: Sequence[int] = (1, 1),
    pad: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: Any = 1,
    bias: np.ndarray | None = None,
) -> Any:
    """Convolves images.

    Args:
        x: [n, C_in, H, W].
        weight: [C_out, C_in / groups, h, w].
        pad_type: valid, same, same_lower or custom.
        strides: down and right.
        pad: top, bottom, left, right; read if `pad_type` is custom.
        dilations: down and right.
        groups: that the channels are cut into; each sees its own inputs alone.
        bias: [C_out].
    """
    if len(x.shape) == 3 and len(weight.shape) == 3:  # a row of positions
        ends = [0, 0, *pad] if len(pad) == 2 else pad
        row = conv(x[:, :, None], weight[:, :, None], pad_type, _along(strides), ends, _along(dilations), groups, bias)
        return row[:, :, 0]
    if len(x.shape) != 4 or not isinstance(weight, np.ndarray) or weight.ndim != 4:
        raise UnsupportedError(f"it convolves {x.shape} by {weight.shape}; only images by constant weights are known")
    groups, strides, dilations = int(groups), positive(strides), positive(dilations)
    if groups < 1 or weight.shape[1] * groups != x.shape[1] or weight.shape[0] % groups:
        raise ValueError(f"weights {weight.shape} in {groups} groups do not fit {x.shape[1]} channels")
    extent = [(size - 1) * dilation + 1 for size, dilation in zip(weight.shape[2:], dilations, strict=True)]
    edges = borders(pad_type, pad, extent, strides, x.shape[2:])
    y = _convolved(transpose(x, CHANNELS_LAST), weight, strides, edges, dilations, groups)
    return transpose(y if bias is None else tf.nn.bias_add(y, bias), CHANNELS_FIRST)


def convolution_layer(layer: Any, x: Any) -> Any:
    size, groups = list(layer.kernelSize) or [3, 3], max(layer.nGroups, 1)
    bias = weights(layer.bias, [layer.outputChannels]) if layer.hasBias else None
    pad_type, pad = layer_borders(layer, "ConvolutionPaddingType")
    strides, dilations = list(layer.stride) or [1, 1], list(layer.dilationFactor) or [1, 1]
    if layer.isDeconvolution:
        weight = weights(layer.weights, [layer.kernelChannels, layer.outputChannels // groups, *size])
        shape = list(layer.outputShape) or None
        return conv_transpose(x, weight, pad_type, strides, pad, dilations, groups, bias, shape)
    weight = weights(layer.weights, [layer.outputChannels, layer.kernelChannels, *size])
    return conv(x, weight, pad_type, strides, pad, dilations, groups, bias)


def _along(amounts: Sequence[int]) -> list[int]:
    """Returns what two axes have where a row of positions has one."""
    return [1, int(amounts[0])]


def _convolved(
    x: Any, weight: np.ndarray, strides: list[int], edges: Borders, dilations: list[int], groups: int
) -> Any:
    if 1 < groups == x.shape[-1] and strides[0] == strides[1]:
        return _depthwise(x, weight, strides, edges, dilations)
    filters = np.transpose(weight, _WEIGHTS_LAST)
    # One convolution a group: TensorFlow fuses a bias into a grouped one and then cannot run it on a CPU.
    parts = [
        tf.nn.conv2d(inputs, kernels, strides, edges.of_convolution(), dilations=dilations)
        for inputs, kernels in zip(tf.split(x, groups, -1), np.split(filters, groups, -1), strict=True)
    ]
    return parts[0] if groups == 1 else tf.concat(parts, -1)


def _depthwise(x: Any, weight: np.ndarray, strides: list[int], edges: Borders, dilations: list[int]) -> Any:
    channels = x.shape[-1]
    if edges.name is None:  # borders that fused with a bias end the process, where TensorFlow computes with oneDNN
        x, edges = tf.pad(x, edges.amounts), NONE
    filters = weight.reshape(channels, -1, *weight.shape[2:]).transpose(2, 3, 0, 1)
    return tf.nn.depthwise_conv2d(x, spread(filters, dilations), [1, *strides, 1], edges.of_convolution())
