"""Negative flips: images that a reference predicts rightly and the judged classifier wrongly.

The reference is a teacher, or an earlier release. Source: Yan et al., "Positive-Congruent Training: Towards
Regression-Free Model Updates", 2021, arXiv:2011.09161. Their negative flip rate is a fraction of all images; here it
is one of the images that the reference predicts rightly, so that it does not depend on the reference's accuracy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfkd.verification.records import ClassFlips, NegativeFlips
from tfkd.verification.truth import exact_test

SHOWN = 12  # images with their pictures


@dataclass(frozen=True)
class FlippedImage:
    """A negative flip.

    Attributes:
        position: of the image in the split.
        predicted: the wrong class.
        probability: that the judged classifier gives to it.
    """

    position: int
    predicted: int
    probability: float


def negative_flips(
    labels: np.ndarray, scores: np.ndarray, reference: np.ndarray, classes: Sequence[str]
) -> NegativeFlips:
    """Counts the negative flips, and tests whether there are more of them than of positive ones.

    A row with a NaN predicts no class. Exchange `scores` and `reference` to count positive flips.

    Args:
        labels: int [n], the true classes.
        scores: logits or probabilities of the judged classifier, float [n, classes].
        reference: those of the reference.
        classes: names in the order of the outputs.
    """
    right, reference_right = _right(labels, scores), _right(labels, reference)
    flipped = reference_right & ~right
    counts, of = (np.bincount(labels[chosen], minlength=len(classes)) for chosen in (flipped, reference_right))
    by_count = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
    gained = int(np.sum(right & ~reference_right))
    return NegativeFlips(
        right=int(reference_right.sum()),
        test=exact_test(gained, int(flipped.sum()), len(labels)),
        per_class=[ClassFlips(label=classes[i], flips=int(counts[i]), right=int(of[i])) for i in by_count],
    )


def flipped_images(labels: np.ndarray, probabilities: np.ndarray, reference: np.ndarray) -> tuple[FlippedImage, ...]:
    """Returns the negative flips of which the reference is most confident, in this order, at most `SHOWN`.

    Args:
        labels: int [n], the true classes.
        probabilities: of the judged classifier, float [n, classes].
        reference: probabilities of the reference, float [n, classes].
    """
    flipped = np.flatnonzero(_right(labels, reference) & ~_right(labels, probabilities))
    confidence = reference[flipped].max(axis=1, initial=0)
    chosen = flipped[np.argsort(-confidence, kind="stable")[:SHOWN]].tolist()
    predicted = probabilities.argmax(axis=1)
    return tuple(FlippedImage(i, int(predicted[i]), float(probabilities[i, predicted[i]])) for i in chosen)


def _right(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    right: np.ndarray = (scores.argmax(axis=1) == labels) & ~np.isnan(scores).any(axis=1)
    return right
