"""Hidden states of transformers."""

from typing import Any

import keras
import tensorflow as tf

from tfkd.distill.losses.base import precise
from tfkd.distill.losses.features import FeatureDistillationLoss
from tfkd.errors import RequestError
from tfkd.recipe import HiddenStates, default_of


class HiddenStatesLoss(FeatureDistillationLoss):
    """Mean squared error between the teacher's hidden states and a trained projection of the student's.

    Positions at which the teacher's states are 0 are padding and do not count.

    Reference: Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding", 2019, arXiv:1909.10351,
    equation 8. The paper's mean includes padding; leaving it out makes the loss independent of the input's length.

    Args:
        teacher_tap: hidden states of the teacher.
        student_tap: hidden states of the student.
        seed: seed of the projection's initial weights.
        name: name of the loss in logs.

    Example:
        >>> loss = HiddenStatesLoss()
        >>> loss.build((64, 384), (64, 128))
        >>> float(loss(teacher_states, student_states))  # [batch, 64, 384] and [batch, 64, 128]
    """

    def __init__(
        self,
        teacher_tap: str = default_of(HiddenStates, "teacher_tap"),
        student_tap: str = default_of(HiddenStates, "student_tap"),
        seed: int = 0,
        name: str = "hidden_states",
        **kwargs: Any,
    ) -> None:
        super().__init__(name, teacher_tap, student_tap, **kwargs)
        self.seed = seed

    def build(self, teacher: tuple[int, ...], student: tuple[int, ...], images: int | None = None) -> None:
        """Creates the projection.

        Args:
            teacher: (length, channels).
            student: the same of the student.
            images: ignored.

        Raises:
            RequestError: the features are no hidden states, or differ in length.
        """
        if len(teacher) != 2 or len(student) != 2 or None in (*teacher, *student) or teacher[0] != student[0]:
            raise RequestError(
                f"{self.name}: teacher {self.teacher_tap!r} {tuple(teacher)} and student {self.student_tap!r} "
                f"{tuple(student)} must both be (length, channels) of one length; set teachers.0.tokens to "
                "data.tokens, or name other taps."
            )
        kernel = keras.initializers.GlorotUniform(self.seed)
        projector = keras.layers.Dense(
            teacher[1], use_bias=False, kernel_initializer=kernel, dtype=self.precision, name="states_projector"
        )
        projector.build((None, *student))
        self.layers = [projector]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of every text.

        Args:
            y_true: hidden states of the teacher, any float dtype, [batch, length, channels].
            y_pred: those of the student, with other channels.

        Returns:
            float32 [batch] (float64 where both inputs and the loss are float64); 0 for a text without pieces.

        Raises:
            RequestError: the loss was not built.
        """
        (projector,) = self.built()
        teacher, student = self.predictions(y_true, y_pred)
        teacher, projected = precise(teacher, projector(student))
        used = tf.cast(tf.reduce_any(teacher != 0, axis=2), teacher.dtype)
        error = tf.reduce_mean(tf.math.squared_difference(teacher, projected), axis=2) * used
        return tf.math.divide_no_nan(tf.reduce_sum(error, axis=1), tf.reduce_sum(used, axis=1))

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return {**super().get_config(), "seed": self.seed}
