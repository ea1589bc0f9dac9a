"""Says what the images can show of the promises on classes: those that judge them, and those that choose thresholds."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from tfkd.data import Dataset
from tfkd.errors import counted
from tfkd.labels import class_named
from tfkd.pipeline.imbalance import Finding
from tfkd.recipe import Recipe
from tfkd.verification.class_gates import confidence_of, promises
from tfkd.verification.interval_rule import MeanRecall, RecallDrop, images_needed
from tfkd.verification.intervals import CONFIDENCE, proportion


def examine_promises(recipe: Recipe, data: Dataset) -> Iterator[Finding]:
    """Yields a finding about each promise of the recipe on classes.

    Raises:
        RequestError: a class is not in the data.
    """
    gates, classes = recipe.gates, data.classes
    tested, validated = (
        dict(zip(classes, np.bincount(split.labels, minlength=len(classes)).tolist(), strict=True))
        for split in (data.test, data.validation)
    )
    chooses = recipe.export.thresholds and not data.is_pooled
    for name, limit in promises(gates, classes).items():
        yield _recall(name, limit, tested[name], validated[name] if chooses else None)
    if gates.max_recall_drop is not None:
        yield from _drops(gates.max_recall_drop, tested)
    if gates.min_balanced_accuracy is not None:
        yield _balanced_accuracy(gates.min_balanced_accuracy, tested)


def _recall(name: str, limit: float, tested: int, validated: int | None) -> Finding:
    """Returns what the images show of a promised recall; `validated` is None where no threshold is chosen."""
    level, text = _judged(f"a recall of {_percent(limit)} is promised for {name!r}", tested, images_needed(limit))
    if validated is None:
        return level, text
    if not validated:
        return "warning", f"{text}; the validation split has no example of it to choose its threshold"
    low, high = proportion(max(1, math.ceil(limit * validated)), validated)
    text += (
        f"; its threshold is chosen on {counted(validated, 'validation example')}, which leaves a recall between "
        f"{low:.0%} and {high:.0%} ({CONFIDENCE:.0%} interval)"
    )
    return "warning" if validated < (images_needed(limit) or math.inf) else level, text


def _drops(limits: float | Mapping[str, float], tested: Mapping[str, int]) -> Iterator[Finding]:
    """Yields a finding about each class with a limit, or about the rarest one where all have the same."""
    if isinstance(limits, Mapping):
        by_class = {class_named(name, [*tested], "gates.max_recall_drop"): limit for name, limit in limits.items()}
    else:
        by_class = {min(tested, key=tested.__getitem__): limits}
    confidence = CONFIDENCE if isinstance(limits, Mapping) else confidence_of(len(tested))
    for name, limit in by_class.items():
        perfect = RecallDrop(0, 0, 1, 1, confidence)  # as if the teacher and the file had all images right
        promise = f"a drop of at most {100 * limit:g} points of the recall of {name!r} is promised"
        yield _judged(promise, tested[name], perfect.needed(limit))


def _judged(promise: str, tested: int, needed: int | None) -> Finding:
    if not tested:
        return "warning", f"{promise}: the test split has no example of it, so that the gate cannot judge it"
    images = counted(tested, "test example")
    if needed is None:
        return "warning", f"{promise}: {images}, and no number is enough to show it"
    if tested < needed:
        return "warning", f"{promise}: {images} of {needed:,} that the gate needs to judge it"
    return "ok", f"{promise}: {images}, and the gate needs {needed:,} to judge it"


def _balanced_accuracy(limit: float, tested: Mapping[str, int]) -> Finding:
    rare = min(tested, key=lambda name: tested[name] or math.inf)
    images = [count for count in tested.values() if count]
    needed = MeanRecall([0] * len(images), images).needed(limit)
    level, text = _judged(f"a balanced accuracy of {_percent(limit)} is promised", tested[rare], needed)
    return level, f"{text} (of each class; {rare!r} has the fewest)"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g}%"
