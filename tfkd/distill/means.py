"""Means of several losses at once, at the cost of one."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf


class Means(keras.metrics.Metric):
    """The means of named scalars over examples.

    Args:
        names: names of all scalars.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(name="means")
        self._names = tuple(names)
        self.totals = self.add_variable((len(names),), "zeros", name="totals")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values: Mapping[str, Any], images: Any) -> None:
        """Adds the scalars of a batch; missing ones count as 0.

        Args:
            values: scalars by name.
            images: number of examples in the batch.
        """
        weight = tf.cast(images, self.dtype)
        batch = tf.stack([tf.cast(values.get(name, 0.0), self.dtype) for name in self._names])
        self.totals.assign(self.totals + batch * weight)
        self.count.assign(self.count + weight)

    def result(self) -> dict[str, Any]:
        """Returns the means by name, scalars."""
        means = tf.math.divide_no_nan(tf.convert_to_tensor(self.totals), tf.convert_to_tensor(self.count))
        return dict(zip(self._names, tf.unstack(means), strict=True))
