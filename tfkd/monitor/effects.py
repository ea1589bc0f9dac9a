"""How large a change is: effect sizes, changes per class, differences between phones, and counts that are needed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tfkd.monitor.looks import Histograms
from tfkd.verification.counting import BINS
from tfkd.verification.intervals import Interval, difference

MEDIUM = 0.3  # Cohen's w of a medium change (Cohen 1988)
POWER = 0.8  # probability of finding it
_MOST = 10_000_000  # predictions that one can wait for


def association(reference: np.ndarray, observed: np.ndarray) -> float:
    """Returns Cramér's V of two histograms, 0 (the same proportions) to 1 (no bin in common)."""
    table = np.stack([reference, observed])
    table = table[:, table.any(axis=0)]
    if table.shape[1] < 2 or not table.any(axis=1).all():
        return 0.0
    return float(stats.contingency.association(table, method="cramer"))


def mean_confidence(histogram: np.ndarray, means: Sequence[float | None]) -> float:
    """Returns the mean confidence of counts, 0 to 1.

    Args:
        histogram: predictions by bin of confidence, at least one.
        means: mean confidence of the reference in each bin; the middle of the bin where it is None.
    """
    values = [(number + 0.5) / BINS if mean is None else mean for number, mean in enumerate(means)]
    return float(np.average(values, weights=histogram))


def class_changes(reference: np.ndarray, observed: np.ndarray) -> list[tuple[float, Interval]]:
    """Returns the change of each class's fraction of the predictions, with its interval.

    Args:
        reference: predictions of the reference by class.
        observed: those of the phones.

    Returns:
        Per class: observed less reference, -1 to 1, and the interval (Newcombe 1998, method 10). All intervals together
        hold the true changes with 95 % (Bonferroni).
    """
    confidence, totals = 1 - 0.05 / len(reference), (int(observed.sum()), int(reference.sum()))
    return [
        (count / totals[0] - before / totals[1], difference(count, totals[0], before, totals[1], confidence))
        for count, before in zip(observed.tolist(), reference.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class PhoneSpread:
    """How far phones differ from each other.

    Attributes:
        dispersion: Pearson's statistic of their top-1 classes divided by its degrees of freedom: 1 where they differ by
            chance alone.
        p_value: probability of such differences, or larger ones, by chance.
    """

    dispersion: float
    p_value: float


def between_phones(top1: Sequence[np.ndarray]) -> PhoneSpread | None:
    """Returns how far phones differ; None where too few of them have counted enough.

    Args:
        top1: predictions by class of each phone.
    """
    table = np.array([each for each in top1 if each.sum()])
    if len(table) < 2:
        return None
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    rare = expected.min(axis=0) < 1  # together in one column, for which the approximation by chi square is not rough
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return None
    test = stats.chi2_contingency(table, correction=False)
    return PhoneSpread(float(test.statistic / test.dof), float(test.pvalue))


def needed(reference: int, bins: int, level: float) -> int | None:
    """Returns how many predictions find a medium change with a probability of 80 %, by the noncentral chi square.

    Args:
        reference: examples of the reference.
        bins: of the feature.
        level: of the test.

    Returns:
        Their number; None where the reference is so small that no number suffices.
    """
    limit = stats.chi2.isf(level, bins - 1)

    def power(n: int) -> float:
        return float(stats.ncx2.sf(limit, bins - 1, MEDIUM**2 * n * reference / (n + reference)))

    if power(_MOST) < POWER:
        return None
    low, high = 0, _MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return math.ceil(high / 10) * 10


def total(days: Sequence[Histograms]) -> list[np.ndarray]:
    """Returns the histograms of several days together."""
    return [np.sum(each, axis=0) for each in zip(*days, strict=True)]
