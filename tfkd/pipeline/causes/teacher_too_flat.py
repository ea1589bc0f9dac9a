"""The teacher is too flat: its softened predictions are nearly a uniform guess."""

from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import StudentFigures
from tfkd.pipeline.causes.teacher_too_sure import softer
from tfkd.verification.diagnosis import FLAT

LOWER = 4  # times


def _measure(figures: StudentFigures) -> float | None:
    """Returns the entropy of the soft labels as a fraction of that of guessing; None without a loss on them."""
    return figures.training.flatness if figures.temperatures else None


def _evidence(figures: StudentFigures) -> str:
    highest = max(temperature for _, temperature in figures.temperatures)
    return f"at temperature {highest:g} the soft labels have {figures.training.flatness:.1%} of the entropy of guessing"


def _remedies(figures: StudentFigures) -> list[Remedy]:
    place, highest = max(figures.temperatures, key=lambda each: each[1])
    lower = Remedy((f"distill.losses.{place}.temperature={max(1.0, highest / LOWER):g}",))
    found = [*softer(figures), lower] if highest > 1 else []
    return found or [Remedy(advice="a teacher that was trained longer, or for these classes")]


TEACHER_TOO_FLAT = CauseKind(
    threshold=FLAT,
    worst=1.0,
    reason="Above 0.95 of the entropy of guessing, soft labels contain almost no information.",
    measure=_measure,
    evidence=_evidence,
    remedies=_remedies,
)
