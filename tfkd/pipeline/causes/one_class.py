"""The student gives one class for nearly every image, which its labels do not have as often."""

from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import StudentFigures
from tfkd.verification.diagnosis import ONE_CLASS

SETTLED, QUICK = 5, 0.8  # time constants of the BatchNorm statistics that a training takes; a shorter memory
LOWER = 4  # times


def _measure(figures: StudentFigures) -> float:
    """Returns the fraction of images with the most frequent prediction; 0 where the labels are as unbalanced."""
    training = figures.training
    return training.most_frequent / training.images if training.most_frequent > training.most_labelled else 0.0


def _evidence(figures: StudentFigures) -> str:
    training = figures.training
    return (
        f"the student gives the same class for {training.most_frequent} of {training.images} training examples after "
        f"{figures.steps:,} steps"
    )


def _remedies(figures: StudentFigures) -> list[Remedy]:
    student, training = figures.recipe.student, figures.recipe.distill.training
    lower = Remedy((f"distill.training.learning_rate={training.learning_rate / LOWER:g}",))
    if figures.steps * (1 - student.batch_norm_momentum) < SETTLED and student.batch_norm_momentum > QUICK:
        return [Remedy((f"student.batch_norm_momentum={QUICK:g}",)), lower]
    return [lower]


ONE_CLASS_ALONE = CauseKind(
    threshold=ONE_CLASS,
    worst=1.0,
    reason="A network that gives one class for nine of ten examples distinguishes nothing.",
    measure=_measure,
    evidence=_evidence,
    remedies=_remedies,
)
