"""The training was too short: few steps, or a loss that still falls at its end."""

from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import StudentFigures
from tfkd.verification.diagnosis import FEW_STEPS, FEW_STEPS_OF_TRAINED

LONGER = 3  # times the epochs, at least
MOST_REPEATS = 5  # how often a student may see a view


def _measure(figures: StudentFigures) -> float | None:
    """Returns which part of the training is still missing, by its steps or by its loss, 0 to 1."""
    if len(figures.losses) < figures.recipe.distill.training.epochs:
        return None  # `patience` ended it
    half = figures.fall_in_second_half
    if half is None:
        return _missing_steps(figures)
    ahead = min(1.0, (half / (1 - half)) ** 2) if half < 1 else 1.0
    return max(ahead, _missing_steps(figures)) if ahead >= TOO_SHORT.threshold / 2 else ahead


def _missing_steps(figures: StudentFigures) -> float:
    return max(0.0, 1 - figures.steps / _few(figures))


def _few(figures: StudentFigures) -> int:
    return FEW_STEPS if figures.recipe.student.is_random else FEW_STEPS_OF_TRAINED


def _evidence(figures: StudentFigures) -> str:
    start = "random" if figures.recipe.student.is_random else "trained"
    text = f"the training took {figures.steps:,} steps; from {start} weights about {_few(figures):,} are needed"
    half = figures.fall_in_second_half
    return text if half is None else f"{half:.0%} of the loss's fall was in the second half of the epochs, and {text}"


def _remedies(figures: StudentFigures) -> list[Remedy]:
    distill, steps = figures.recipe.distill, figures.steps_per_epoch
    epochs = max(LONGER * distill.training.epochs, -(-_few(figures) // steps))
    views = -(-epochs // MOST_REPEATS)
    found = [Remedy((f"distill.training.epochs={epochs}",))]
    if distill.targets == "view" and views > distill.views:
        found.append(Remedy((f"distill.training.epochs={epochs}", f"distill.views={views}")))
    return found


TOO_SHORT = CauseKind(
    threshold=0.1,
    worst=1.0,
    reason="A loss that falls as an exponential has a tenth of its fall ahead where the second half of the epochs "
    "brought a quarter of it; a cosine schedule alone brings about that much.",
    measure=_measure,
    evidence=_evidence,
    remedies=_remedies,
)
