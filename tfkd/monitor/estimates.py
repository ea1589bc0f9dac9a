"""Estimates the accuracy on phones from confidences alone, where what a confidence means has not changed.

The accuracy in each bin of confidence is measured on the test examples; its mean over the predictions of the phones is
the estimate (difference of confidences after calibration: Guillory et al. 2021, arXiv:2107.03315; Garg et al. 2022,
arXiv:2201.04234 compare such estimates). It holds where an example of a given confidence is as often right as before:
usually for blurred or noisy examples to some extent, not for classes that the student does not know.
"""

from dataclasses import dataclass

import numpy as np

from tfkd.bundle.monitoring import ReferenceRows
from tfkd.verification.counting import BINS
from tfkd.verification.intervals import Interval

FEWEST = 10  # test examples in a bin
MOST_UNSEEN = 0.05  # fraction of the predictions that may be in bins with fewer
_DRAWINGS = 999


@dataclass(frozen=True)
class AccuracyByConfidence:
    """An estimated accuracy, 0 to 1, with its 95 % interval; or the reason why there is none."""

    value: float | None = None
    interval: Interval | None = None
    reason: str = ""


def by_confidence(rows: ReferenceRows, confidence: np.ndarray, seed: int) -> AccuracyByConfidence:
    """Estimates the accuracy on phones.

    Args:
        rows: of the reference.
        confidence: predictions of the phones by bin of confidence, at least one.
        seed: of the bootstrap.
    """
    if (rows.labels < 0).any():
        return AccuracyByConfidence(
            reason="the reference has no true classes of examples that the student has not learnt from"
        )
    bins = rows.student[:, 1]
    table = np.bincount(bins + BINS * rows.right, minlength=2 * BINS)
    fractions = confidence / confidence.sum()
    unseen = float(fractions[table.reshape(2, BINS).sum(axis=0) < FEWEST].sum())
    if unseen > MOST_UNSEEN:
        return AccuracyByConfidence(
            reason=f"{unseen:.0%} of the predictions have confidences that fewer than {FEWEST} test examples have"
        )
    draw = np.random.default_rng(seed)
    tables = draw.multinomial(len(bins), table / table.sum(), size=_DRAWINGS)
    phones = draw.multinomial(int(confidence.sum()), fractions, size=_DRAWINGS) / confidence.sum()
    low, high = np.quantile((_accuracies(tables) * phones).sum(axis=1), (0.025, 0.975))
    return AccuracyByConfidence(float(_accuracies(table[None])[0] @ fractions), (float(low), float(high)))


def _accuracies(tables: np.ndarray) -> np.ndarray:
    """Returns the accuracy by bin, [..., bins], of counts of wrong, then right predictions; empty: its middle."""
    wrong, right = tables[..., :BINS], tables[..., BINS:]
    middle = np.broadcast_to((np.arange(BINS) + 0.5) / BINS, wrong.shape)
    return np.divide(right, wrong + right, out=middle.copy(), where=wrong + right > 0)
