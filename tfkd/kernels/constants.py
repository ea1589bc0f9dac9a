"""A frozen network's weights as constants of a TensorFlow graph, which then folds BatchNorm into the convolutions."""

import contextlib
import zlib
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

MOST_BYTES = 1 << 30  # a TensorFlow graph holds no more than 2 GB


def constant_weights(network: keras.Model, copies: int = 1) -> AbstractContextManager[Any]:
    """Returns a context in which a network's weights are constants, with the values of now, of the graph being traced.

    They stay variables outside a graph, and where the `copies` of them that it will hold are too large for one.
    """
    if tf.executing_eagerly():
        return contextlib.nullcontext()
    with tf.init_scope():
        values = [(weight, weight.numpy()) for weight in network.weights]
    if copies * sum(value.nbytes for _, value in values) > MOST_BYTES:
        return contextlib.nullcontext()
    return keras.StatelessScope([(weight, tf.constant(value)) for weight, value in values])


def checksum(network: keras.Model) -> int:
    """Returns the CRC-32 of a network's weights: where it has changed, constants made of them are out of date."""
    crc = 0
    for weight in network.weights:
        crc = zlib.crc32(weight.numpy().tobytes(), crc)
    return crc
