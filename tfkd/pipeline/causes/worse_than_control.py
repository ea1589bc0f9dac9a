"""The losses with the teacher hinder the student: it is worse than the same student without a teacher."""

from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import StudentFigures
from tfkd.pipeline.causes.task_mismatch import more_weight_on_labels
from tfkd.pipeline.causes.teacher_too_sure import softer
from tfkd.verification.intervals import difference

LABELS = 0.5  # weight of the labels where it was lower


def _measure(figures: StudentFigures) -> float | None:
    """Returns the control's validation accuracy less the student's; 0 where chance explains it, None without one."""
    if figures.control is None:
        return None
    images, right = figures.validation
    low, _ = difference(round(figures.control * images), images, right, images)
    return figures.control - figures.accuracy if low > 0 else 0.0


def _evidence(figures: StudentFigures) -> str:
    return (
        f"the student predicts {figures.accuracy:.1%} of {figures.validation[0]} validation examples correctly, and "
        f"the same student without a teacher {figures.control:.1%}"
    )


def _remedies(figures: StudentFigures) -> list[Remedy]:
    found = [*softer(figures), *more_weight_on_labels(figures, LABELS)]
    return found or [Remedy(advice="the control instead of this student, or another teacher")]


WORSE_THAN_CONTROL = CauseKind(
    threshold=0.01,
    worst=0.1,
    reason="A student below its control, by more than chance, has lost to the teacher's part of the loss what the "
    "labels alone would have taught it.",
    measure=_measure,
    evidence=_evidence,
    remedies=_remedies,
)
