"""The student starts from random weights with few images."""

from tfkd.models import STUDENTS
from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import StudentFigures
from tfkd.pipeline.causes.overfitted import more_images
from tfkd.pipeline.trained_weights import FEW_IMAGES, trained_weights


def _measure(figures: StudentFigures) -> float | None:
    """Returns which part of FEW_IMAGES is missing; None where none is, or where no trained weights are known."""
    student = figures.recipe.student
    if figures.transfer >= FEW_IMAGES or not student.is_random or student.model not in STUDENTS:
        return None
    return 1 - figures.transfer / FEW_IMAGES


def _evidence(figures: StudentFigures) -> str:
    return (
        f"{figures.recipe.student.model} starts from random weights with {figures.transfer:,} examples, fewer than "
        f"{FEW_IMAGES:,}"
    )


def _remedies(figures: StudentFigures) -> list[Remedy]:
    recipe = figures.recipe
    found = [Remedy(each.overrides, each.source) for each in trained_weights(recipe.student, recipe.teachers[0])]
    return [*found, *more_images(figures)] or [Remedy(advice="another student.model with ImageNet weights")]


INITIAL_WEIGHTS = CauseKind(
    threshold=0.0,
    worst=1.0,
    reason="Below 5,000 examples random weights learn less than trained ones already know.",
    measure=_measure,
    evidence=_evidence,
    remedies=_remedies,
)
