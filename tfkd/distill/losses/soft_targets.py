"""Hinton's distillation loss."""

from typing import Any

import keras
import tensorflow as tf

from tfkd.errors import RequestError


class SoftTargets(keras.losses.Loss):
    """Kullback-Leibler divergence from the student's softened probabilities to the teacher's, times T².

    Computed in float32 log-space from logits: `T² Σ_c p_c (log p_c − log q_c)` with `p = softmax(teacher / T)` and
    `q = softmax(student / T)`. The factor T² keeps the gradient's size when the temperature changes. Being a Keras
    loss instance it is averaged over the batch, honours sample weights, and gives the same update on any number of
    replicas.

    Reference: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531.

    Args:
        temperature: T, positive; softens teacher and student alike.
        name: name of the loss in logs.

    Raises:
        RequestError: the temperature is not positive.

    Example:
        >>> float(SoftTargets(temperature=2.0)(teacher_logits, student_logits))  # both [batch, classes]
    """

    def __init__(self, temperature: float = 4.0, name: str = "soft_targets", **kwargs: Any) -> None:
        if not temperature > 0:
            raise RequestError(f"temperature = {temperature!r} must be above 0; Hinton's paper uses 1 to 20.")
        super().__init__(name=name, **kwargs)
        self.temperature = temperature

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of every image.

        Args:
            y_true: teacher logits, any float dtype, [batch, classes].
            y_pred: student logits, any float dtype, [batch, classes].

        Returns:
            float32 [batch] (float64 where both inputs are float64).
        """
        dtype = tf.float64 if y_true.dtype == y_pred.dtype == tf.float64 else tf.float32
        teacher = tf.nn.log_softmax(tf.cast(y_true, dtype) / self.temperature)
        student = tf.nn.log_softmax(tf.cast(y_pred, dtype) / self.temperature)
        return self.temperature**2 * tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same loss again."""
        return {**super().get_config(), "temperature": self.temperature}
