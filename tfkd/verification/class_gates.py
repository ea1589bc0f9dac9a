"""Gates on classes: recall and balanced accuracy of each file, judged by their 95 % confidence intervals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tfkd.errors import RequestError, counted, some
from tfkd.labels import class_named
from tfkd.recipe import Gates
from tfkd.verification import intervals
from tfkd.verification.intervals import CONFIDENCE, Interval
from tfkd.verification.records import (
    ClassScore,
    Estimate,
    Gate,
    RecallChange,
    RecallChanges,
    Scores,
    Threshold,
)
from tfkd.verification.verdict import ROUNDING, by_interval, decided, not_judged, percent

_STORED = 1e-6  # rounding of stored means


def require_known(gates: Gates, classes: Sequence[str]) -> None:
    """Refuses gates on classes that the data do not have, before anything is trained.

    Raises:
        RequestError: names the class and the most similar one.
    """
    for field in ("min_recall", "max_recall_drop"):
        limits = getattr(gates, field)
        if isinstance(limits, Mapping):
            found = [class_named(name, classes, f"gates.{field}") for name in limits]
            if twice := next((name for name in found if found.count(name) > 1), None):
                raise RequestError(f"gates.{field} names the class {twice!r} twice; name it once.")


def promises(gates: Gates, classes: Sequence[str]) -> dict[str, float]:
    """Returns the promised recall by the name of the class in the data.

    Raises:
        RequestError: a class is not in the data.
    """
    return {class_named(name, classes, "gates.min_recall"): limit for name, limit in (gates.min_recall or {}).items()}


def judge_file(
    gates: Gates, file: str, scores: Scores | None, changes: RecallChanges | None, thresholds: Mapping[str, Threshold]
) -> Iterator[Gate]:
    """Yields the verdicts on the classes that an app gets from a file.

    Args:
        gates: the limits.
        file: the name of a file that was run.
        scores: of its classes by the thresholds; with folds those of the student.
        changes: against the teacher or the control; None without either.
        thresholds: of the bundle, by class.

    Raises:
        RequestError: there are no scores, or a class is not among them.
    """
    if gates.min_recall is None and gates.min_balanced_accuracy is None and gates.max_recall_drop is None:
        return
    if scores is None:
        raise RequestError(f"A gate needs the scores per class of {file}; export it again, or set that gate to None.")
    yield from judge_scores(gates, scores, file, thresholds)
    if gates.max_recall_drop is not None:
        yield from _recall_drops(gates.max_recall_drop, file, scores, changes)


def judge_scores(gates: Gates, scores: Scores, file: str, thresholds: Mapping[str, Threshold]) -> Iterator[Gate]:
    """Yields the verdicts that need no other network than the file's own.

    Args:
        gates: the limits.
        scores: of the file's classes by the thresholds.
        file: its name.
        thresholds: of the bundle, by class.

    Raises:
        RequestError: a class is not among the scores.
    """
    for name, limit in promises(gates, list(scores.classes)).items():
        yield _recall(f"min_recall/{file}/{name}", scores.classes[name], limit, name, thresholds.get(name))
    if gates.min_balanced_accuracy is not None:
        yield _balanced_accuracy(f"min_balanced_accuracy/{file}", scores, gates.min_balanced_accuracy)


def _recall(gate: str, score: ClassScore, limit: float, name: str, threshold: Threshold | None) -> Gate:
    if score.recall is None:
        return not_judged(gate, f"the test split has no image of {name!r}")
    value = score.right / score.images
    found = f"recall {_shown(score.recall)} on {counted(score.images, 'image')}{_by(threshold)}"
    reason = f"{found}, {percent(limit)} is promised"
    if threshold is not None and threshold.recall is not None and not threshold.kept:
        nearest = f"the nearest, {threshold.value:.8g}, reaches {percent(threshold.recall)}"
        return decided(gate, value, limit, False, f"no threshold keeps it on the validation split: {nearest}; {reason}")
    return by_interval(
        gate,
        value,
        limit,
        excluded=intervals.proportion(score.right, score.images)[1] < limit - ROUNDING,
        met=value >= limit - ROUNDING,
        can_fail=intervals.proportion(0, score.images)[1] < limit - ROUNDING,
        reason=reason,
    )


def _by(threshold: Threshold | None) -> str:
    if threshold is None:
        return ""
    if threshold.value is None:
        return " without a threshold (the validation split has no image of it)"
    return f" with the threshold {threshold.value:.8g}"


def _balanced_accuracy(gate: str, scores: Scores, limit: float) -> Gate:
    found = scores.balanced_accuracy
    tested = [score.images for score in scores.classes.values() if score.images]
    worst = intervals.mean([0.0] * len(tested), [intervals.proportion(0, images) for images in tested])
    return by_interval(
        gate,
        found.value,
        limit,
        excluded=found.high < limit - _STORED,
        met=found.value >= limit - _STORED,
        can_fail=worst[1] < limit - _STORED,
        reason=f"balanced accuracy {_shown(found)} of {len(tested):,} classes, {percent(limit)} is promised",
    )


@dataclass(frozen=True)
class _Drop:
    """The drop of one class's recall: its value, its interval, and that of a file which is always wrong."""

    name: str
    value: float
    interval: Interval
    worst: Interval

    def excludes(self, limit: float) -> bool:
        return self.interval[0] > limit + ROUNDING

    def meets(self, limit: float) -> bool:
        return self.value <= limit + ROUNDING

    def can_fail(self, limit: float) -> bool:
        return self.worst[0] > limit + ROUNDING

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.name!r} {100 * self.value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"


def _recall_drops(
    limits: float | Mapping[str, float], file: str, scores: Scores, found: RecallChanges | None
) -> Iterator[Gate]:
    if found is None:
        yield not_judged(f"max_recall_drop/{file}", "neither the teacher nor a control was measured on the test images")
        return
    if not isinstance(limits, Mapping):
        yield _drop_of_all(f"max_recall_drop/{file}", limits, scores, found.classes, found.reference)
        return
    for given, limit in limits.items():
        name = class_named(given, list(scores.classes), "gates.max_recall_drop")
        gate, score = f"max_recall_drop/{file}/{name}", scores.classes[name]
        if not score.images:
            yield not_judged(gate, f"the test split has no image of {name!r}")
            continue
        drop = _drop(name, score, found.classes.get(name), CONFIDENCE)
        reason = f"recall of the {found.reference} less that of the file: {drop} on {counted(score.images, 'image')}"
        yield by_interval(
            gate,
            drop.value,
            limit,
            excluded=drop.excludes(limit),
            met=drop.meets(limit),
            can_fail=drop.can_fail(limit),
            reason=reason,
        )


def _drop_of_all(gate: str, limit: float, scores: Scores, changes: Mapping[str, RecallChange], reference: str) -> Gate:
    """Judges every class with test images; the intervals hold for all of them together (Bonferroni)."""
    tested = {name: score for name, score in scores.classes.items() if score.images}
    confidence = 1 - (1 - CONFIDENCE) / len(tested)
    drops = [_drop(name, score, changes.get(name), confidence) for name, score in tested.items()]
    excluded = [drop for drop in drops if drop.excludes(limit)]
    unmet = [drop for drop in drops if not drop.meets(limit)]
    small = [drop for drop in drops if not drop.can_fail(limit)]
    shown = excluded or unmet or small or [max(drops, key=lambda drop: drop.value)]
    return by_interval(
        gate,
        max(drop.value for drop in drops),
        limit,
        excluded=bool(excluded),
        met=not unmet,
        can_fail=not small,
        reason=f"recall of the {reference} less that of the file: {some([str(drop) for drop in shown], ', ')}",
    )


def _drop(name: str, score: ClassScore, change: RecallChange | None, confidence: float) -> _Drop:
    lost, gained = (change.lost, change.gained) if change else (0, 0)
    reference = score.right - gained + lost
    return _Drop(
        name=name,
        value=(lost - gained) / score.images,
        interval=intervals.paired_difference(gained, lost, score.right, score.images, confidence),
        worst=intervals.paired_difference(0, reference, 0, score.images, confidence),
    )


def _shown(found: Estimate) -> str:
    return f"{percent(found.value)} (95 % interval {100 * found.low:.1f} to {percent(found.high)})"
