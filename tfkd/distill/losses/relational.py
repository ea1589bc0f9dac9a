"""Relational knowledge distillation."""

from typing import Any

import tensorflow as tf

from tfkd.distill.losses.base import check_parts
from tfkd.distill.losses.features import FeatureDistillationLoss
from tfkd.distill.replicas import whole_batch
from tfkd.recipe import Relational, default_of

# Squared distances below this fraction of the examples' squared distances from their mean are rounding errors.
_ROUNDING = 1e-12


class RelationalLoss(FeatureDistillationLoss):
    """Difference between teacher and student in the distances and angles between the examples of a batch.

    Over all pairs of examples it compares the distances `‖f_i − f_j‖ / μ`, μ being their mean over the pairs, and over
    all triples the cosine of the angle at `f_j` between `f_i` and `f_k`; both by the Huber loss with δ = 1, averaged
    over the pairs and triples of distinct examples. Examples at the same place have distance 0, cosine 0 and no
    gradient.

    The batch is that of all replicas, and the loss is the same for each of its examples. The angles follow from the
    distances by the law of cosines: time and memory are batch² · channels + batch³, not batch³ · channels. Squared
    distances are summed in float64, where features far from the origin and close together keep their precision.

    Reference: Park et al., "Relational Knowledge Distillation", 2019, arXiv:1904.05068.

    Args:
        teacher_tap: feature of the teacher.
        student_tap: feature of the student.
        distance: weight of the distances.
        angle: weight of the angles.
        name: name of the loss in logs.

    Raises:
        RequestError: a weight is negative, or both are 0.

    Example:
        >>> float(RelationalLoss()(teacher_features, student_features))  # [batch, 1280] and [batch, 576]
    """

    def __init__(
        self,
        teacher_tap: str = default_of(Relational, "teacher_tap"),
        student_tap: str = default_of(Relational, "student_tap"),
        distance: float = default_of(Relational, "distance"),
        angle: float = default_of(Relational, "angle"),
        name: str = "relational",
        **kwargs: Any,
    ) -> None:
        check_parts(name, distance=distance, angle=angle)
        super().__init__(name, teacher_tap, student_tap, **kwargs)
        self.distance = distance
        self.angle = angle

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of the batch, once for every example.

        Args:
            y_true: the teacher's feature, any float dtype, [batch, ...].
            y_pred: the student's, any float dtype, [batch, ...]; the other axes may differ.

        Returns:
            float32 [batch] (float64 where both inputs are float64), all equal.

        Raises:
            RequestError: the batches differ.
        """
        teacher, student = (_distances(whole_batch(feature)) for feature in self.predictions(y_true, y_pred))
        images = tf.cast(tf.shape(teacher)[0], teacher.dtype)
        pairs = images * (images - 1)
        loss = tf.zeros((), teacher.dtype)
        if self.distance:
            loss += self.distance * tf.math.divide_no_nan(_huber(teacher - student), pairs)
        if self.angle:
            loss += self.angle * tf.math.divide_no_nan(
                _huber(_cosines(teacher) - _cosines(student)), pairs * (images - 2)
            )
        return tf.fill([tf.shape(y_pred)[0]], loss)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same loss again."""
        return {**super().get_config(), "distance": self.distance, "angle": self.angle}


def _distances(features: Any) -> Any:
    """Returns the distances [examples, examples] of features [examples, ...], in units of their mean over all pairs."""
    rows = tf.cast(tf.reshape(features, [tf.shape(features)[0], -1]), tf.float64)
    rows -= tf.reduce_mean(rows, axis=0)
    products = tf.matmul(rows, rows, transpose_b=True)
    squares = tf.linalg.diag_part(products)
    sums = squares[:, None] + squares
    squared = sums - 2 * products
    apart = squared > _ROUNDING * sums
    distances = tf.where(apart, tf.sqrt(tf.where(apart, squared, 1)), 0)
    images = tf.cast(tf.shape(distances)[0], tf.float64)
    return tf.cast(tf.math.divide_no_nan(distances, tf.reduce_sum(distances) / (images * (images - 1))), features.dtype)


def _cosines(distances: Any) -> Any:
    """Returns the cosine [j, i, k] of the angle at example j between i and k, 0 where they are not three places."""
    squared = distances**2
    sides = squared[:, :, None] + squared[:, None, :] - squared
    cosines = tf.math.divide_no_nan(sides, 2 * distances[:, :, None] * distances[:, None, :])
    return tf.linalg.set_diag(cosines, tf.zeros_like(distances))


def _huber(difference: Any) -> Any:
    size = tf.abs(difference)
    return tf.reduce_sum(tf.where(size < 1, difference**2 / 2, size - 0.5))
