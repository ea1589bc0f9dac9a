"""Scores of predictions per class, from the labels of a test split."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfkd.verification import intervals
from tfkd.verification.intervals import Interval
from tfkd.verification.records import ClassScore, Estimate, RecallChange, RecallChanges, Scores
from tfkd.verification.thresholds import predicted

_SHARED = 2.0  # a mistake lowers the F1 of two classes, so the variance of a sum is at most twice that of its parts
_DIGITS = 6  # of stored fractions


def scores(labels: np.ndarray, predictions: np.ndarray, classes: Sequence[str]) -> Scores:
    """Returns recall, precision and F1 of each class, and their means.

    Args:
        labels: int [n], the true classes.
        predictions: int [n], the predicted classes.
        classes: the names of all classes.
    """
    images, predicted, right = (
        np.bincount(each, minlength=len(classes)).tolist()
        for each in (labels, predictions, labels[labels == predictions])
    )
    return from_counts(dict(zip(classes, zip(images, predicted, right, strict=True), strict=True)))


def from_counts(counts: dict[str, tuple[int, int, int]]) -> Scores:
    """Returns the scores of counts by class: images of the class, images predicted as it, and images that are both."""
    tested = [each for each in counts.values() if each[0]]
    recalls = [_estimated(right, images) for images, _, right in tested]
    of_f1 = [_of_f1(*each) for each in tested]
    return Scores(
        classes={name: _class_score(*each) for name, each in counts.items()},
        balanced_accuracy=_mean(recalls),
        macro_f1=_mean(of_f1, _SHARED),
    )


def recall_changes(
    labels: np.ndarray,
    predictions: np.ndarray,
    teacher: np.ndarray | None,
    control: np.ndarray | None,
    classes: Sequence[str],
) -> RecallChanges | None:
    """Returns the images that only the judged classifier or its reference predicts rightly, by class.

    Args:
        labels: int [n], the true classes.
        predictions: int [n], of the judged classifier.
        teacher: int [n], the reference; None where it was not measured.
        control: int [n], the reference where there is no teacher's; None without a control.
        classes: the names of all classes.

    Returns:
        None without a reference.
    """
    others = control if teacher is None else teacher
    if others is None:
        return None
    right, other = predictions == labels, others == labels
    lost, gained = (np.bincount(labels[each], minlength=len(classes)) for each in (other & ~right, right & ~other))
    changed = {classes[i]: RecallChange(lost=lost[i], gained=gained[i]) for i in np.flatnonzero(lost + gained).tolist()}
    return RecallChanges(reference="control" if teacher is None else "teacher", classes=changed)


def by_class(
    labels: np.ndarray,
    predictions: np.ndarray,
    probabilities: np.ndarray,
    limits: Mapping[int, float],
    classes: Sequence[str],
    teacher: np.ndarray | None = None,
    control: np.ndarray | None = None,
) -> dict[str, Any]:
    """Returns the fields of the manifest on the classes of a network or a file.

    Args:
        labels: int [n], the true classes.
        predictions: int [n], the most probable classes, as the accuracy counts them.
        probabilities: float [n, classes], to which the thresholds apply.
        limits: thresholds by the number of the class.
        classes: the names of all classes.
        teacher: see `recall_changes`.
        control: see `recall_changes`.
    """
    shipped = predicted(probabilities, limits) if limits else predictions
    return {
        "scores": scores(labels, predictions, classes),
        "scores_with_thresholds": scores(labels, shipped, classes) if limits else None,
        "recall_changes": recall_changes(labels, shipped, teacher, control, classes),
    }


def _class_score(images: int, predicted: int, right: int) -> ClassScore:
    return ClassScore(
        images=images,
        predicted=predicted,
        right=right,
        recall=_estimate(*_estimated(right, images)) if images else None,
        precision=_estimate(*_estimated(right, predicted)) if predicted else None,
        f1=_rounded(2 * right / (images + predicted)) if images + predicted else None,
    )


def _estimated(right: int, images: int) -> tuple[float, Interval]:
    return right / images, intervals.proportion(right, images)


def _of_f1(images: int, predicted: int, right: int) -> tuple[float, Interval]:
    """Returns F1 with its interval: a rising function of right / (images + predicted - right), a proportion."""
    found, (low, high) = _estimated(right, images + predicted - right)
    return 2 * found / (1 + found), (2 * low / (1 + low), 2 * high / (1 + high))


def _mean(found: list[tuple[float, Interval]], dependence: float = 1.0) -> Estimate:
    values = [value for value, _ in found]
    return _estimate(sum(values) / len(values), intervals.mean(values, [interval for _, interval in found], dependence))


def _estimate(value: float, interval: Interval) -> Estimate:
    low, high = interval
    return Estimate(value=_rounded(value), low=_rounded(min(low, value)), high=_rounded(max(high, value)))


def _rounded(fraction: float) -> float:
    return round(min(max(fraction, 0.0), 1.0), _DIGITS)
