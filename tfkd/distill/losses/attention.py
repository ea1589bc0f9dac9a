"""Attention transfer."""

import math
from typing import Any

import tensorflow as tf

from tfkd.distill.losses.features import FeatureDistillationLoss, as_grid, resized
from tfkd.errors import RequestError
from tfkd.recipe import Attention, default_of


class AttentionLoss(FeatureDistillationLoss):
    """Squared distance between the attention maps of teacher and student.

    A map of activations A has the attention `a_yx = Σ_c |A_yxc|^p`, scaled to length 1 over all positions; the loss is
    `Σ_yx (a_teacher − a_student)²`, between 0 and 2 at any resolution. If the maps differ in size, the larger
    one is resized to the smaller before scaling. A map without activity gives zeros.

    Reference: Zagoruyko, Komodakis, "Paying More Attention to Attention", 2017, arXiv:1612.03928. The paper's formula
    has the distance, its authors' code the mean square over the positions; this is that mean times the positions.

    Args:
        teacher_tap: map of the teacher.
        student_tap: map of the student.
        power: p, positive.
        name: name of the loss in logs.

    Raises:
        RequestError: the power is not positive and finite.

    Example:
        >>> float(AttentionLoss()(teacher_maps, student_maps))  # [batch, 7, 7, 320] and [batch, 14, 14, 96]
    """

    def __init__(
        self,
        teacher_tap: str = default_of(Attention, "teacher_tap"),
        student_tap: str = default_of(Attention, "student_tap"),
        power: float = default_of(Attention, "power"),
        name: str = "attention",
        **kwargs: Any,
    ) -> None:
        if not 0 < power < math.inf:
            raise RequestError(f"{name}: power = {power!r} must be above 0 and finite; 1 to 4 is usual.")
        super().__init__(name, teacher_tap, student_tap, **kwargs)
        self.power = power

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of every example.

        Args:
            y_true: maps of the teacher, any float dtype, [batch, h, w, channels], or tokens [batch, tokens, channels].
            y_pred: the same of the student, of any size.

        Returns:
            float32 [batch] (float64 where both inputs are float64).

        Raises:
            RequestError: a feature is not a map of a fixed size, or the batches differ.
        """
        teacher, student = self.predictions(y_true, y_pred)
        teacher, student = (
            as_grid(feature, self.name, tap)
            for feature, tap in ((teacher, self.teacher_tap), (student, self.student_tap))
        )
        for feature, tap in ((teacher, self.teacher_tap), (student, self.student_tap)):
            if feature.shape.rank != 4 or None in feature.shape[1:3]:
                raise RequestError(
                    f"{self.name}: {tap!r} is {feature.shape}, not maps [batch, h, w, channels] of a fixed "
                    "size; name a tap such as 'stage:16' of a model with a fixed input size."
                )
        rows, columns = min(teacher.shape[1:3], student.shape[1:3], key=lambda size: size[0] * size[1])
        maps = (_unit(resized(_attention(feature, self.power), rows, columns)) for feature in (teacher, student))
        return tf.reduce_sum(tf.math.squared_difference(*maps), axis=[1, 2, 3])

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return {**super().get_config(), "power": self.power}


def _attention(maps: Any, power: float) -> Any:
    """Returns `Σ_c |A|^p`, [batch, h, w, 1], of maps scaled to a peak of 1.

    Attention is scaled to length 1 in the end: the peak changes neither its value nor its gradient, but keeps every
    power within float32.
    """
    magnitude = tf.abs(maps)
    peak = tf.stop_gradient(tf.reduce_max(magnitude, axis=[1, 2, 3], keepdims=True))
    relative = tf.math.divide_no_nan(magnitude, peak)
    active = relative > 0  # the derivative of 0^p is infinite for p < 1
    powers = tf.where(active, tf.where(active, relative, 1) ** power, 0)
    return tf.reduce_sum(powers, axis=3, keepdims=True)


def _unit(maps: Any) -> Any:
    length = tf.sqrt(
        tf.maximum(tf.reduce_sum(maps**2, axis=[1, 2, 3], keepdims=True), maps.dtype.as_numpy_dtype(1e-12))
    )
    return maps / length
