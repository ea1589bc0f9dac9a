"""A promised recall is left to the most probable class, without a threshold that keeps it."""

from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import ClassFigures, StudentFigures


def _measure(figures: StudentFigures) -> float | None:
    """Returns by how much the recall misses the promise on the validation images; None with thresholds or folds."""
    recipe = figures.recipe
    if recipe.export.thresholds or recipe.data.folds is not None:
        return None
    return max((short for each in figures.at_stake if (short := _short(each)) > 0), default=None)


def _short(found: ClassFigures) -> float:
    return found.promise - found.right / found.validation if found.promise is not None and found.validation else 0.0


def _evidence(figures: StudentFigures) -> str:
    worst = max(figures.at_stake, key=_short)
    return (
        f"{worst.described()}, {worst.promise:.1%} is promised, and export.thresholds=false leaves it to the most "
        "probable class"
    )


NO_THRESHOLD = CauseKind(
    threshold=0.0,
    worst=0.1,
    reason="A threshold keeps any promise on the validation examples, and needs no training.",
    measure=_measure,
    evidence=_evidence,
    remedies=lambda figures: [Remedy(("export.thresholds=true",))],
)
