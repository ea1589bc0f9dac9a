"""The terms of a distillation: the weighted losses for every teacher, built for their shapes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfkd.distill.losses.base import LOGITS, DistillationLoss
from tfkd.errors import RequestError, nearest

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Term:
    """One loss between the student and one teacher.

    Attributes:
        loss: the loss, built if it has layers.
        weight: a number, or a variable that changes during the training.
        teacher: the teacher's number.
        teacher_weight: the teacher's weight; those of all teachers sum to 1.
    """

    loss: DistillationLoss
    weight: Any
    teacher: int
    teacher_weight: float

    @property
    def layers(self) -> list[Any]:
        """The loss's projectors and memories."""
        return self.loss.layers

    def value(
        self,
        answer: Mapping[str, Any],
        student: Mapping[str, Any],
        context: Mapping[str, Callable[[], Any]],
        sample_weight: Any,
    ) -> Any:
        """Returns the weighted loss of a batch, a float32 scalar.

        Args:
            answer: predictions of the teacher, by tap.
            student: the student's outputs, by tap.
            context: source of what a loss may need beyond the predictions.
            sample_weight: weights of the examples, [batch], or None.
        """
        features = answer.get(self.loss.teacher_tap)
        if features is None:
            raise RequestError(_missing(self.loss, self.teacher, list(answer)))
        features = tf.stop_gradient(features)
        if self.loss.needs:
            features = {"answer": features, **{need: context[need]() for need in self.loss.needs}}
        value = self.loss(features, student[self.loss.student_tap], sample_weight=sample_weight)
        return tf.cast(self.weight, value.dtype) * tf.cast(self.teacher_weight, value.dtype) * value


def terms_of(
    losses: Sequence[tuple[DistillationLoss, Any]],
    teacher_weights: Sequence[float],
    teachers: Sequence[Shapes],
    student: Shapes,
    images: int | None,
) -> list[Term]:
    """Returns every loss with every teacher.

    Args:
        losses: pairs (loss, weight).
        teacher_weights: relative weight of each teacher.
        teachers: shapes of each teacher's predictions by tap, without the batch; empty if only
            logits are known.
        student: shapes of the student's outputs by tap, without the batch.
        images: number of training examples, if known.

    Raises:
        RequestError: the weights do not fit the teachers, logits have other classes, or a prediction is missing.
    """
    shapes = list(teachers) or [{LOGITS: student[LOGITS]}] * len(teacher_weights)
    if len(teacher_weights) != len(shapes) or min(teacher_weights) < 0 or sum(teacher_weights) <= 0:
        raise RequestError(
            f"teacher_shares = {list(teacher_weights)} must be one number above 0 for each of {len(shapes)} teachers."
        )
    return [
        Term(
            _built(loss, shapes[number], student, number, images), weight, number, teacher_weight / sum(teacher_weights)
        )
        for loss, weight in losses
        for number, teacher_weight in enumerate(teacher_weights)
    ]


def _built(
    loss: DistillationLoss, teacher: Shapes, student: Shapes, number: int, images: int | None
) -> DistillationLoss:
    """Returns a copy of the loss with its own layers, but the scheduled temperature of the original."""
    if loss.teacher_tap not in teacher:
        raise RequestError(_missing(loss, number, list(teacher)))
    theirs, own = tuple(teacher[loss.teacher_tap]), tuple(student[loss.student_tap])
    if loss.teacher_tap == loss.student_tap == LOGITS and theirs != own:
        raise RequestError(
            f"Teacher {number} predicts logits of shape {theirs}, the student {own}; they must be equal."
        )
    built = type(loss).__new__(type(loss))  # copy.copy would save and load it, and lose a scheduled temperature
    built.__dict__.update(loss.__dict__)
    built.build(theirs, own, images)
    return built


def _missing(loss: DistillationLoss, number: int, known: list[str]) -> str:
    return (
        f"The loss {loss.name!r} uses {loss.teacher_tap!r}, which the predictions of teacher {number} lack: "
        f"they hold {', '.join(known)}.{nearest(loss.teacher_tap, known)}"
    )
