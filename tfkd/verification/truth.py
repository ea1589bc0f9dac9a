"""Predictions against the truth: better than chance, and not worse than another classifier.

Both tests are exact or drawn with a fixed seed, so that the same predictions always get the same verdict.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from tfkd.verification.records import ChanceTest, PairedTest

ALPHA = 0.01  # level of significance of both tests
_ENUMERATED = 2_000  # orders of the labels: up to this many, all are counted
_PERMUTATIONS, _PERMUTATIONS_OF_MANY = 9_999, 999  # else; with the labels as they are, 10,000 or 1,000
_MANY = 4_096  # images
_CELLS = 1 << 22  # labels that are permuted at a time: memory stays below 100 MB
_ROUNDING = 1e-9


def significant(p_value: float) -> bool:
    """Returns whether a p-value is at most ALPHA."""
    return p_value <= ALPHA + _ROUNDING


def chance_test(labels: np.ndarray, predictions: np.ndarray) -> ChanceTest:
    """Tests whether predictions know more about the labels than any order of the same predictions does.

    The statistic is the balanced accuracy, so that a model that always predicts the most frequent class is at
    chance. A permutation test needs no assumption on the predictions (Ojala, Garriga, "Permutation Tests for Studying
    Classifier Performance", JMLR 11, 2010, test 1); the p-value of drawn permutations counts the labels as they are
    (Phipson, Smyth, "Permutation P-values Should Never Be Zero", 2010).

    Args:
        labels: int [n], the true classes.
        predictions: int [n], the predicted classes.
    """
    names, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    values = np.where(np.isin(predictions, names), 1 / counts[_places(names, predictions)], 0.0) / len(names)
    right = _Right(_places(names, predictions), values)
    observed = float(right.balanced(codes[None])[0])
    perfect = math.exp(-_log_orders(counts))
    if perfect * _ENUMERATED >= 1:
        p_value = float(np.mean(right.balanced(_every_order(counts)) >= observed - _ROUNDING))
    else:
        p_value = _drawn(codes, right, observed)
    return ChanceTest(
        balanced_accuracy=min(observed, 1.0), chance_level=1 / len(names), p_value=p_value, perfect_p_value=perfect
    )


def paired_test(labels: np.ndarray, predictions: np.ndarray, others: np.ndarray) -> PairedTest:
    """Tests whether a classifier is worse than another (McNemar 1947; the exact form is a binomial test).

    Args:
        labels: int [n], the true classes.
        predictions: int [n], the classes predicted by the classifier that is judged.
        others: int [n], those of the classifier that it is compared with.
    """
    right, other = predictions == labels, others == labels
    return exact_test(int(np.sum(right & ~other)), int(np.sum(~right & other)), len(labels))


def exact_test(gained: int, lost: int, images: int) -> PairedTest:
    """Returns the test of counts (see `paired_test`).

    Args:
        gained: images that only the judged classifier predicts rightly.
        lost: images that only the other one predicts rightly.
        images: all that both predicted.
    """
    from scipy.stats import binom

    p_value = float(binom.sf(lost - 1, gained + lost, 0.5))
    return PairedTest(gained=gained, lost=lost, p_value=p_value, worst_p_value=0.5**images)


def _places(names: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Returns the place of each prediction among the sorted classes; any place where it is none of them."""
    return np.minimum(np.searchsorted(names, predictions), len(names) - 1)


@dataclass(frozen=True)
class _Right:
    """What the predictions are worth.

    Attributes:
        classes: int [n], the predicted classes.
        values: float [n], the fraction of the balanced accuracy that each of them adds where it is right.
    """

    classes: np.ndarray
    values: np.ndarray

    def balanced(self, orders: np.ndarray) -> np.ndarray:
        """Returns the balanced accuracy, float [orders], for labels in other orders, int [orders, n]."""
        accuracies: np.ndarray = (orders == self.classes) @ self.values
        return accuracies


def _drawn(codes: np.ndarray, right: _Right, observed: float) -> float:
    """Returns the p-value by permutations of the labels that are drawn with seed 0."""
    permutations = _PERMUTATIONS if len(codes) <= _MANY else _PERMUTATIONS_OF_MANY
    rng = np.random.default_rng(0)
    block = max(1, _CELLS // len(codes))
    reached = 1  # the labels as they are
    for start in range(0, permutations, block):
        rows = min(block, permutations - start)
        orders = rng.permuted(np.broadcast_to(codes.astype(np.int32), (rows, len(codes))), axis=1)
        reached += int(np.sum(right.balanced(orders) >= observed - _ROUNDING))
    return reached / (permutations + 1)


def _log_orders(counts: np.ndarray) -> float:
    """Returns the logarithm of the number of distinct orders of labels with these counts."""
    return math.lgamma(counts.sum() + 1) - sum(math.lgamma(count + 1) for count in counts)


def _every_order(counts: np.ndarray) -> np.ndarray:
    """Returns every distinct order of labels 0, 1, … with these counts, int32 [orders, n]."""
    orders = np.full((1, int(counts.sum())), -1, np.int32)
    for label, count in enumerate(counts.tolist()):
        free = np.nonzero(orders < 0)[1].reshape(len(orders), -1)
        places = free[:, list(itertools.combinations(range(free.shape[1]), count))].reshape(-1, count)
        orders = np.repeat(orders, len(places) // len(orders), axis=0)
        np.put_along_axis(orders, places, label, axis=1)
    return orders
