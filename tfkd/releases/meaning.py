"""Which class each output of the new bundle means, by the predictions of both for the same images.

Labels that are swapped in a list, or a network whose outputs changed places, look right in every file alone.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfkd.errors import counted
from tfkd.verification.truth import exact_test, significant

_LEAST_CHANGE = 0.05  # of a probability
_ROUNDING = 1 / 256  # of a probability: a step of an int8 output
_MAJORITY = 0.5  # of the images of each class


@dataclass(frozen=True)
class Moved:
    """Classes whose outputs changed places.

    Attributes:
        places: the class that the new bundle predicts in place of each class.
        images: that show it.
        certain: whether the images suffice to be sure.
    """

    places: dict[int, int]
    images: int
    certain: bool


def moved_classes(old: np.ndarray, new: np.ndarray, relabelled: Mapping[int, int]) -> Moved | None:
    """Returns the classes that changed places; None where none did.

    It is certain where the predictions are the same ones in another order, but for rounding, and where the predicted
    classes say so in an exact test at 1 %, or as the labels of the images do. Most images of each of these classes must
    show it.

    Args:
        old: probabilities by class, float [n, classes].
        new: those of the new bundle for the same images.
        relabelled: classes whose images the new bundle labels as another class.
    """
    if not len(old) or not (np.isfinite(old).all() and np.isfinite(new).all()):
        return None
    return _rearranged(old, new) or _by_classes(old.argmax(axis=1), new.argmax(axis=1), old.shape[1], relabelled)


def undecided(old: np.ndarray, new: np.ndarray, names: Sequence[str]) -> str:
    """Returns why two classes may have changed places unseen; "" where `moved_classes` would be certain of any two.

    Args:
        old: probabilities by class, float [n, classes].
        new: those of the new bundle for the same images.
        names: of the classes.
    """
    same = bool(len(old)) and bool(np.abs(old - new).max() <= _ROUNDING)
    ranked = np.sort(old, axis=1)
    shown = ranked[:, -1] - ranked[:, -2] >= _LEAST_CHANGE if same else np.ones(len(old), bool)
    counts = np.bincount(old.argmax(axis=1)[shown], minlength=old.shape[1])
    first, second = (int(number) for number in np.argsort(counts, kind="stable")[:2])
    both, needed = int(counts[first] + counts[second]), 1 if same else _images_of_two()
    if both >= needed and (same or counts[first]):
        return ""
    least = "" if same else ", at least one of each,"
    return (
        f"{names[first]!r} and {names[second]!r} are predicted for {counted(both, 'example')}; {needed}{least} would "
        "show whether they changed places"
    )


def _images_of_two() -> int:
    """Returns how many images of two classes the exact test needs at least."""
    return next(images for images in itertools.count(1) if significant(exact_test(0, images, images).p_value))


def _rearranged(old: np.ndarray, new: np.ndarray) -> Moved | None:
    """Compares whole predictions, which one image suffices for."""
    if np.abs(old - new).max() < _LEAST_CHANGE:
        return None
    distances = (old**2).sum(axis=0)[:, None] + (new**2).sum(axis=0) - 2 * old.T @ new
    order = _matched(distances + 1e-6 * (1 - np.eye(len(distances))))
    if np.abs(old - new[:, order]).max() > _ROUNDING:
        return None
    predicted = old.argmax(axis=1)
    moved, present = {i: int(j) for i, j in enumerate(order) if i != j}, set(predicted.tolist())
    places = {i: j for i, j in moved.items() if present & set(_cycle(moved, i))}
    return Moved(places, int(np.isin(predicted, list(places)).sum()), True) if places else None


def _by_classes(old: np.ndarray, new: np.ndarray, count: int, relabelled: Mapping[int, int]) -> Moved | None:
    """Compares the predicted classes, int [n] each."""
    table = np.zeros((count, count))
    np.add.at(table, (old, new), 1)
    fractions = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    order = _matched(-(fractions + 1e-6 * np.eye(count)))
    places = {i: int(j) for i, j in enumerate(order) if i != j}
    places = {i: j for i, j in places.items() if all(fractions[a, places[a]] > _MAJORITY for a in _cycle(places, i))}
    if not places:
        return None
    in_order = int(sum(table[i, j] for i, j in places.items()))
    as_before = int(sum(table[i, i] for i in places))
    certain = places == relabelled or significant(exact_test(as_before, in_order, len(old)).p_value)
    return Moved(places, in_order, certain)


def _matched(costs: np.ndarray) -> np.ndarray:
    from scipy.optimize import linear_sum_assignment

    found: np.ndarray = linear_sum_assignment(costs)[1]
    return found


def _cycle(places: dict[int, int], start: int) -> Iterator[int]:
    current = start
    while True:
        yield current
        current = places[current]
        if current == start:
            return
