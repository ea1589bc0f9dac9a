"""The teacher does not fit the task: it knows these classes no better than a student without a teacher."""

import math

from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import StudentFigures

LABELS = 0.7  # weight of the labels where the teacher teaches little


def _measure(figures: StudentFigures) -> float | None:
    """Returns the control's validation accuracy less the teacher's; None where one was not measured."""
    if figures.control is None or figures.teacher is None or math.isnan(figures.teacher):
        return None
    return figures.control - figures.teacher


def _evidence(figures: StudentFigures) -> str:
    return (
        f"the teacher predicts {figures.teacher:.1%} of {figures.validation[0]} validation images correctly, and the "
        f"student without a teacher {figures.control:.1%}"
    )


def _remedies(figures: StudentFigures) -> list[Remedy]:
    found = []
    for number, teacher in enumerate(figures.recipe.teachers):
        tuning = teacher.fine_tune
        if tuning is not None and not tuning.epochs:
            found.append(Remedy((f"teachers.{number}.fine_tune.epochs=4",)))
        elif tuning is None and teacher.predictions is None:
            found.append(Remedy((f"teachers.{number}.fine_tune=auto",)))
    if figures.recipe.distill.label_weight < LABELS:
        found.append(Remedy((f"distill.label_weight={LABELS:g}",)))
    return found or [Remedy(advice="a larger teacher, or one that was trained for these classes")]


TASK_MISMATCH = CauseKind(
    threshold=0.0,
    worst=0.05,
    reason="A teacher that is no better than the labels alone has nothing to add to them.",
    measure=_measure,
    evidence=_evidence,
    remedies=_remedies,
)
