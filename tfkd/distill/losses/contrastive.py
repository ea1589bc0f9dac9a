"""Contrastive representation distillation."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tfkd.distill.losses.base import Need, is_evaluation
from tfkd.distill.losses.features import FeatureDistillationLoss
from tfkd.distill.losses.negatives import MAX_IMAGES, Memory, Pairs, Queue, unit_length
from tfkd.distill.replicas import whole_batch
from tfkd.errors import RequestError
from tfkd.recipe import Contrastive, default_of


class ContrastiveLoss(FeatureDistillationLoss):
    """Distinguishes the teacher's and student's features of one example from pairs of different examples.

    Each feature is projected by a trained dense layer and scaled to length 1: t_i and s_i. The loss of example i
    is that of finding t_i among the t of other examples, given s_i, plus that of finding s_i among the s of other
    examples, given t_i:
    `log (1 + Σ_n e^{(s_i·t_n − s_i·t_i)/T}) + log (1 + Σ_n e^{(t_i·s_n − t_i·s_i)/T})`.

    Sources of the other examples n:

    - `negatives=None`: the rest of the batch of all replicas. The loss is then the same for each of its examples.
    - The number of training examples is known when the loss is built: drawn at every step from two memories of the
      latest projections of every training example. All examples of a step share the draw, which depends on the seed and
      the step alone. After a step each memory's rows of the batch become `m · row + (1 − m) · projection`, scaled to
      length 1; of an example that is twice in a batch the first projection counts.
    - The number is unknown: the last `negatives` projections of earlier batches, in a queue (He et al., "Momentum
      Contrast", 2020, arXiv:1911.05722), which needs no numbers of examples.

    An example with a number is never its own negative. A queue of unnumbered examples that is longer than the
    training set contains earlier projections of an example among its negatives.

    Reference: Tian, Krishnan, Isola, "Contrastive Representation Distillation", 2020, arXiv:1910.10699. The paper
    estimates the same ratio with a binary classifier, whose normalising constant depends on the data and the negatives;
    the softmax over the negatives (van den Oord, Li, Vinyals, 2018, arXiv:1807.03748) needs none and bounds the same
    mutual information. The positive is the current projection, where the paper's code uses the stored one.

    Args:
        teacher_tap: feature of the teacher.
        student_tap: feature of the student.
        temperature: T, positive.
        dimensions: dimensions of the common projection space.
        negatives: drawn at every step from the memories, or length of the queue; None: the rest of the batch.
        momentum: m, fraction of a memory's row that stays when its example is in a batch; a queue ignores it.
        seed: seed of the projections, of the initial content of memories and queue, and of the draws.
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
        _require_ranges(name, temperature, dimensions, negatives, momentum)
        super().__init__(name, teacher_tap, student_tap, **kwargs)
        self.temperature = temperature
        self.dimensions = dimensions
        self.negatives = negatives
        self.momentum = momentum
        self.seed = seed

    def build(self, teacher: tuple[int, ...], student: tuple[int, ...], images: int | None = None) -> None:
        """Creates the projections, and the memories or the queue of negatives.

        Args:
            teacher: (channels,).
            student: (channels,).
            images: number of training images; the memories hold 2 · images · dimensions floats. None: a queue.

        Raises:
            RequestError: a feature is not a vector, or there are more examples than a memory can number.
        """
        if len(teacher) != 1 or len(student) != 1:
            raise RequestError(
                f"{self.name}: teacher {self.teacher_tap!r} {tuple(teacher)} and student {self.student_tap!r} "
                f"{tuple(student)} must be (channels,); name taps such as 'pooled'."
            )
        names = (f"contrastive_{whose}_projector" for whose in ("teacher", "student"))
        self.layers = [
            _projector(name, channels, self.dimensions, self.seed + k, self.precision)
            for k, (name, (channels,)) in enumerate(zip(names, (teacher, student), strict=True))
        ]
        if self.negatives is not None:
            self.layers.append(_negatives_layer(self, self.negatives, images))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of every example, and adds the batch to memories or queue.

        Args:
            y_true: mapping with `answer`, the teacher's feature, any float dtype, [batch, channels], and `index`, each
                example's number in the training set, any dtype, [batch]; −1 if unknown.
            y_pred: the student's feature, any float dtype, [batch, channels].

        Returns:
            float32 [batch] (float64 where the loss is float64).

        Raises:
            RequestError: the loss was not built, or not for these shapes, or there is no index.
        """
        if not isinstance(y_true, Mapping) or not {"answer", "index"} <= y_true.keys():
            raise RequestError(f'{self.name} needs an index: call it with {{"answer": feature, "index": numbers}}.')
        teacher_projector, student_projector, *memories = self.built()
        predictions = self.predictions(y_true["answer"], y_pred)
        teacher, student = (
            _projected(self.name, layer, feature)
            for layer, feature in zip((teacher_projector, student_projector), predictions, strict=True)
        )
        index = tf.cast(tf.reshape(y_true["index"], [-1]), tf.int32)
        if not index.shape.is_compatible_with(student.shape[:1]):
            raise RequestError(
                f"{self.name}: index {index.shape} must be one number for each of {student.shape[0]} examples."
            )
        if not memories:
            pairs = Pairs(_distinct(whole_batch(index)), whole_batch(teacher), whole_batch(student))
            return tf.fill([tf.shape(student)[0]], tf.reduce_mean(_both_ways(pairs, pairs, self.temperature)))
        (memory,) = memories
        pairs = Pairs(_distinct(index), teacher, student)
        loss = _both_ways(pairs, memory.draw(self.negatives), self.temperature)
        if not is_evaluation():
            memory.remember(*(whole_batch(tf.stop_gradient(values)) for values in (index, teacher, student)))
        return loss

    @property
    def counts_images(self) -> bool:
        """Whether the loss cannot train without each example's number in the training set."""
        return any(isinstance(layer, Memory) for layer in self.layers)

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return {
            **super().get_config(),
            "temperature": float(self.temperature),
            "dimensions": self.dimensions,
            "negatives": self.negatives,
            "momentum": self.momentum,
            "seed": self.seed,
        }


def _require_ranges(name: str, temperature: float, dimensions: int, negatives: int | None, momentum: float) -> None:
    if not 0 < temperature < math.inf:
        raise RequestError(f"{name}: temperature = {temperature!r} must be above 0 and finite; 0.07 is usual.")
    if dimensions < 2:
        raise RequestError(f"{name}: dimensions = {dimensions!r} must be at least 2; 128 is usual.")
    if negatives is not None and negatives < 1:
        raise RequestError(f"{name}: negatives = {negatives!r} must be at least 1, or None for the batch's own.")
    if not 0 <= momentum < 1:
        raise RequestError(f"{name}: momentum = {momentum!r} must be at least 0 and below 1; 0.5 is usual.")


def _projector(name: str, channels: int, dimensions: int, seed: int, dtype: Any) -> keras.layers.Layer:
    initializer = keras.initializers.GlorotUniform(seed)
    layer = keras.layers.Dense(dimensions, kernel_initializer=initializer, dtype=dtype, name=name)
    layer.build((None, channels))
    return layer


def _negatives_layer(loss: ContrastiveLoss, length: int, images: int | None) -> keras.layers.Layer:
    if images is None:
        return Queue(length, loss.dimensions, loss.seed, dtype=loss.precision, name="contrastive_queue")
    if images > MAX_IMAGES:
        raise RequestError(
            f"{loss.name}: {images:,} examples are more than the {MAX_IMAGES:,} that a memory can number; "
            "give negatives=None for the batch's own."
        )
    return Memory(images, loss.dimensions, loss.momentum, loss.seed, dtype=loss.precision, name="contrastive_memory")


def _projected(name: str, projector: Any, feature: Any) -> Any:
    channels = projector.kernel.shape[0]
    if not feature.shape.is_compatible_with([None, channels]):
        raise RequestError(
            f"{name}: feature {feature.shape} is not the [batch, {channels}] it was built for; "
            "build a loss for each pair of models."
        )
    return unit_length(projector(feature))


def _both_ways(pairs: Pairs, negatives: Pairs, temperature: float) -> Any:
    """Returns the loss [batch] of pairs [batch, d] against negatives [n, d] of other examples."""
    scale = keras.ops.convert_to_tensor(temperature, pairs.student.dtype)
    own = tf.reduce_sum(pairs.teacher * pairs.student, axis=1, keepdims=True) / scale
    same = pairs.index[:, None] == negatives.index
    return sum(
        tf.reduce_logsumexp(tf.concat([own, _without(same, scores / scale)], axis=1), axis=1) - own[:, 0]
        for scores in (
            tf.matmul(pairs.student, negatives.teacher, transpose_b=True),
            tf.matmul(pairs.teacher, negatives.student, transpose_b=True),
        )
    )


def _distinct(index: Any) -> Any:
    """Replaces missing numbers by unique negative ones."""
    return tf.where(index < 0, -2 - tf.range(tf.size(index)), index)


def _without(same: Any, scores: Any) -> Any:
    """Returns scores so low where two examples are the same that the softmax gives them exactly 0."""
    return tf.where(same, tf.constant(scores.dtype.min / 2, scores.dtype), scores)
