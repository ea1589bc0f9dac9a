"""A threshold was chosen on so few validation images of its class that new images may miss the promise."""

from tfkd.pipeline.causes.base import CauseKind, Remedy
from tfkd.pipeline.causes.figures import ClassFigures, StudentFigures
from tfkd.verification.intervals import proportion

WIDE = 0.2  # of a 95 % interval of recall


def _measure(figures: StudentFigures) -> float | None:
    """Returns the width of the widest interval of a promised recall; None without a promise and its threshold."""
    return max(map(_width, _promised(figures)), default=None)


def _promised(figures: StudentFigures) -> list[ClassFigures]:
    return [each for each in figures.at_stake if each.promise is not None and figures.recipe.export.thresholds]


def _width(found: ClassFigures) -> float:
    if not found.validation:
        return 1.0
    low, high = proportion(found.right, found.validation)
    return high - low


def _widest(figures: StudentFigures) -> ClassFigures:
    return max(_promised(figures), key=_width)


def _evidence(figures: StudentFigures) -> str:
    widest = _widest(figures)
    if not widest.validation:
        return f"{widest.described()}, so that no threshold could be chosen for it"
    low, high = proportion(widest.right, widest.validation)
    return (
        f"the threshold of {widest.name!r} was chosen on {widest.validation} validation examples: the recall on new "
        f"examples is between {low:.0%} and {high:.0%} (95% interval), and {widest.promise:.1%} is promised"
    )


def _remedies(figures: StudentFigures) -> list[Remedy]:
    widest = _widest(figures)
    assert widest.promise is not None
    return [Remedy(advice=f"about {_needed(widest.promise)} examples of {widest.name!r} in the validation split")]


def _needed(recall: float) -> int:
    """Returns how many images it takes for an interval of this recall that is not wide."""

    def width(images: int) -> float:
        low, high = proportion(round(recall * images), images)
        return high - low

    return next(images for images in range(1, 1_000) if width(images) < WIDE)


FEW_OF_CLASS = CauseKind(
    threshold=WIDE,
    worst=0.6,
    reason="Where the interval of the recall is wider than 20 points, new examples may miss a promise by ten points "
    "that the validation examples keep.",
    measure=_measure,
    evidence=_evidence,
    remedies=_remedies,
)
