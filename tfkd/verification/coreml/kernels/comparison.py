"""Comparisons, logic and what they select. A neural network holds truth values as the numbers 0 and 1."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfkd.verification.coreml.layout import pointwise
from tfkd.verification.coreml.running import Kernel


def select(cond: Any, a: Any, b: Any) -> Any:
    """Takes elements of `a` where the condition holds, else of `b`; the three broadcast."""
    return pointwise(lambda cond, a, b: tf.where(tf.cast(cond, tf.bool), a, b), cond, a, b)


def select_layer(layer: Any, cond: Any, a: Any, b: Any) -> Any:
    return select(cond, a, b)


def comparison_layer(function: Kernel) -> Kernel:
    """Returns the kernel of a layer that compares two inputs, or its only input with a constant."""

    def kernel(layer: Any, x: Any, y: Any = None) -> Any:
        other = np.float32(layer.alpha) if y is None else y
        return pointwise(lambda x, y: tf.cast(function(x, y), tf.float32), x, other)

    return kernel


def logic_layer(function: Kernel) -> Kernel:
    """Returns the kernel of a layer that joins truth values."""

    def kernel(layer: Any, *values: Any) -> Any:
        return pointwise(lambda *each: tf.cast(function(*(x != 0 for x in each)), tf.float32), *values)

    return kernel
