"""FitNets' hints: regression of the teacher's feature."""

from typing import Any

import keras
import tensorflow as tf

from tfkd.distill.losses.base import is_evaluation, precise
from tfkd.distill.losses.features import FeatureDistillationLoss, as_grid, grid_shape, resized, state
from tfkd.distill.replicas import whole_batch
from tfkd.errors import RequestError
from tfkd.recipe import Hint, default_of

# Fraction of the channels' mean variance that is added to each.
_LEAST_VARIANCE = 1e-5


class HintLoss(FeatureDistillationLoss):
    """Mean squared error between the teacher's feature and a trained projection of the student's.

    The projection is one dense layer for features [batch, channels], one 1 × 1 convolution for maps, to which the
    student's maps come resized to the teacher's height and width. The teacher's feature is standardised per channel by
    the mean and variance of everything seen so far, the current batch of all replicas included, so that channels count
    alike and the loss of an untrained student is about 1 whatever the teacher.

    Reference: Romero et al., "FitNets: Hints for Thin Deep Nets", 2015, arXiv:1412.6550; standardising is ours.

    Args:
        teacher_tap: feature of the teacher.
        student_tap: feature of the student.
        standardize: regress the teacher's feature with zero mean and unit variance.
        seed: seed of the projection's initial weights.
        name: name of the loss in logs.

    Example:
        >>> hint = HintLoss()
        >>> hint.build((1280,), (576,))
        >>> float(hint(teacher_features, student_features))  # [batch, 1280] and [batch, 576]
    """

    def __init__(
        self,
        teacher_tap: str = default_of(Hint, "teacher_tap"),
        student_tap: str = default_of(Hint, "student_tap"),
        standardize: bool = default_of(Hint, "standardize"),
        seed: int = 0,
        name: str = "hint",
        **kwargs: Any,
    ) -> None:
        super().__init__(name, teacher_tap, student_tap, **kwargs)
        self.standardize = standardize
        self.seed = seed
        self._teacher: tuple[int, ...] = ()
        self._student: tuple[int, ...] = ()

    def build(self, teacher: tuple[int, ...], student: tuple[int, ...], images: int | None = None) -> None:
        """Creates the projection and, to standardise the teacher's feature, the running moments.

        Args:
            teacher: (channels,), (h, w, channels), or (tokens, channels) of a square of patches.
            student: the same of the student.
            images: ignored.

        Raises:
            RequestError: the features are not both vectors or both maps of a fixed size.
        """
        teacher = grid_shape(teacher, self.name, self.teacher_tap)
        student = grid_shape(student, self.name, self.student_tap)
        if len(teacher) != len(student) or len(teacher) not in (1, 3) or None in (*teacher, *student):
            raise RequestError(
                f"{self.name}: teacher {self.teacher_tap!r} {tuple(teacher)} and student {self.student_tap!r} "
                f"{tuple(student)} must both be (channels,) or both (height, width, channels) of a fixed size; "
                "name two taps of one kind."
            )
        self._teacher, self._student = tuple(teacher), tuple(student)
        projector = _projector(teacher[-1], maps=len(teacher) == 3, seed=self.seed, dtype=self.precision)
        projector.build((None, *teacher[:-1], student[-1]))
        self.layers = [projector]
        if self.standardize:
            self.layers.append(Moments(teacher[-1], dtype=self.precision, name="hint_moments"))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of every example, and adds the teacher's features to the running moments.

        Args:
            y_true: the teacher's feature, any float dtype, [batch, channels], [batch, h, w, channels] or tokens [batch,
                tokens, channels].
            y_pred: the student's, with as many axes; maps may have another size.

        Returns:
            float32 [batch] (float64 where both inputs and the loss are float64).

        Raises:
            RequestError: the loss was not built, or not for these shapes.
        """
        projector, *moments = self.built()
        teacher, student = self.predictions(y_true, y_pred)
        teacher = as_grid(teacher, self.name, self.teacher_tap)
        student = as_grid(student, self.name, self.student_tap)
        if not (_matches(teacher, self._teacher) and _matches(student, self._student)):
            raise RequestError(
                f"{self.name}: features {teacher.shape} and {student.shape} are not those it was built for, "
                f"{self._teacher} and {self._student} without the batch; build a loss for each pair of models."
            )
        if teacher.shape.rank == 4:
            student = resized(student, *self._teacher[:2])
        teacher, projected = precise(teacher, projector(student))
        for running in moments:
            teacher = running(teacher)
        return tf.reduce_mean(tf.math.squared_difference(teacher, projected), axis=list(range(1, teacher.shape.rank)))

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return {**super().get_config(), "standardize": self.standardize, "seed": self.seed}


class Moments(keras.layers.Layer):
    """Standardises by the running mean and variance of all rows so far, on all replicas.

    Each call merges the moments of the batch into the running ones, then uses them, by the parallel update of Chan,
    Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979. It stores
    the variance instead of the sum of squares, which would exceed the precision of float32. A constant channel gives 0.

    Args:
        channels: size of the last axis.
        **kwargs: dtype and name of the Keras layer.
    """

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = state(self, (), "count", dtype="int64")
        self.mean = state(self, (channels,), "mean")
        self.variance = state(self, (channels,), "variance")
        self.built = True

    def call(self, values: Any) -> Any:
        """Returns float [..., channels] with each channel at zero mean and unit variance over everything seen."""
        if is_evaluation():
            mean, variance = self.mean.value, self.variance.value
        else:
            mean, variance = self._seen(tf.reshape(values, [-1, values.shape[-1]]))
        # A channel that varies far less than the others is noise and is not scaled to their size.
        floor = _LEAST_VARIANCE * tf.reduce_mean(variance)
        return tf.math.divide_no_nan(values - mean, tf.sqrt(variance + floor))

    def _seen(self, rows: Any) -> tuple[Any, Any]:
        """Adds rows [n, channels] of all replicas and returns the running mean and variance."""
        moments = whole_batch(tf.stack(tf.nn.moments(rows, axes=0))[None])  # [replicas, 2, channels]
        counts = tf.concat([self.count[None], whole_batch(tf.shape(rows, tf.int64)[:1])], axis=0)
        means = tf.concat([self.mean[None], moments[:, 0]], axis=0)
        variances = tf.concat([self.variance[None], moments[:, 1]], axis=0)
        count = tf.reduce_sum(counts)
        fractions = tf.cast(counts / count, rows.dtype)[:, None]
        mean = tf.reduce_sum(fractions * means, axis=0)
        variance = tf.reduce_sum(fractions * (variances + (means - mean) ** 2), axis=0)
        self.count.assign(count)
        self.mean.assign(mean)
        self.variance.assign(variance)
        return mean, variance


def _projector(channels: int, maps: bool, seed: int, dtype: str) -> keras.layers.Layer:
    kernel = keras.initializers.GlorotUniform(seed)
    if maps:
        return keras.layers.Conv2D(channels, 1, kernel_initializer=kernel, dtype=dtype, name="hint_projector")
    return keras.layers.Dense(channels, kernel_initializer=kernel, dtype=dtype, name="hint_projector")


def _matches(feature: Any, shape: tuple[int, ...]) -> bool:
    return bool(feature.shape[1:].is_compatible_with(shape))
