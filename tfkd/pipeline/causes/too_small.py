"""The student is too small: it does not reproduce its teacher even on training images, and its loss has settled."""

import json

from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import StudentFigures
from tfkd.pipeline.causes.too_short import TOO_SHORT
from tfkd.recipe.networks import chain

WIDEST, LARGEST = 4.0, 1024  # limits of the recipe
WIDER, LARGER = 2.0, 1.5


def _measure(figures: StudentFigures) -> float | None:
    """Returns the fraction of views with another class than the teacher's; None where the training was too short."""
    if TOO_SHORT.strength(figures) is not None:
        return None
    return figures.training.disagreeing / figures.training.images


def _evidence(figures: StudentFigures) -> str:
    return (
        f"the student gives another class than its teacher for {figures.training.disagreeing} of "
        f"{figures.training.images} views that it was trained on, and more epochs hardly change its loss"
    )


def _remedies(figures: StudentFigures) -> list[Remedy]:
    student, data = figures.recipe.student, figures.recipe.data
    found = []
    if student.is_random and student.width < WIDEST:
        found.append(Remedy((f"student.width={min(WIDEST, WIDER * student.width):g}",)))
    if data.kind == "image" and (side := data.image_size) < LARGEST:
        found.append(Remedy((f"data.image_size={min(LARGEST, round(LARGER * side / 16) * 16)}",)))
    if not chain(figures.recipe) and student.is_random and student.width < WIDEST:
        between = {
            "model": student.model,
            "width": min(WIDEST, WIDER * student.width),
            "activation": student.activation,
        }
        found.append(Remedy((f"distill.assistants={json.dumps([between])}",)))
    return found or [Remedy(advice="a larger student.model, see tfkd list students")]


TOO_SMALL = CauseKind(
    threshold=0.1,
    worst=0.5,
    reason="A student that misses a tenth of the views it was shown has used half of what the default gate of 0.8 "
    "leaves for new examples.",
    measure=_measure,
    evidence=_evidence,
    remedies=_remedies,
)
