"""Base of the distillation losses: their form, precision and needs."""

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, ClassVar, Literal

import keras
import tensorflow as tf

from tfkd.errors import RequestError

LOGITS = "logits"
Need = Literal["labels", "index"]
UNNUMBERED = -1  # index of an example whose number in the training set is unknown

_EVALUATING = ContextVar("evaluating", default=False)


@contextlib.contextmanager
def evaluation() -> Iterator[None]:
    """Returns a context in which losses do not update memories and running moments."""
    token = _EVALUATING.set(True)
    try:
        yield
    finally:
        _EVALUATING.reset(token)


def is_evaluation() -> bool:
    """Returns whether losses are only evaluated."""
    return _EVALUATING.get()


class DistillationLoss(keras.losses.Loss):
    """A loss between predictions (logits or a feature) of a teacher and of the student.

    A loss is called as `loss(y_true, y_pred, sample_weight)`: `y_true` is the teacher's prediction and `y_pred`
    the student's, at their taps. A loss with `needs` gets a mapping instead, with the teacher's prediction as `answer`,
    and what it needs: `labels`, [batch], −1 for an unlabelled example, or `index`, [batch], each example's
    number in the training set, −1 if unknown.

    Attributes:
        needs: what the loss needs in addition to the two predictions.
        teacher_tap: tap of the teacher: "logits", or a feature (see `tfkd.distill.taps`).
        student_tap: tap of the student.
        layers: projectors and memories, created by `build`; trained, checkpointed and never exported with the student.
    """

    needs: ClassVar[tuple[Need, ...]] = ()

    def __init__(self, name: str, teacher_tap: str = LOGITS, student_tap: str = LOGITS, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.teacher_tap = teacher_tap
        self.student_tap = student_tap
        self.layers: list[keras.layers.Layer] = []

    def build(self, teacher: tuple[int, ...], student: tuple[int, ...], images: int | None = None) -> None:
        """Creates the loss's layers, once, before the first step.

        Args:
            teacher: shape of the teacher's prediction without the batch.
            student: shape of the student's prediction without the batch.
            images: number of training examples, if known.
        """

    @property
    def counts_images(self) -> bool:
        """Whether the loss cannot train without each example's number in the training set."""
        return False

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        config: dict[str, Any] = super().get_config()
        if self.teacher_tap != LOGITS:
            config |= {"teacher_tap": self.teacher_tap, "student_tap": self.student_tap}
        return config


def precise(*tensors: Any) -> tuple[Any, ...]:
    """Returns tensors of any float dtype as float32, or as float64 if all of them are."""
    dtype = tf.float64 if all(tensor.dtype == tf.float64 for tensor in tensors) else tf.float32
    return tuple(tf.cast(tensor, dtype) for tensor in tensors)


def check_parts(loss: str, **weights: float) -> None:
    """Raises a RequestError if weights of a loss's parts are negative, not finite, or all 0."""
    for part, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise RequestError(f"{loss}: {part} = {weight!r} must be a finite weight of at least 0.")
    if sum(weights.values()) == 0:
        raise RequestError(f"{loss}: {' and '.join(weights)} are all 0; set at least one of them above 0.")
