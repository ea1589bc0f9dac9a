"""Classes of Keras 3 whose private methods tfkd overrides, under names of its own."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


class ShapedModel(keras.Model):
    """A Keras model that chooses the batch from which Keras learns the shapes before training."""

    def shaping_batch(self, iterator: Any, batch: Any) -> tuple[Any, Any]:
        """Returns an iterator over batches or a batch, one of them None."""
        return iterator, batch

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        super()._maybe_symbolic_build(*self.shaping_batch(iterator, data_batch))


class SharedVariable(keras.Variable):
    """A Keras 3 variable whose value is a TensorFlow variable with another owner.

    Args:
        owner: the TensorFlow variable.
        trainable: whether the training updates it.
        constraint: function applied after every update.
    """

    def __init__(self, owner: tf.Variable, trainable: bool, constraint: Callable[[Any], Any] | None = None) -> None:
        self._owner = owner
        name = owner.name.split(":")[0].split("/")[-1]
        super().__init__(owner.value(), dtype=owner.dtype.name, trainable=trainable, autocast=False, name=name)
        self.constraint = constraint

    def _initialize(self, value: Any) -> None:
        super()._initialize(self._owner)
