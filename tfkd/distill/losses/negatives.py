"""Sources of negatives for the contrastive loss: a memory of all training examples, or a queue of recent ones."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfkd.distill.losses.base import UNNUMBERED
from tfkd.distill.losses.features import state

MAX_IMAGES = 2**24  # a batch's index is float32, which represents integers up to here


class Pairs(NamedTuple):
    """Examples and their projections: int32 [n] numbers in the training set, and both networks' rows [n, d]."""

    index: Any
    teacher: Any
    student: Any


class Memory(keras.layers.Layer):
    """The latest projections of every training example, teacher's and student's, as rows of length 1.

    Args:
        images: number of rows.
        dimensions: length of a row.
        momentum: fraction of a row that stays when its example is in a batch.
        seed: seed of the initial rows, random directions, and of the draws.
        **kwargs: dtype and name of the Keras layer.
    """

    def __init__(self, images: int, dimensions: int, momentum: float, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.images = images
        self.momentum = momentum
        self.seed = seed
        shape = (images, dimensions)
        self.teacher = state(self, shape, "teacher", _directions(seed, 0))
        self.student = state(self, shape, "student", _directions(seed, 1))
        self.step = state(self, (), "step", dtype="int64")
        self.built = True

    def draw(self, count: int) -> Pairs:
        """Returns `count` examples drawn for this step with replacement, and their rows."""
        seed = tf.stack([tf.constant(self.seed, tf.int64), tf.convert_to_tensor(self.step)])
        drawn = tf.random.stateless_uniform([count], seed, maxval=self.images, dtype=tf.int32)
        return Pairs(drawn, tf.gather(self.teacher.value, drawn), tf.gather(self.student.value, drawn))

    def remember(self, index: Any, teacher: Any, student: Any) -> None:
        """Moves the rows `index`, [batch], towards the projections, [batch, d], and counts the step."""
        places = tf.range(tf.shape(index)[0])
        # An example that is twice in the batch writes its row twice, both times with its first projection.
        first = tf.reduce_min(tf.where(index[:, None] == index, places, tf.size(index)), axis=1)
        for memory, projection in ((self.teacher, teacher), (self.student, student)):
            kept = self.momentum * tf.gather(memory.value, index)
            rows = unit_length(kept + (1 - self.momentum) * tf.gather(projection, first))
            memory.value.scatter_update(tf.IndexedSlices(rows, index))
        self.step.assign_add(1)


class Queue(keras.layers.Layer):
    """The projections of the latest examples, teacher's and student's, as rows of length 1 with the examples' numbers.

    Args:
        length: number of rows.
        dimensions: length of a row.
        seed: seed of the initial rows, random directions.
        **kwargs: dtype and name of the Keras layer.
    """

    def __init__(self, length: int, dimensions: int, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length = length
        self.teacher = state(self, (length, dimensions), "teacher", _directions(seed, 0))
        self.student = state(self, (length, dimensions), "student", _directions(seed, 1))
        self.index = state(self, (length,), "index", keras.initializers.Constant(UNNUMBERED), dtype="int32")
        self.next = state(self, (), "next", dtype="int32")
        self.built = True

    def draw(self, count: int) -> Pairs:
        """Returns all rows, whatever the count."""
        return Pairs(self.index.value, self.teacher.value, self.student.value)

    def remember(self, index: Any, teacher: Any, student: Any) -> None:
        """Replaces the oldest rows by the last rows of a batch, at most `length`."""
        count = tf.minimum(tf.shape(index)[0], self.length)
        places = (self.next.value + tf.range(count)) % self.length
        for queue, rows in ((self.index, index), (self.teacher, teacher), (self.student, student)):
            queue.value.scatter_update(tf.IndexedSlices(rows[-count:], places))
        self.next.assign((self.next.value + count) % self.length)


def _directions(seed: int, which: int) -> Any:
    def initial(shape: Any, dtype: Any) -> Any:
        return unit_length(tf.random.stateless_normal(shape, [seed, which], dtype=dtype))

    return initial


def unit_length(rows: Any) -> Any:
    """Scales rows to length 1, but by no more than 1000, so that gradients fit into float16."""
    return tf.math.l2_normalize(rows, axis=-1, epsilon=1e-6)
