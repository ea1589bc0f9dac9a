"""Constraints that preserve pruned and clustered kernels during later training."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import tensorflow as tf


def keeping(kernel: Any, before: Collection[str]) -> Callable[[Any], Any]:
    """Returns a constraint that preserves a kernel's zeros after pruning and its equal weights after clustering.

    After every update the weights of a cluster become their mean, which is the update of the centroid by the mean of
    their gradients (Han, Mao, Dally 2015, arXiv:1510.00149, section 3.3).

    Args:
        kernel: float32, as the compressions left it.
        before: their kinds.

    Returns:
        A function from the kernel's variable to the kernel.
    """
    return _equal_weights(kernel) if "cluster" in before else _zeros(kernel)


def _zeros(kernel: Any) -> Callable[[Any], Any]:
    mask = tf.constant(kernel != 0, tf.float32)
    return lambda variable: variable * mask


def _equal_weights(kernel: Any) -> Callable[[Any], Any]:
    values, numbers = np.unique(kernel, return_inverse=True)
    clusters = tf.constant(numbers.reshape(-1), tf.int32)
    nonzero = tf.constant(values != 0, tf.float32)

    def means(variable: Any) -> Any:
        weights = tf.reshape(variable, [-1])
        centroids = tf.math.unsorted_segment_mean(weights, clusters, len(values)) * nonzero
        return tf.reshape(tf.gather(centroids, clusters), kernel.shape)

    return means
