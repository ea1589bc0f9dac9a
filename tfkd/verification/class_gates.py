"""Gates on classes: recall and balanced accuracy of each file, judged by their 95 % confidence intervals."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tfkd.errors import RequestError, counted, some
from tfkd.labels import class_named
from tfkd.recipe import Gates
from tfkd.verification.interval_rule import MeanRecall, RecallDrop, judged, lacking
from tfkd.verification.intervals import CONFIDENCE
from tfkd.verification.records import (
    ClassScore,
    Estimate,
    Gate,
    RecallChange,
    RecallChanges,
    Scores,
    Threshold,
)
from tfkd.verification.verdict import decided, not_judged, percent


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


def confidence_of(classes: int) -> float:
    """Returns the confidence of the interval of each class with which all hold together (Bonferroni)."""
    return 1 - (1 - CONFIDENCE) / classes


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


def unproven(gates: Iterable[Gate]) -> dict[str, str]:
    """Returns the promises on classes that were not judged: in words, with the reason.

    Files with the same promise are one entry, which has the reason of the first file.
    """
    found: dict[str, list[Gate]] = {}
    for gate in gates:
        if gate.verdict == "not judged" and (promise := promise_of(gate.name)):
            found.setdefault(promise, []).append(gate)
    return {promise: _reason(those) for promise, those in found.items()}


def promise_of(gate: str) -> str:
    """Returns the promise of a gate on classes in words, by the gate's name; "" for other gates."""
    kind, _, place = gate.partition("/")
    _, _, name = place.partition("/")
    if not place:
        return ""
    of = repr(name) if name else "all classes"
    return {
        "min_recall": f"the recall of {of}",
        "min_balanced_accuracy": "the balanced accuracy",
        "max_recall_drop": f"the drop of the recall of {of}",
    }.get(kind, "")


def _reason(gates: Sequence[Gate]) -> str:
    first = gates[0]
    if len({gate.reason for gate in gates}) == 1:
        return first.reason
    return f"{first.name.split('/')[1]}: {first.reason}; likewise {counted(len(gates) - 1, 'other file')}"


def _recall(gate: str, score: ClassScore, limit: float, name: str, threshold: Threshold | None) -> Gate:
    promised, images = f"{percent(limit)} is promised", f"test examples of {name!r}"
    if score.recall is None:
        return not_judged(gate, f"the test split has no example of it, {promised}")
    counts, value = MeanRecall([score.right], [score.images]), score.right / score.images
    found = f"recall {_shown(score.recall)} on {counted(score.images, 'example')}{_by(threshold)}, {promised}"
    if threshold is None or threshold.recall is None or threshold.kept:
        return judged(gate, counts, limit, found, value, images)
    chosen_on = MeanRecall([threshold.recall * threshold.images], [threshold.images])
    found = f"{_nearest(threshold.value, threshold.recall, threshold.images)}; {found}"
    if counts.is_refuted(limit) or chosen_on.is_refuted(limit):
        return decided(gate, value, limit, False, found)
    return not_judged(gate, f"{found}; {lacking(chosen_on, limit, f'validation examples of {name!r}')}", value)


def _nearest(threshold: float | None, recall: float, images: int) -> str:
    nearest = f"the nearest, {threshold:.8g}, reaches {percent(recall)} of {counted(images, 'example')}"
    return f"no threshold keeps it on the validation split: {nearest}"


def _by(threshold: Threshold | None) -> str:
    if threshold is None:
        return ""
    if threshold.value is None:
        return " without a threshold (the validation split has no example of it)"
    return f" with the threshold {threshold.value:.8g}"


def _balanced_accuracy(gate: str, scores: Scores, limit: float) -> Gate:
    found, tested = scores.balanced_accuracy, _tested(scores)
    counts = MeanRecall([each.right for each in tested.values()], [each.images for each in tested.values()])
    reason = f"balanced accuracy {_shown(found)} of {counted(len(tested), 'class', 'es')}{_untested(scores)}"
    promised = f"{reason}, {percent(limit)} is promised"
    return judged(gate, counts, limit, promised, found.value, "test examples per class")


def _tested(scores: Scores) -> dict[str, ClassScore]:
    return {name: score for name, score in scores.classes.items() if score.images}


def _untested(scores: Scores) -> str:
    untested = [repr(name) for name, score in scores.classes.items() if not score.images]
    return f" (no test example of {some(untested, ', ')})" if untested else ""


def _recall_drops(
    limits: float | Mapping[str, float], file: str, scores: Scores, found: RecallChanges | None
) -> Iterator[Gate]:
    if found is None:
        yield not_judged(
            f"max_recall_drop/{file}", "neither the teacher nor a control was measured on the test examples"
        )
        return
    if not isinstance(limits, Mapping):
        yield _drop_of_all(f"max_recall_drop/{file}", limits, scores, found)
        return
    for given, limit in limits.items():
        name = class_named(given, list(scores.classes), "gates.max_recall_drop")
        gate, score = f"max_recall_drop/{file}/{name}", scores.classes[name]
        if not score.images:
            yield not_judged(gate, "the test split has no example of it")
            continue
        drop = _drop(score, found.classes.get(name), CONFIDENCE)
        reason = f"{_dropped(found.reference)}: {_described(name, drop)} on {counted(score.images, 'example')}"
        yield judged(gate, drop, limit, reason, drop.value, f"test examples of {name!r}")


def _drop_of_all(gate: str, limit: float, scores: Scores, found: RecallChanges) -> Gate:
    """Judges every class that has test images."""
    tested, untested = _tested(scores), _untested(scores)
    confidence = confidence_of(len(tested))
    drops = [(name, _drop(score, found.classes.get(name), confidence)) for name, score in tested.items()]
    drops.sort(key=lambda each: -each[1].value)
    verdicts = [
        judged(gate, drop, limit, _described(name, drop), drop.value, f"test examples of {name!r}")
        for name, drop in drops
    ]
    value = drops[0][1].value
    refuted = [each.reason for each in verdicts if each.verdict == "failed"]
    undecided = [each.reason for each in verdicts if each.verdict == "not judged"]
    listed = some(refuted or undecided or [verdicts[0].reason])
    reason = f"{_dropped(found.reference)}: {listed}{untested}"
    if not refuted and (undecided or untested):
        return not_judged(gate, reason, value)
    return decided(gate, value, limit, not refuted, reason)


def _drop(score: ClassScore, change: RecallChange | None, confidence: float) -> RecallDrop:
    lost, gained = (change.lost, change.gained) if change else (0, 0)
    return RecallDrop(gained, lost, score.right, score.images, confidence)


def _dropped(reference: str) -> str:
    return f"recall of the {reference} less that of the file"


def _described(name: str, drop: RecallDrop) -> str:
    low, high = drop.interval
    return f"{name!r} {100 * drop.value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"


def _shown(found: Estimate) -> str:
    return f"{percent(found.value)} (95 % interval {100 * found.low:.1f} to {percent(found.high)})"
