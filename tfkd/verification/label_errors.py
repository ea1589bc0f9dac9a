"""Suspected wrong labels, by confident learning.

An example is suspected where a classifier that has not learned from it is more confident of another class than it
usually is of that class's own examples. Source: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty
in Dataset Labels", JAIR 70, 2021, arXiv:1911.00068: the calibrated confident joint, pruned by noise rate, ranked by
normalised margin.
"""

from dataclasses import dataclass

import numpy as np

_LEAST_SPREAD = 1e-3  # of the highest probabilities; less ranks nothing
_ROUNDING = 1e-6  # of a mean of equal probabilities


@dataclass(frozen=True)
class SuspectedLabel:
    """An example whose label is probably wrong.

    Attributes:
        position: of the example.
        suggested: the class of the highest probability.
        probability: of that class.
        score: how much it exceeds the probability of the label, above 0 and at most 1.
    """

    position: int
    suggested: int
    probability: float
    score: float


def is_graded(probabilities: np.ndarray) -> bool:
    """Returns whether a classifier is more confident of some examples than of others.

    Args:
        probabilities: float [n, classes].
    """
    confidence = probabilities.max(axis=1)
    return bool(len(confidence) and np.ptp(confidence) >= _LEAST_SPREAD)


def suspected_labels(labels: np.ndarray, probabilities: np.ndarray) -> tuple[SuspectedLabel, ...]:
    """Returns the examples whose labels are probably wrong, the most probable first.

    A class without examples is never suggested.

    Args:
        labels: int [n].
        probabilities: of a classifier that has not learned from these examples, finite, float [n, classes].
    """
    members, present = np.arange(len(labels)), np.bincount(labels, minlength=probabilities.shape[1]) > 0
    of_label, predicted = probabilities[members, labels], np.where(present, probabilities, -1.0).argmax(axis=1)
    suspected = np.zeros(len(labels), bool)
    for label, other, count in _expected_errors(labels, probabilities):
        own = np.flatnonzero(labels == label)
        margins = probabilities[own, other] - of_label[own]
        suspected[own[np.argsort(-margins, kind="stable")[:count]]] = True
    scores = probabilities[members, predicted] - of_label
    found = np.flatnonzero(suspected & (scores > 0))
    ordered = found[np.argsort(-scores[found], kind="stable")].tolist()
    return tuple(
        SuspectedLabel(i, int(predicted[i]), float(probabilities[i, predicted[i]]), float(scores[i])) for i in ordered
    )


def _expected_errors(labels: np.ndarray, probabilities: np.ndarray) -> list[tuple[int, int, int]]:
    """Returns (label, true class, number of examples) of all errors that the confident joint expects."""
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    own = np.bincount(labels, weights=probabilities[np.arange(len(labels)), labels], minlength=classes)
    thresholds = np.where(counts > 0, own / np.maximum(counts, 1), np.inf)
    confident = np.where(probabilities >= thresholds - _ROUNDING, probabilities, -1.0)
    classed = confident.max(axis=1) >= 0
    pairs = np.stack([labels[classed], confident[classed].argmax(axis=1)], axis=1)
    cells, joint = np.unique(pairs, axis=0, return_counts=True)
    first, second = cells.T
    right = np.bincount(first, weights=np.where(first == second, joint, 0), minlength=classes)
    every = np.bincount(first, weights=joint, minlength=classes) + (right == 0)  # a class keeps one of its examples
    errors = np.rint(joint / every[first] * counts[first]).astype(int)
    return [
        (int(i), int(j), int(count)) for i, j, count in zip(first, second, errors, strict=True) if i != j and count > 0
    ]
