"""Contrastive representation distillation."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tfkd.distill.losses.base import UNNUMBERED, Need, is_evaluation
from tfkd.distill.losses.features import FeatureDistillationLoss, state
from tfkd.distill.replicas import whole_batch
from tfkd.errors import RequestError
from tfkd.recipe import Contrastive, default_of

# A batch's index comes as float32, which counts no further.
_COUNTABLE = 2**24


class ContrastiveLoss(FeatureDistillationLoss):
    """Tells each image's own pair of features, the teacher's and the student's, from pairs of different images.

    Both features are projected by a trained dense layer each and scaled to length 1: t_i and s_i. The loss of image i
    is that of finding t_i among other images' t, given s_i, plus that of finding s_i among other images' s, given t_i:
    `log (1 + Σ_n e^{(s_i·t_n − s_i·t_i)/T}) + log (1 + Σ_n e^{(t_i·s_n − t_i·s_i)/T})`.

    Where the other images n come from:

    - `negatives=None`: the rest of the batch of all replicas. The loss is then the same for each of its images.
    - The number of training images is known when the loss is built: drawn at every step from two memories that hold the
      latest projections of every training image. All images of a step share the draw, which depends on the seed and
      the step alone. After a step each memory's rows of the batch become `m · row + (1 − m) · projection`, scaled to
      length 1; an image that is twice in a batch is remembered as it came first.
    - It is not known: the last `negatives` projections of earlier batches, in a queue (He et al., "Momentum Contrast",
      2020, arXiv:1911.05722), which needs no number of an image.

    An image is never its own negative where its number is given. A queue of unnumbered images that is longer than the
    training set holds an image's earlier projections among its negatives.

    Reference: Tian, Krishnan, Isola, "Contrastive Representation Distillation", 2020, arXiv:1910.10699. The paper
    estimates the same ratio with a binary classifier, whose normalising constant depends on the data and the negatives;
    the softmax over the negatives (van den Oord, Li, Vinyals, 2018, arXiv:1807.03748) needs none and bounds the same
    mutual information. The positive is the current projection, where the paper's code takes the remembered one.

    Args:
        teacher_tap: feature of the teacher.
        student_tap: feature of the student.
        temperature: T, positive.
        dimensions: of the space that both features are projected to.
        negatives: drawn at every step from the memories, or length of the queue; None: the rest of the batch.
        momentum: m, share of a memory's row that stays when its image comes; a queue has no use for it.
        seed: of the projections, of the first content of memories and queue, and of the draws.
        name: name of the loss in logs.

    Raises:
        RequestError: an argument is out of its range.

    Example:
        >>> contrastive = ContrastiveLoss(negatives=1024)
        >>> contrastive.build((1280,), (576,), images=50_000)
        >>> float(contrastive({"answer": teacher_features, "index": index}, student_features))
    """

    needs: ClassVar[tuple[Need, ...]] = ("index",)

    def __init__(
        self,
        teacher_tap: str = default_of(Contrastive, "teacher_tap"),
        student_tap: str = default_of(Contrastive, "student_tap"),
        temperature: float = default_of(Contrastive, "temperature"),
        dimensions: int = default_of(Contrastive, "dimensions"),
        negatives: int | None = default_of(Contrastive, "negatives"),
        momentum: float = default_of(Contrastive, "momentum"),
        seed: int = 0,
        name: str = "contrastive",
        **kwargs: Any,
    ) -> None:
        if not 0 < temperature < math.inf:
            raise RequestError(f"{name}: temperature = {temperature!r} must be above 0 and finite; 0.07 is usual.")
        if dimensions < 2:
            raise RequestError(f"{name}: dimensions = {dimensions!r} must be at least 2; 128 is usual.")
        if negatives is not None and negatives < 1:
            raise RequestError(f"{name}: negatives = {negatives!r} must be at least 1, or None for the batch's own.")
        if not 0 <= momentum < 1:
            raise RequestError(f"{name}: momentum = {momentum!r} must be at least 0 and below 1; 0.5 is usual.")
        super().__init__(name, teacher_tap, student_tap, **kwargs)
        self.temperature = temperature
        self.dimensions = dimensions
        self.negatives = negatives
        self.momentum = momentum
        self.seed = seed

    def build(self, teacher: tuple[int, ...], student: tuple[int, ...], images: int | None = None) -> None:
        """Makes the projections, and the memories or the queue that negatives come from.

        Args:
            teacher: (channels,).
            student: (channels,).
            images: number of training images; the memories hold 2 · images · dimensions floats. None: a queue.

        Raises:
            RequestError: a feature is not a vector, or there are more images than a memory can number.
        """
        if len(teacher) != 1 or len(student) != 1:
            raise RequestError(
                f"{self.name}: teacher {self.teacher_tap!r} {tuple(teacher)} and student {self.student_tap!r} "
                f"{tuple(student)} must be (channels,); name taps such as 'pooled'."
            )
        self.layers = [
            self._projector("teacher", teacher[0], self.seed),
            self._projector("student", student[0], self.seed + 1),
        ]
        if self.negatives is not None:
            self.layers.append(self._queue(self.negatives) if images is None else self._memory(images))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of every image, and remembers the batch where there are memories.

        Args:
            y_true: mapping with `answer`, the teacher's feature, any float dtype, [batch, channels], and `index`, each
                image's number in the training set, any dtype, [batch]; −1 where it is not known.
            y_pred: the student's feature, any float dtype, [batch, channels].

        Returns:
            float32 [batch] (float64 where the loss is float64).

        Raises:
            RequestError: the loss was not built, or not for these shapes, or there is no index.
        """
        if not isinstance(y_true, Mapping) or not {"answer", "index"} <= y_true.keys():
            raise RequestError(f'{self.name} needs an index: call it with {{"answer": feature, "index": numbers}}.')
        teacher_projector, student_projector, *memories = self.built()
        answers = self.answers(y_true["answer"], y_pred)
        teacher, student = (
            self._projected(layer, feature)
            for layer, feature in zip((teacher_projector, student_projector), answers, strict=True)
        )
        index = tf.cast(tf.reshape(y_true["index"], [-1]), tf.int32)
        if not index.shape.is_compatible_with(student.shape[:1]):
            raise RequestError(
                f"{self.name}: index {index.shape} must be one number for each of {student.shape[0]} images."
            )
        if not memories:
            numbers = _told_apart(whole_batch(index))
            return self._in_batch(numbers, whole_batch(teacher), whole_batch(student), tf.shape(student)[0])
        (memory,) = memories
        drawn, teachers, students = memory.draw(self.negatives)
        loss = self._both_ways(_told_apart(index), teacher, student, drawn, teachers, students)
        if not is_evaluation():
            memory.remember(*(whole_batch(tf.stop_gradient(values)) for values in (index, teacher, student)))
        return loss

    @property
    def counts_images(self) -> bool:
        """Whether the loss cannot train without each image's number in the training set."""
        return any(isinstance(layer, Memory) for layer in self.layers)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same loss again."""
        return {
            **super().get_config(),
            "temperature": float(self.temperature),
            "dimensions": self.dimensions,
            "negatives": self.negatives,
            "momentum": self.momentum,
            "seed": self.seed,
        }

    def _projector(self, whose: str, channels: int, seed: int) -> keras.layers.Layer:
        layer = keras.layers.Dense(
            self.dimensions,
            kernel_initializer=keras.initializers.GlorotUniform(seed),
            dtype=self.precision,
            name=f"contrastive_{whose}_projector",
        )
        layer.build((None, channels))
        return layer

    def _memory(self, images: int) -> keras.layers.Layer:
        if images > _COUNTABLE:
            raise RequestError(
                f"{self.name}: {images:,} images are more than the {_COUNTABLE:,} that a memory can number; "
                "give negatives=None for the batch's own."
            )
        return Memory(
            images, self.dimensions, self.momentum, self.seed, dtype=self.precision, name="contrastive_memory"
        )

    def _queue(self, length: int) -> keras.layers.Layer:
        return Queue(length, self.dimensions, self.seed, dtype=self.precision, name="contrastive_queue")

    def _projected(self, projector: Any, feature: Any) -> Any:
        channels = projector.kernel.shape[0]
        if not feature.shape.is_compatible_with([None, channels]):
            raise RequestError(
                f"{self.name}: feature {feature.shape} is not the [batch, {channels}] it was built for; "
                "build a loss for each pair of models."
            )
        return _unit(projector(feature))

    def _in_batch(self, index: Any, teacher: Any, student: Any, rows: Any) -> Any:
        losses = self._both_ways(index, teacher, student, index, teacher, student)
        return tf.fill([rows], tf.reduce_mean(losses))

    def _both_ways(self, index: Any, teacher: Any, student: Any, others: Any, teachers: Any, students: Any) -> Any:
        """Returns the loss [batch] of images `index` with the negatives `others`, [n], and their features, [n, d]."""
        temperature = keras.ops.convert_to_tensor(self.temperature, student.dtype)
        own = tf.reduce_sum(teacher * student, axis=1, keepdims=True) / temperature
        same = index[:, None] == others
        return sum(
            tf.reduce_logsumexp(tf.concat([own, _without(same, scores / temperature)], axis=1), axis=1) - own[:, 0]
            for scores in (
                tf.matmul(student, teachers, transpose_b=True),
                tf.matmul(teacher, students, transpose_b=True),
            )
        )


class Memory(keras.layers.Layer):
    """The latest projections of every training image, teacher's and student's, as rows of length 1.

    Args:
        images: number of rows.
        dimensions: of a row.
        momentum: share of a row that stays when its image comes.
        seed: of the first rows, random directions, and of the draws.
        **kwargs: dtype and name, as of every Keras layer.
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

    def draw(self, count: int) -> tuple[Any, Any, Any]:
        """Returns images drawn for this step with replacement, int32 [count], and their rows, both [count, d]."""
        seed = tf.stack([tf.constant(self.seed, tf.int64), tf.convert_to_tensor(self.step)])
        drawn = tf.random.stateless_uniform([count], seed, maxval=self.images, dtype=tf.int32)
        return drawn, tf.gather(self.teacher.value, drawn), tf.gather(self.student.value, drawn)

    def remember(self, index: Any, teacher: Any, student: Any) -> None:
        """Moves the rows `index`, [batch], towards the projections, [batch, d], and counts the step."""
        places = tf.range(tf.shape(index)[0])
        # Rows written twice must be written alike: each place stands back for the first of its image.
        first = tf.reduce_min(tf.where(index[:, None] == index, places, tf.size(index)), axis=1)
        for memory, projection in ((self.teacher, teacher), (self.student, student)):
            kept = self.momentum * tf.gather(memory.value, index)
            rows = _unit(kept + (1 - self.momentum) * tf.gather(projection, first))
            memory.value.scatter_update(tf.IndexedSlices(rows, index))
        self.step.assign_add(1)


class Queue(keras.layers.Layer):
    """The projections of the latest images, teacher's and student's, as rows of length 1 with the images' numbers.

    Args:
        length: number of rows.
        dimensions: of a row.
        seed: of the first rows, random directions.
        **kwargs: dtype and name, as of every Keras layer.
    """

    def __init__(self, length: int, dimensions: int, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.length = length
        self.teacher = state(self, (length, dimensions), "teacher", _directions(seed, 0))
        self.student = state(self, (length, dimensions), "student", _directions(seed, 1))
        self.index = state(self, (length,), "index", keras.initializers.Constant(UNNUMBERED), dtype="int32")
        self.next = state(self, (), "next", dtype="int32")
        self.built = True

    def draw(self, count: int) -> tuple[Any, Any, Any]:
        """Returns all rows: the images' numbers, int32 [length], and their projections, both [length, d]."""
        return self.index.value, self.teacher.value, self.student.value

    def remember(self, index: Any, teacher: Any, student: Any) -> None:
        """Puts the last rows of a batch, at most `length`, in the place of the oldest ones."""
        count = tf.minimum(tf.shape(index)[0], self.length)
        places = (self.next.value + tf.range(count)) % self.length
        for queue, rows in ((self.index, index), (self.teacher, teacher), (self.student, student)):
            queue.value.scatter_update(tf.IndexedSlices(rows[-count:], places))
        self.next.assign((self.next.value + count) % self.length)


def _told_apart(index: Any) -> Any:
    """Gives every image without a number one that no other image has."""
    return tf.where(index < 0, -2 - tf.range(tf.size(index)), index)


def _directions(seed: int, which: int) -> Any:
    def initial(shape: Any, dtype: Any) -> Any:
        return _unit(tf.random.stateless_normal(shape, [seed, which], dtype=dtype))

    return initial


def _unit(rows: Any) -> Any:
    """Scales rows to length 1, but those near 0 by no more than 1000: their gradient must fit into float16."""
    return tf.math.l2_normalize(rows, axis=-1, epsilon=1e-6)


def _without(same: Any, scores: Any) -> Any:
    """Returns scores so low where two images are the same that the softmax gives them exactly 0."""
    return tf.where(same, tf.constant(scores.dtype.min / 2, scores.dtype), scores)
