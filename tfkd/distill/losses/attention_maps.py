"""Attention maps of transformers."""

from typing import Any

import tensorflow as tf

from tfkd.distill.losses.features import FeatureDistillationLoss
from tfkd.errors import RequestError
from tfkd.recipe import AttentionMaps, default_of


class AttentionMapsLoss(FeatureDistillationLoss):
    """Mean squared error between the attention logits of teacher and student, over heads and pairs of positions.

    Pairs at which the teacher's logits are 0 for all heads are padding and do not count.

    Reference: Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding", 2019, arXiv:1909.10351,
    equation 7. The paper's mean includes padding; leaving it out makes the loss independent of the input's length.

    Args:
        teacher_tap: attention logits of the teacher.
        student_tap: attention logits of the student.
        name: name of the loss in logs.

    Example:
        >>> float(AttentionMapsLoss()(teacher_logits, student_logits))  # both [batch, 12, 64, 64]
    """

    def __init__(
        self,
        teacher_tap: str = default_of(AttentionMaps, "teacher_tap"),
        student_tap: str = default_of(AttentionMaps, "student_tap"),
        name: str = "attention_maps",
        **kwargs: Any,
    ) -> None:
        super().__init__(name, teacher_tap, student_tap, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of every text.

        Args:
            y_true: attention logits of the teacher, any float dtype, [batch, heads, length, length].
            y_pred: those of the student.

        Returns:
            float32 [batch] (float64 where both inputs are float64); 0 for a text without pieces.

        Raises:
            RequestError: the features are no attention logits, or differ in heads or length.
        """
        teacher, student = self.predictions(y_true, y_pred)
        if teacher.shape.rank != 4 or not teacher.shape[1:].is_compatible_with(student.shape[1:]):
            raise RequestError(
                f"{self.name}: teacher {self.teacher_tap!r} {teacher.shape} and student {self.student_tap!r} "
                f"{student.shape} must both be [batch, heads, length, length]; set student.heads and data.tokens to "
                "those of the teacher."
            )
        used = tf.cast(tf.reduce_any(teacher != 0, axis=1), teacher.dtype)
        error = tf.reduce_mean(tf.math.squared_difference(teacher, student), axis=1) * used
        return tf.math.divide_no_nan(tf.reduce_sum(error, axis=[1, 2]), tf.reduce_sum(used, axis=[1, 2]))
