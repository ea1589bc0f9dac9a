"""Kernel gradients of wide depthwise convolutions on small maps, as matrix products.

TensorFlow's operation is slow for kernels wider than three: on a processor for which it uses oneDNN it takes a quarter
of the training time of a MobileNetV3 at 64 px, most of it on maps of 2 to 8 positions per side.
"""

from functools import cache
from types import MethodType
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfkd.kernels.keras_private import is_training, layers_of

_PLAIN = keras.layers.DepthwiseConv2D
_WIDE = 5  # positions; narrower kernels are faster in TensorFlow's operation
_MOST_PAIRS = 4_096  # of a position that comes in and one that goes out: 8 x 8 of either; beyond, sums of few win


def quicken(model: keras.Model) -> None:
    """Replaces the gradients of a network's depthwise convolutions by matrix products, if those are faster.

    Outputs, weights and files of the layers do not change; gradients differ by rounding.
    """
    for layer in layers_of(model):
        if type(layer) is _PLAIN and layer.built and _fits(layer):
            layer.call = MethodType(_call, layer)


def _fits(layer: Any) -> bool:
    plain = layer.depth_multiplier == 1 and tuple(layer.dilation_rate) == (1, 1) and len(set(layer.strides)) == 1
    wide = min(layer.kernel_size) >= _WIDE
    return plain and wide and layer.data_format == "channels_last" and layer.compute_dtype == "float32"


def _call(self: Any, inputs: Any) -> Any:
    if not is_training(self) or not _is_small(inputs.shape, self.compute_output_shape(inputs.shape)):
        return _PLAIN.call(self, inputs)
    convolved = _convolution(self.strides[0], self.padding.upper())
    outputs = convolved(inputs, tf.convert_to_tensor(self.kernel))
    if self.use_bias:
        outputs = tf.nn.bias_add(outputs, self.bias)
    return outputs if self.activation is None else self.activation(outputs)


def _is_small(input_shape: Any, output_shape: Any) -> bool:
    sides = [*input_shape[1:3], *output_shape[1:3]]
    return None not in sides and int(np.prod(sides)) <= _MOST_PAIRS


def _convolution(stride: int, padding: str) -> Any:
    strides = (1, stride, stride, 1)

    @tf.custom_gradient
    def convolved(images: Any, kernel: Any) -> tuple[Any, Any]:
        def gradient(errors: Any) -> tuple[Any, Any]:
            back = tf.nn.depthwise_conv2d_backprop_input(tf.shape(images), kernel, errors, strides, padding)
            return back, _kernel_gradient(images, errors, kernel.shape, stride, padding)

        return tf.nn.depthwise_conv2d(images, kernel, strides, padding), gradient

    return convolved


def _kernel_gradient(images: Any, errors: Any, kernel: Any, stride: int, padding: str) -> Any:
    """Returns float32 [kernel height, kernel width, channels, 1] of images [b, h, w, c] and errors [b, h', w', c].

    Inputs times errors are summed over the batch for every pair of places, and then over the pairs that meet at the
    same weight.
    """
    (height, width, channels), (rows, columns) = images.shape[1:], errors.shape[1:3]
    inputs = tf.transpose(tf.reshape(images, [-1, height * width, channels]), [2, 1, 0])
    wrongs = tf.transpose(tf.reshape(errors, [-1, rows * columns, channels]), [2, 0, 1])
    pairs = tf.reshape(tf.matmul(inputs, wrongs), [channels, -1])
    meetings = _meetings((height, width), (rows, columns), tuple(kernel[:2]), stride, padding)
    return tf.reshape(tf.transpose(tf.matmul(pairs, meetings)), kernel)


@cache
def _meetings(
    input_sides: tuple[int, int], output_sides: tuple[int, int], sides: tuple[int, int], stride: int, padding: str
) -> npt.NDArray[np.float32]:
    """Returns which weight every pair of a position taken and one given meets: 0 or 1, [pairs, weights]."""
    tall, wide = (_along(*axis, stride, padding) for axis in zip(input_sides, output_sides, sides, strict=True))
    return np.einsum("pqi,rsj->prqsij", tall, wide).reshape(-1, sides[0] * sides[1])


def _along(inputs: int, outputs: int, side: int, stride: int, padding: str) -> npt.NDArray[np.float32]:
    """Returns the same along one axis, [taken, given, side]."""
    border = max((outputs - 1) * stride + side - inputs, 0) // 2 if padding == "SAME" else 0
    weight = np.arange(inputs)[:, None] + border - stride * np.arange(outputs)
    return (weight[..., None] == np.arange(side)).astype(np.float32)
