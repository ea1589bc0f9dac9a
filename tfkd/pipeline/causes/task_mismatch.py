"""The teacher does not fit the task: it knows these classes no better than a student without a teacher."""

from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import StudentFigures

GAIN = 0.05  # of the teacher over the control, that its student may get a part of
LABELS = 0.7  # weight of the labels where the teacher teaches little


def _measure(figures: StudentFigures) -> float | None:
    """Returns how far the interval of the teacher's gain over the control is below GAIN; None where it cannot tell."""
    interval = figures.teacher_over_control
    if interval is None or interval[0] > 0:
        return None
    return GAIN - interval[1]


def _evidence(figures: StudentFigures) -> str:
    assert figures.only_right is not None and figures.control is not None and figures.teacher_over_control is not None
    of_teacher, of_control = figures.only_right
    images, (low, high) = figures.validation[0], figures.teacher_over_control
    taught = figures.control + (of_teacher - of_control) / images
    return (
        f"the teacher predicts {taught:.1%} of {images} validation examples correctly and the student without a "
        f"teacher {figures.control:.1%}, a difference of {100 * low:+.1f} to {100 * high:+.1f} points (95% interval; "
        f"{of_teacher} examples only the teacher, {of_control} only the control)"
    )


def _remedies(figures: StudentFigures) -> list[Remedy]:
    found = []
    for number, teacher in enumerate(figures.recipe.teachers):
        tuning = teacher.fine_tune
        if tuning is not None and not tuning.epochs:
            found.append(Remedy((f"teachers.{number}.fine_tune.epochs=4",)))
        elif tuning is None and teacher.predictions is None:
            found.append(Remedy((f"teachers.{number}.fine_tune=auto",)))
    found += more_weight_on_labels(figures, LABELS)
    return found or [Remedy(advice="a larger teacher, or one that was trained for these classes")]


def more_weight_on_labels(figures: StudentFigures, weight: float) -> list[Remedy]:
    """Returns this weight of the loss with the labels, where the recipe has a lower one."""
    return [Remedy((f"distill.label_weight={weight:g}",))] if figures.recipe.distill.label_weight < weight else []


TASK_MISMATCH = CauseKind(
    threshold=0.0,
    worst=0.15,
    reason="A teacher that is at most five points better than the labels alone has little to add to them; where the "
    "interval is wider, the examples are too few to tell.",
    measure=_measure,
    evidence=_evidence,
    remedies=_remedies,
)
