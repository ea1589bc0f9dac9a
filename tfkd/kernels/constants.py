"""Weights of a frozen network as constants of a graph, so that TensorFlow folds BatchNorm into the convolutions."""

import contextlib
import zlib
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

MOST_BYTES = 1 << 30  # a TensorFlow graph is limited to 2 GB


def constant_weights(network: keras.Model, copies: int = 1) -> AbstractContextManager[Any]:
    """Returns a context in which a network's weights are constants, with current values, of the traced graph.

    They remain variables outside a graph, and if `copies` of them are too large for a graph.
    """
    if tf.executing_eagerly():
        return contextlib.nullcontext()
    with tf.init_scope():
        values = [(weight, weight.numpy()) for weight in network.weights]
    if copies * sum(value.nbytes for _, value in values) > MOST_BYTES:
        return contextlib.nullcontext()
    return keras.StatelessScope([(weight, tf.constant(value)) for weight, value in values])


def checksum(network: keras.Model) -> int:
    """Returns the CRC-32 of a network's weights, to detect that constants of them are outdated."""
    crc = 0
    for weight in network.weights:
        crc = zlib.crc32(weight.numpy().tobytes(), crc)
    return crc
