"""Hinton's distillation loss."""

from typing import Any

import tensorflow as tf

from tfkd.distill.losses.logits import LogitDistillationLoss, divergence
from tfkd.recipe import SoftTargets, default_of


class SoftTargetsLoss(LogitDistillationLoss):
    """Kullback-Leibler divergence from the student's softened probabilities to the teacher's, times T².

    Computed in float32 log-space from logits: `T² Σ_c p_c (log p_c − log q_c)` with `p = softmax(teacher / T)` and
    `q = softmax(student / T)`. The factor T² keeps the gradient's size when the temperature changes. Being a Keras
    loss instance it is averaged over the batch, honours sample weights, and gives the same update on any number of
    replicas.

    Reference: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531.

    Args:
        temperature: T, positive; softens both teacher and student.
        name: name of the loss in logs.

    Raises:
        RequestError: the temperature is not positive and finite.

    Example:
        >>> float(SoftTargetsLoss(temperature=2.0)(teacher_logits, student_logits))  # both [batch, classes]
    """

    def __init__(
        self, temperature: float = default_of(SoftTargets, "temperature"), name: str = "soft_targets", **kwargs: Any
    ) -> None:
        super().__init__(temperature, name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of every example.

        Args:
            y_true: teacher logits, any float dtype, [batch, classes].
            y_pred: student logits, any float dtype, [batch, classes].

        Returns:
            float32 [batch] (float64 where both inputs are float64).
        """
        teacher, student, temperature = self.predictions(y_true, y_pred)
        log_p = tf.nn.log_softmax(teacher / temperature)
        log_q = tf.nn.log_softmax(student / temperature)
        return temperature**2 * divergence(log_p, log_q)
