"""Thresholds of probabilities that keep a promised recall, and the predictions by them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tfkd.errors import counted
from tfkd.verification.interval_rule import images_needed
from tfkd.verification.intervals import proportion
from tfkd.verification.records import Threshold
from tfkd.verification.verdict import percent

VERSION = 3  # of the choice; increase it when the code chooses other thresholds
_STEP = 256  # an int8 file gives probabilities in multiples of 1/256
_PARTS = 16  # in which recall beyond the promises is given up
_ROUNDS = 20  # of classes that take images from each other
_ROUNDING = 1e-9


def predicted(probabilities: np.ndarray, thresholds: Mapping[int, float]) -> np.ndarray:
    """Returns the predicted classes, int64 [n] (see `Threshold`).

    Args:
        probabilities: float [n, classes].
        thresholds: by the number of the class; empty for the most probable classes.
    """
    plain: np.ndarray = probabilities.argmax(axis=1)
    if not thresholds:
        return plain
    numbers = np.array(sorted(thresholds))
    ratios = probabilities[:, numbers].astype(np.float64) / np.array([thresholds[number] for number in numbers])
    others = np.setdiff1d(np.arange(probabilities.shape[1]), numbers)
    otherwise = others[probabilities[:, others].argmax(axis=1)] if len(others) else plain
    return np.where(ratios.max(axis=1) >= 1, numbers[ratios.argmax(axis=1)], otherwise)


def values_by_name(thresholds: Mapping[str, Threshold]) -> dict[str, float]:
    """Returns the thresholds by class, without classes for which none could be chosen."""
    return {name: each.value for name, each in thresholds.items() if each.value is not None}


def values(thresholds: Mapping[str, Threshold], classes: Sequence[str]) -> dict[int, float]:
    """Returns the same by the number of the class."""
    return by_number(values_by_name(thresholds), classes)


def by_number(values_by_class: Mapping[str, float], classes: Sequence[str]) -> dict[int, float]:
    """Returns thresholds by the number of the class, as `predicted` takes them."""
    return {list(classes).index(name): value for name, value in values_by_class.items()}


def described(name: str, threshold: Threshold) -> str:
    """Returns a line about the choice of a threshold."""
    if threshold.value is None or threshold.recall is None:
        return f"threshold of {name!r}: none, because the validation split has no example of it"
    chosen = f"{threshold.value:.8g}"
    if not threshold.kept:
        chosen = f"none keeps {threshold.promise:.1%}; the nearest, {chosen},"
    precision = "" if threshold.precision is None else f", precision {threshold.precision:.1%}"
    found = f"recall {threshold.recall:.1%} ({chosen_on(threshold)}){precision}"
    return f"threshold of {name!r}: {chosen} gives {found}"


def chosen_on(threshold: Threshold) -> str:
    """Returns how many validation images chose a threshold, the interval of their recall, and what they lack."""
    assert threshold.recall is not None
    low, high = proportion(round(threshold.recall * threshold.images), threshold.images)
    found = (
        f"95 % interval {100 * low:.1f} to {percent(high)} on {counted(threshold.images, 'validation example')} of it"
    )
    needed = images_needed(threshold.promise)
    if needed is None or threshold.images >= needed:
        return found
    return f"{found}; {needed:,} are needed to be sure of {percent(threshold.promise)}"


def without_images(promises: Mapping[str, float]) -> dict[str, Threshold]:
    """Returns what is known of promised classes without a validation split: no threshold."""
    nothing = np.zeros(0, bool)
    return {name: _threshold(promise, None, nothing, nothing) for name, promise in promises.items()}


def choose(
    labels: np.ndarray, probabilities: np.ndarray, promises: Mapping[str, float], classes: Sequence[str]
) -> dict[str, Threshold]:
    """Returns, for each promise, the largest threshold that keeps it on the validation split.

    A threshold gives up recall that the most probable classes have only where the promises of several classes are not
    kept together otherwise. It is rounded down to a multiple of 1/256, so that an int8 file can reach it, unless it is
    less. Where the promises exclude each other, the thresholds that come nearest are returned.

    Args:
        labels: int [n], the true classes of the validation split.
        probabilities: float [n, classes], of the Keras model.
        promises: least recall by class.
        classes: the names of all classes.
    """
    numbers = {name: list(classes).index(name) for name in promises}
    plain = probabilities.argmax(axis=1)
    least, needed = {}, {}
    for name, number in numbers.items():
        right, images = int(np.sum(plain[labels == number] == number)), int(np.sum(labels == number))
        if images:
            least[number] = max(math.ceil(promises[name] * images - _ROUNDING), 1)
            needed[number] = max(right, least[number])
    found = _nearest_in_parts(labels, probabilities, needed, least)
    predictions = predicted(probabilities, found)
    return {
        name: _threshold(promises[name], found.get(number), labels == number, predictions == number)
        for name, number in numbers.items()
    }


def _nearest_in_parts(
    labels: np.ndarray, probabilities: np.ndarray, needed: Mapping[int, int], least: Mapping[int, int]
) -> dict[int, float]:
    """Returns the thresholds that keep the most of `needed` among those with the fewest images missing of `least`."""

    def by_part() -> Iterator[dict[int, float]]:
        for part in range(_PARTS, -1, -1):
            counts = {number: count + (needed[number] - count) * part // _PARTS for number, count in least.items()}
            yield _nearest(labels, probabilities, counts)

    return _with_fewest_missing(labels, probabilities, by_part(), least)


def _nearest(labels: np.ndarray, probabilities: np.ndarray, needed: Mapping[int, int]) -> dict[int, float]:
    """Returns the thresholds with the fewest missing images; `needed` has those of each class that must be right."""

    def by_round() -> Iterator[dict[int, float]]:
        found: dict[int, float] = {}
        for _ in range(_ROUNDS):
            for number, count in needed.items():
                found = {**found, number: _largest(probabilities[labels == number], number, count, found)}
            yield found

    return _with_fewest_missing(labels, probabilities, by_round(), needed)


def _with_fewest_missing(
    labels: np.ndarray, probabilities: np.ndarray, candidates: Iterable[dict[int, float]], needed: Mapping[int, int]
) -> dict[int, float]:
    """Returns the first of the best thresholds; those after the first without missing images are not looked at."""
    best, fewest = dict[int, float](), math.inf
    for found in candidates:
        missing = _missing(labels, predicted(probabilities, found), needed)
        if missing < fewest:
            best, fewest = found, missing
        if not missing:
            break
    return best


def _missing(labels: np.ndarray, predictions: np.ndarray, needed: Mapping[int, int]) -> int:
    """Returns how many images of the classes are not right that must be."""
    return sum(max(0, n - int(np.sum(predictions[labels == number] == number))) for number, n in needed.items())


def _largest(probabilities: np.ndarray, number: int, needed: int, others: Mapping[int, float]) -> float:
    """Returns the largest threshold of a class that makes some of its images right beside the other thresholds.

    Args:
        probabilities: float [n, classes], of the images of the class.
        number: of the class.
        needed: how many of the images must be right, from 1 to n.
        others: the present thresholds by the number of the class.
    """
    own = probabilities[:, number].astype(np.float64)
    for other, threshold in others.items():
        if other != number:
            own = own / np.maximum(1, probabilities[:, other].astype(np.float64) / threshold)
    reached = float(np.sort(own)[-needed])
    if reached <= 0:  # so small that float32 has no number for it
        reached = float(min(own[own > 0], default=1 / _STEP))
    return math.floor(reached * _STEP) / _STEP if reached >= 1 / _STEP else reached


def _threshold(promise: float, value: float | None, members: np.ndarray, predictions: np.ndarray) -> Threshold:
    images, chosen, right = (int(np.sum(each)) for each in (members, predictions, members & predictions))
    return Threshold(
        promise=promise,
        value=value,
        images=images,
        recall=right / images if images else None,
        precision=right / chosen if chosen else None,
    )
