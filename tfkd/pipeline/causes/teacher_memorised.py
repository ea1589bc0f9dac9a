"""The teacher has memorised the training images: its soft labels on them are no sample of what it knows."""

from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import StudentFigures
from tfkd.pipeline.causes.teacher_too_sure import other_images, softer
from tfkd.verification.intervals import difference


def _measure(figures: StudentFigures) -> float | None:
    """Returns the teacher's accuracy on training views less that on validation images; 0 where chance explains it."""
    training, images, right = figures.training, figures.validation[0], figures.training.teacher_right
    if figures.teacher is None or right is None:
        return None
    low, _ = difference(right, training.images, round(figures.teacher * images), images)
    return right / training.images - figures.teacher if low > 0 else 0.0


def _evidence(figures: StudentFigures) -> str:
    return (
        f"the teacher predicts {figures.training.teacher_right} of {figures.training.images} views of training "
        "examples correctly, and "
        f"{figures.teacher:.1%} of {figures.validation[0]} validation examples"
    )


def _remedies(figures: StudentFigures) -> list[Remedy]:
    return [*other_images(figures), *softer(figures)]


TEACHER_MEMORISED = CauseKind(
    threshold=0.1,
    worst=0.5,
    reason="The soft labels of such a teacher are right more often than those of new examples by more than a tenth.",
    measure=_measure,
    evidence=_evidence,
    remedies=_remedies,
)
