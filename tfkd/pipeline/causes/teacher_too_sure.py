"""The teacher is too sure: its soft labels on the training images are one-hot and repeat the labels."""

from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import StudentFigures
from tfkd.pipeline.causes.overfitted import in_folds, more_images
from tfkd.recipe import AUTO, LogitLoss

ONE_HOT = 0.99  # mean probability of the top class above which soft labels add nothing to labels


def _measure(figures: StudentFigures) -> float | None:
    """Returns the mean of the teacher's largest softened probability; None without a loss that softens them."""
    return figures.training.confidence if figures.temperatures else None


def _evidence(figures: StudentFigures) -> str:
    training = figures.training
    lowest = min(temperature for _, temperature in figures.temperatures)
    text = (
        f"at temperature {lowest:g} the teacher's mean confidence on {training.images} views of training examples is "
        f"{training.confidence:.3f}, so that its soft labels repeat labels"
    )
    if figures.teacher is None or training.teacher_right is None:
        return text
    right = f"{training.teacher_right / training.images:.1%}"
    return f"{text}; it predicts {right} of them correctly, and {figures.teacher:.1%} of the validation examples"


def _remedies(figures: StudentFigures) -> list[Remedy]:
    return [*softer(figures), *other_images(figures)]


def softer(figures: StudentFigures) -> list[Remedy]:
    """Returns the temperature that the predictions call for, for losses that do not choose it yet."""
    losses = figures.recipe.distill.losses
    named = [
        f"distill.losses.{place}.temperature={AUTO}"
        for place, _ in figures.temperatures
        if isinstance(loss := losses[place], LogitLoss) and loss.temperature != AUTO
    ]
    return [Remedy(tuple(named))] if named else []


def other_images(figures: StudentFigures) -> list[Remedy]:
    """Returns what adds images that the teacher has not memorised, and lets it memorise less."""
    found = [*in_folds(figures), *more_images(figures)]
    for number, teacher in enumerate(figures.recipe.teachers):
        if teacher.fine_tune is not None and teacher.fine_tune.epochs > 1:
            found.append(Remedy((f"teachers.{number}.fine_tune.epochs={teacher.fine_tune.epochs // 2}",)))
    return found or [Remedy(advice="a teacher that was not trained on these examples")]


TEACHER_TOO_SURE = CauseKind(
    threshold=ONE_HOT,
    worst=1.0,
    reason="Above 0.99 all other classes share less than a hundredth, and the loss hardly sees them.",
    measure=_measure,
    evidence=_evidence,
    remedies=_remedies,
)
