"""Distribution strategies, which split a batch: losses of the whole batch, and several workers.

A loss that compares examples with each other needs the examples of all replicas, so that the number of replicas does
not change the update.
"""

from typing import Any

import keras
import tensorflow as tf

from tfkd.kernels.keras_overrides import ShapedModel


def whole_batch(values: Any) -> Any:
    """Returns the rows of every replica, in order.

    Gradients return to the replica of a row, summed over the replicas. Therefore a loss that every replica
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


def spans_workers(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether a strategy trains in several processes."""
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return several and bool(strategy.cluster_resolver.cluster_spec())


class BuiltOnReplicas(ShapedModel):
    """A model that learns the shapes of a batch from the part of one replica, for several workers."""

    def shaping_batch(self, iterator: Any, batch: Any) -> tuple[Any, Any]:
        """Returns the data from which Keras learns the shapes of a batch."""
        # To learn the shapes of a batch Keras reduces one over the replicas, which TensorFlow refuses over several
        # workers where the batch is a mapping. One replica's piece has these shapes too.
        if iterator is not None and spans_workers(self.distribute_strategy):
            _, _, batches = next(iter(iterator))
            return None, keras.tree.map_structure(self._first_piece, next(batches))
        return iterator, batch

    def _first_piece(self, values: Any) -> Any:
        return self.distribute_strategy.experimental_local_results(values)[0]
