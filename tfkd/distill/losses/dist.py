"""DIST: distillation by correlation."""

from typing import Any

import tensorflow as tf

from tfkd.distill.losses.base import check_parts
from tfkd.distill.losses.logits import LogitDistillationLoss
from tfkd.distill.replicas import whole_batch
from tfkd.recipe import Dist, default_of

# Added to sums of squared deviations: above float32 rounding of probabilities, far below the value of a used class.
_EPSILON = 1e-12


class DistLoss(LogitDistillationLoss):
    """One minus the correlation of the probabilities of each example, and of those of each class.

    `T² (β (1 − ρ(p_i, q_i)) + γ mean_c (1 − ρ(p_·c, q_·c)))` for example i, with `p = softmax(teacher / T)`,
    `q = softmax(student / T)` and Pearson's correlation ρ. The second part compares the examples of the whole batch,
    over all replicas, and is the same for each of them. Constant values have ρ = 0. The factor T²
    keeps the gradient's size when the temperature changes, as in the authors' published code.

    Reference: Huang et al., "Knowledge Distillation from A Stronger Teacher", 2022, arXiv:2205.10536.

    Args:
        temperature: T, positive; softens both teacher and student.
        inter: β, weight of the correlation of each example's classes.
        intra: γ, weight of the correlation of each class over the batch.
        name: name of the loss in logs.

    Raises:
        RequestError: the temperature is not positive, a weight is negative, or both weights are 0.

    Example:
        >>> float(DistLoss()(teacher_logits, student_logits))  # both [batch, classes]
    """

    def __init__(
        self,
        temperature: float = default_of(Dist, "temperature"),
        inter: float = default_of(Dist, "inter"),
        intra: float = default_of(Dist, "intra"),
        name: str = "dist",
        **kwargs: Any,
    ) -> None:
        check_parts(name, inter=inter, intra=intra)
        super().__init__(temperature, name, **kwargs)
        self.inter = inter
        self.intra = intra

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of every example.

        Args:
            y_true: teacher logits, any float dtype, [batch, classes].
            y_pred: student logits, any float dtype, [batch, classes].

        Returns:
            float32 [batch] (float64 where both inputs are float64).

        Raises:
            RequestError: the shapes differ.
        """
        teacher, student, temperature = self.predictions(y_true, y_pred)
        p, q = tf.nn.softmax(teacher / temperature), tf.nn.softmax(student / temperature)
        inter = 1 - _correlation(p, q, axis=1)
        intra = 1 - tf.reduce_mean(_correlation(whole_batch(p), whole_batch(q), axis=0))
        return temperature**2 * (self.inter * inter + self.intra * intra)

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return {**super().get_config(), "inter": self.inter, "intra": self.intra}


def _correlation(p: Any, q: Any, axis: int) -> Any:
    return tf.reduce_sum(_unit(p, axis) * _unit(q, axis), axis=axis)


def _unit(values: Any, axis: int) -> Any:
    """Returns the deviations from the mean, scaled to length 1 along the axis."""
    centred = values - tf.reduce_mean(values, axis=axis, keepdims=True)
    return centred * tf.math.rsqrt(tf.reduce_sum(centred**2, axis=axis, keepdims=True) + _EPSILON)
