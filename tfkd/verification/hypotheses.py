"""What may be wrong with a classifier: another order of its outputs, another normalization; tried and weighed.

A hypothesis holds only if it is significantly better than the stated settings, on examples not used to find it.
"""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfkd.distill.measures import paired_p_value, softmax
from tfkd.inputs.kind import Normalization
from tfkd.verification.truth import chance_test, significant

ALPHA = 0.01  # of all hypotheses together
MOST_CELLS = 1 << 23  # of a table of classes and outputs that are matched
LEAST_GAIN = 0.05  # of balanced accuracy
LEAST_SKILL = 0.3  # share of the way from chance to perfect that a hypothesis must reach
SKILL_OF_MATCHED = 0.6  # the same where most classes are matched: a model of other classes fits some of them
SKILL_OF_ONE_CLASS = 0.4  # and a constant prediction is below this
AS_GOOD = 0.02  # of balanced accuracy: a simpler explanation may be this much worse


@dataclass(frozen=True)
class Hypothesis:
    """What is supposed about a classifier, and what it would be worth.

    Attributes:
        normalization: the supposed one; None for the stated one.
        order: number of the output of each class; None for the stated order.
        kind: how the order was found, "" for the stated order.
        classes: int [n], the predicted classes under this hypothesis, none of them fitted to its example; -1 is none.
        likelihood: mean logarithm of the probability of the true class.
    """

    normalization: Normalization | None
    order: tuple[int, ...] | None
    kind: str
    classes: np.ndarray
    likelihood: float

    @property
    def is_mostly_matched(self) -> bool:
        """Whether most classes have another output, none of which is due to a well-known order."""
        moved = sum(number != output for number, output in enumerate(self.order or ()))
        return self.kind == "matched" and moved * 2 > len(self.order or ())

    @property
    def least_skill(self) -> float:
        """What it must reach to be plausible."""
        return SKILL_OF_MATCHED if self.is_mostly_matched else LEAST_SKILL

    @property
    def changes(self) -> int:
        """How many of normalization and labels it supposes to be wrong."""
        return (self.normalization is not None) + (self.order is not None)


def orders(
    names: Sequence[str], scores: np.ndarray, labels: np.ndarray, normalization: Normalization | None
) -> Iterator[Hypothesis]:
    """Yields the stated order, well-known ones, and the one that fits best."""
    top, probabilities = scores.argmax(axis=1), _probabilities(scores)

    def likelihood(columns: np.ndarray) -> float:
        of_labels = probabilities[np.arange(len(labels)), columns]
        return float(np.log(np.maximum(of_labels, 1e-6)).mean())

    outputs = scores.shape[1]
    yield Hypothesis(normalization, None, "", top, likelihood(labels))
    distinct = {tuple(range(outputs))}
    for kind, order in _known_orders(names):
        if order not in distinct:
            distinct.add(order)
            columns = np.array(order)
            yield Hypothesis(normalization, order, kind, np.argsort(columns)[top], likelihood(columns[labels]))
    order = _matched(top, probabilities, labels)
    if order not in distinct:
        classes, columns = _held_out(top, probabilities, labels)
        yield Hypothesis(normalization, order, "matched", classes, likelihood(columns))


def _known_orders(names: Sequence[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yields orders that outputs often have: number of the output of each class."""
    keys: dict[str, Callable[[str], Any]] = {
        "in alphabetical order": lambda name: name,
        "in alphabetical order without regard to case": lambda name: (name.casefold(), name),
        "in the order of the numbers in their names": _natural,
    }
    for kind, key in keys.items():
        place = {name: number for number, name in enumerate(sorted(names, key=key))}
        yield kind, tuple(place[name] for name in names)
    count = len(names)
    yield "one place later", tuple((number + 1) % count for number in range(count))
    yield "one place earlier", tuple((number - 1) % count for number in range(count))


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _matched(top: np.ndarray, probabilities: np.ndarray, labels: np.ndarray) -> tuple[int, ...]:
    """Returns the output that fits each class best, each output for one class (Kuhn 1955).

    A class without images keeps its output if that is free. With too many classes the stated order is kept.
    """
    from scipy.optimize import linear_sum_assignment

    outputs = probabilities.shape[1]
    present, rows, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(present) * outputs > MOST_CELLS:
        return tuple(range(outputs))
    recall, mass = np.zeros((len(present), outputs)), np.zeros((len(present), outputs))
    np.add.at(recall, (rows, top), 1.0)
    np.add.at(mass, rows, probabilities)
    # If the top classes leave a choice, the probabilities decide, and then the stated order.
    score = (recall + 1e-3 * mass) / counts[:, None]
    score[np.arange(len(present)), present] += 1e-6
    order = np.full(outputs, -1)
    order[present] = linear_sum_assignment(score, maximize=True)[1]
    unmatched = (order < 0) & ~np.isin(np.arange(outputs), order)
    order[unmatched] = np.flatnonzero(unmatched)
    order[order < 0] = np.setdiff1d(np.arange(outputs), order)
    return tuple(order.tolist())


def _held_out(top: np.ndarray, probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the classes predicted by an order that fits the other half of the images, and each image's output."""
    half = _rank_in_class(labels) % 2
    classes, columns = np.empty_like(labels), np.empty_like(labels)
    for side in (0, 1):
        fitted, judged = half != side, half == side
        order = np.array(_matched(top[fitted], probabilities[fitted], labels[fitted]))
        classes[judged] = np.argsort(order)[top[judged]]
        columns[judged] = order[labels[judged]]
    return classes, columns


def _rank_in_class(labels: np.ndarray) -> np.ndarray:
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], labels[order])
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(labels)) - starts
    return ranks


def supported(
    hypotheses: list[Hypothesis], labels: np.ndarray, least_skill: float = LEAST_SKILL
) -> list[list[Hypothesis]]:
    """Returns the simplest hypotheses that are clearly better than the stated settings.

    Those about labels alone and those about normalizations are apart, each with the best first.
    """
    stated, *others = hypotheses
    weights = _weights(labels)
    stated_right = (stated.classes == labels) * weights
    level = balanced_accuracy(labels, stated.classes)

    def holds(other: Hypothesis) -> bool:
        reached = balanced_accuracy(labels, other.classes)
        if reached < level + LEAST_GAIN or skill(reached, labels) < max(least_skill, other.least_skill):
            return False
        if not significant(chance_test(labels, other.classes).p_value):
            return False
        return paired_p_value((other.classes == labels) * weights, stated_right) <= ALPHA / len(others)

    found = [other for other in others if holds(other)]
    if not found:
        return []
    best = max(balanced_accuracy(labels, each.classes) for each in found)
    good = [each for each in found if balanced_accuracy(labels, each.classes) >= best - AS_GOOD]
    simplest = min(each.changes for each in good)
    good = [each for each in good if each.changes == simplest]
    good.sort(key=functools.partial(_preference, labels))
    kinds = [[each for each in good if (each.normalization is None) is labels_only] for labels_only in (True, False)]
    return sorted((kind for kind in kinds if kind), key=lambda kind: -kind[0].likelihood)


def _preference(labels: np.ndarray, hypothesis: Hypothesis) -> tuple[float, ...]:
    """Returns what equally simple hypotheses are sorted by.

    Networks forgive values that are many times too large, as they are nearly homogeneous, and not those that are too
    small: where both reach the same, the small ones are right.
    """
    rarity = hypothesis.normalization.rarity if hypothesis.normalization else 0
    return (rarity, -round(balanced_accuracy(labels, hypothesis.classes), 2), -hypothesis.likelihood)


def balanced_accuracy(labels: np.ndarray, classes: np.ndarray) -> float:
    """Returns the mean over the classes of the share of their images that are classified rightly, 0 to 1."""
    return float(((classes == labels) * _weights(labels)).sum())


def is_refuted(hypothesis: Hypothesis, labels: np.ndarray) -> bool:
    """Tells whether the balanced accuracy is significantly below the least that makes a hypothesis plausible.

    By the one-sided bound of Clopper and Pearson (1934) for as many images as the weighted ones are worth (Kish,
    "Survey Sampling", 1965).
    """
    from scipy.stats import beta

    reached = balanced_accuracy(labels, hypothesis.classes)
    images = 1 / float((_weights(labels) ** 2).sum())
    wrong = max(0.0, 1 - reached) * images
    highest = float(beta.ppf(1 - ALPHA, reached * images + 1, wrong)) if wrong else 1.0
    return skill(highest, labels) < hypothesis.least_skill


def is_refuted_by_one_class(fraction: float, labels: np.ndarray) -> bool:
    """Tells whether too few images get another class than most, for a classifier with SKILL_OF_ONE_ANSWER."""
    from scipy.stats import binom

    others = len(labels) - np.bincount(labels).max()
    return bool(binom.cdf(round((1 - fraction) * len(labels)), others, SKILL_OF_ONE_CLASS) <= ALPHA)


def _probabilities(scores: np.ndarray) -> np.ndarray:
    from tfkd.models.logits import are_probabilities

    probabilities: np.ndarray = scores if are_probabilities(scores) else softmax(scores)
    return probabilities


def _weights(labels: np.ndarray) -> np.ndarray:
    """Returns the share of each image in the balanced accuracy, float [n]."""
    counts = np.bincount(labels)
    weights: np.ndarray = 1 / (counts[labels] * np.count_nonzero(counts))
    return weights


def skill(accuracy: float, labels: np.ndarray) -> float:
    chance = 1 / max(2, len(np.unique(labels)))
    return (accuracy - chance) / (1 - chance)
