"""What every distillation loss shares: its form, its precision, and what it asks for."""

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
UNNUMBERED = -1  # in an index, of an image whose number in the training set is not known

_EVALUATING = ContextVar("evaluating", default=False)


@contextlib.contextmanager
def evaluation() -> Iterator[None]:
    """Returns a context in which losses only compute: memories and running moments stay as they are."""
    token = _EVALUATING.set(True)
    try:
        yield
    finally:
        _EVALUATING.reset(token)


def is_evaluation() -> bool:
    """Returns whether losses are evaluated and not trained on."""
    return _EVALUATING.get()


class DistillationLoss(keras.losses.Loss):
    """A loss between a teacher's answer and the student's.

    A loss is called as `loss(y_true, y_pred, sample_weight)`: `y_true` is the teacher's answer and `y_pred` the
    student's, both as the taps name them. A loss that `needs` more gets a mapping instead of the bare answer, with
    `answer` beside what it needs: `labels`, [batch], −1 for an unlabelled image, or `index`, [batch], each image's
    number in the training set, −1 where it is not known.

    Attributes:
        needs: what the loss asks for beyond the two answers.
        teacher_tap: what of the teacher it looks at: "logits", or a feature (see `tfkd.distill.taps`).
        student_tap: the same of the student.
        layers: projectors and memories, made by `build`; trained, checkpointed and never exported with the student.
    """

    needs: ClassVar[tuple[Need, ...]] = ()

    def __init__(self, name: str, teacher_tap: str = LOGITS, student_tap: str = LOGITS, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.teacher_tap = teacher_tap
        self.student_tap = student_tap
        self.layers: list[keras.layers.Layer] = []

    def build(self, teacher: tuple[int, ...], student: tuple[int, ...], images: int | None = None) -> None:
        """Makes the loss's layers, once, before the first step.

        Args:
            teacher: shape of the teacher's answer without the batch.
            student: shape of the student's answer without the batch.
            images: number of training images, where it is known.
        """

    @property
    def counts_images(self) -> bool:
        """Whether the loss cannot train without each image's number in the training set."""
        return False

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same loss again."""
        config: dict[str, Any] = super().get_config()
        if self.teacher_tap != LOGITS:
            config |= {"teacher_tap": self.teacher_tap, "student_tap": self.student_tap}
        return config


def precise(*tensors: Any) -> tuple[Any, ...]:
    """Returns tensors of any float dtype as float32, or as float64 where all of them are."""
    dtype = tf.float64 if all(tensor.dtype == tf.float64 for tensor in tensors) else tf.float32
    return tuple(tf.cast(tensor, dtype) for tensor in tensors)


def check_parts(loss: str, **weights: float) -> None:
    """Refuses weights of a loss's parts that are negative, not finite, or all 0, with a RequestError."""
    for part, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise RequestError(f"{loss}: {part} = {weight!r} must be a finite weight of at least 0.")
    if sum(weights.values()) == 0:
        raise RequestError(f"{loss}: {' and '.join(weights)} are all 0; give at least one of them weight.")
