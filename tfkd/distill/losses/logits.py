"""Base of the losses on logits: temperature, shapes, and the split at the target class."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tfkd.data.dataset import UNLABELLED
from tfkd.distill.losses.base import DistillationLoss, precise
from tfkd.errors import RequestError


class LogitDistillationLoss(DistillationLoss):
    """A distillation loss between the teacher's and the student's logits, softened by a temperature.

    Args:
        temperature: T, positive and finite; may be replaced by a `keras.Variable` afterwards.
        name: name of the loss in logs.

    Raises:
        RequestError: the temperature is not positive and finite.
    """

    def __init__(self, temperature: float, name: str, **kwargs: Any) -> None:
        if not 0 < temperature < math.inf:
            raise RequestError(f"{name}: temperature = {temperature!r} must be above 0 and finite; 1 to 20 is usual.")
        super().__init__(name=name, **kwargs)
        self.temperature = temperature

    def predictions(self, teacher: Any, student: Any) -> tuple[Any, Any, Any]:
        """Returns teacher logits, student logits and temperature, all float32 (float64 where both logits are).

        Args:
            teacher: any float dtype, [batch, classes].
            student: any float dtype, [batch, classes].

        Raises:
            RequestError: the shapes differ, are not [batch, classes], or hold a single class.
        """
        teacher, student = precise(teacher, student)
        tables = all(logits.shape.is_compatible_with([None, None]) for logits in (teacher, student))
        if not tables or not teacher.shape.is_compatible_with(student.shape) or student.shape[-1] == 1:
            raise RequestError(
                f"{self.name}: teacher logits {teacher.shape} and student logits {student.shape} must both be "
                "[batch, classes] with the same two or more classes; train both on the same classes."
            )
        return teacher, student, keras.ops.convert_to_tensor(self.temperature, teacher.dtype)

    def labelled(self, y_true: Any) -> tuple[Any, Any]:
        """Returns the teacher's logits and the labels, for a loss that needs labels.

        Raises:
            RequestError: there are no labels.
        """
        if not isinstance(y_true, Mapping) or not {"answer", "labels"} <= y_true.keys():
            raise RequestError(f'{self.name} needs labels: call it with {{"answer": logits, "labels": labels}}.')
        return y_true["answer"], y_true["labels"]

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return {**super().get_config(), "temperature": float(self.temperature)}


def divergence(log_p: Any, log_q: Any) -> Any:
    """Returns the Kullback-Leibler divergence KL(p‖q) along the last axis, from log-probabilities."""
    return tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=-1)


def right_class(labels: Any, teacher: Any) -> Any:
    """Returns every example's label, int32 [batch]; the teacher's top class replaces a missing one.

    Args:
        labels: any dtype, [batch] or [batch, 1]; −1 is unlabelled.
        teacher: teacher logits, [batch, classes].

    Raises:
        RequestError: the labels are not one number per example.
    """
    batch = teacher.shape[0]
    if not any(labels.shape.is_compatible_with(shape) for shape in ([batch], [batch, 1])):
        raise RequestError(
            f"labels {labels.shape} must be one class number per example, [batch] or [batch, 1], for teacher logits "
            f"{teacher.shape}; pass the index of the class, not one-hot rows."
        )
    numbers = tf.cast(tf.reshape(labels, [-1]), tf.int32)
    return tf.where(numbers == UNLABELLED, tf.argmax(teacher, axis=-1, output_type=tf.int32), numbers)


def split(logits: Any, right: Any) -> tuple[Any, Any]:
    """Splits each example's probabilities `p = softmax(logits)` at its target class t, in log-space.

    The margin `z_t − logsumexp_{c≠t} z_c` is the log-odds of the right class, so that neither log p_t nor
    log (1 − p_t) is ever the logarithm of a rounded difference.

    Args:
        logits: float, [batch, classes].
        right: t, int32 [batch].

    Returns:
        `log [p_t, 1 − p_t]`, [batch, 2], and the logarithms of the other classes' probabilities normalised among
        themselves, `log (p_c / (1 − p_t))`, [batch, classes]. The slot of the right class holds a number so low that
        its probability is exactly 0, and finite, so that 0 times it is 0.
    """
    hit = right[:, None] == tf.range(tf.shape(logits)[-1])
    others = tf.where(hit, tf.constant(logits.dtype.min / 2, logits.dtype), logits)
    margin = tf.gather(logits, right, batch_dims=1) - tf.reduce_logsumexp(others, axis=-1)
    return tf.math.log_sigmoid(tf.stack([margin, -margin], axis=-1)), tf.nn.log_softmax(others)
