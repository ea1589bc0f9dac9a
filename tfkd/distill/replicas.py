"""Losses that look at a whole batch, under strategies that cut the batch into pieces.

A loss that compares images with each other must see the images of all replicas, or two replicas would make another
update than one.
"""

from typing import Any

import tensorflow as tf


def whole_batch(values: Any) -> Any:
    """Returns the rows of every replica, in order.

    Gradients flow back to the replica that a row came from, summed over the replicas. So a loss that every replica
    computes from the whole batch has, in Keras's mean over the replicas, the gradient that it has on one.

    Args:
        values: any dtype, [rows of this replica, ...]; replicas may hold different numbers of rows.

    Returns:
        [rows of all replicas, ...].
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_gather(values, axis=0)
