"""Batch normalisation in TensorFlow's fused kernel while a Keras network trains.

Keras puts it together from elementwise operations, which with their gradients take a CPU a quarter of the time that a
MobileNetV3 trains.
"""

from types import MethodType
from typing import Any

import keras
import tensorflow as tf

from tfkd.kernels.keras_private import layers_of

_PLAIN = keras.layers.BatchNormalization


def fuse(model: keras.Model) -> None:
    """Lets a network's batch normalisations train in the fused kernel, those that it can do: of maps, over channels.

    They stay Keras's layers in what they compute (Ioffe, Szegedy 2015, arXiv:1502.03167), hold and save.
    """
    for layer in layers_of(model):
        if type(layer) is _PLAIN and layer.built and _fits(layer):
            layer.call = MethodType(_call, layer)


def _fits(layer: Any) -> bool:
    maps = layer.input_spec.ndim == 4 and layer.axis in (-1, 3) and layer.scale and layer.center
    return maps and layer.dtype_policy.variable_dtype == "float32" and not (layer.synchronized or layer.renorm)


def _call(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    if not training or not self.trainable or mask is not None:
        return _PLAIN.call(self, inputs, training=training, mask=mask)
    values = tf.cast(inputs, tf.float32)
    outputs, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=values, scale=self.gamma.value, offset=self.beta.value, mean=[], variance=[], epsilon=self.epsilon
    )
    count = tf.cast(tf.size(values) // values.shape[-1], tf.float32)
    _move(self.moving_mean, mean, self.momentum)
    _move(self.moving_variance, unbiased * (count - 1) / count, self.momentum)  # Keras keeps the biased one
    return tf.cast(outputs, self.compute_dtype)


def _move(average: Any, value: Any, momentum: float) -> None:
    average.assign(average * momentum + value * (1.0 - momentum))
