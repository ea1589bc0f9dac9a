"""Knowledge distillation from standardised logits."""

from typing import Any

import tensorflow as tf

from tfkd.distill.losses.logits import LogitDistillationLoss, divergence
from tfkd.recipe import Standardized, default_of

# Added to the variance, so that rows that are constant except for rounding become zeros with a bounded gradient.
_EPSILON = 1e-6


class StandardizedLoss(LogitDistillationLoss):
    """Soft-target loss of standardised logits, which ignores the scale of the teacher's logits.

    `T² KL(softmax(Z(teacher) / T) ‖ softmax(Z(student) / T))` where Z takes each example's logits to zero mean and unit
    variance over the classes, `Z(z) = (z − mean z) / sqrt(var z + 1e-6)`. The variance of C classes is divided by C;
    the authors' code divides by C − 1, which is a T larger by sqrt(C / (C − 1)) in the softmax. Shifting or scaling an
    example's logits does not change the loss.

    Reference: Sun et al., "Logit Standardization in Knowledge Distillation", 2024, arXiv:2403.01427.

    Args:
        temperature: T, the paper's base temperature, positive; softens both standardised logits.
        name: name of the loss in logs.

    Raises:
        RequestError: the temperature is not positive.

    Example:
        >>> float(StandardizedLoss(temperature=2.0)(teacher_logits, student_logits))  # both [batch, classes]
    """

    def __init__(
        self, temperature: float = default_of(Standardized, "temperature"), name: str = "standardized", **kwargs: Any
    ) -> None:
        super().__init__(temperature, name, **kwargs)

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
        log_p = tf.nn.log_softmax(_standardized(teacher) / temperature)
        log_q = tf.nn.log_softmax(_standardized(student) / temperature)
        return temperature**2 * divergence(log_p, log_q)


def _standardized(logits: Any) -> Any:
    centred = logits - tf.reduce_mean(logits, axis=-1, keepdims=True)
    variance = tf.reduce_mean(centred**2, axis=-1, keepdims=True)
    return centred * tf.math.rsqrt(variance + _EPSILON)
