"""Tests of counts from phones against a reference, with one false-alarm rate over all features and days together.

A *look* is one feature (top-1, confidence, entropy or margin) in one period (a day, or all days). Its statistic is the
likelihood ratio G of two samples, the reference and the phones. Without drift both are samples of one population, which
is estimated from both together: the joint rows of the reference are raked (Deming and Stephan 1940) to the histograms
that both have together. Reference and phones are then drawn again from it, many times, the reference once for all looks
of a drawing. The largest deviation of a drawing over all looks corrects each p-value (step-down maxT, Westfall and
Young 1993): the probability of one false alarm or more is the stated rate, however the looks depend on each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from tfkd.verification.counting import BINS

_INDEPENDENT_ROWS = 100  # of independent features, for bins that no row of the reference has
_INDEPENDENT_WEIGHT = 1e-3  # of all of them together
_ROUNDS = 50  # of raking
_CELLS = 1 << 24  # drawn at a time

Histograms = Sequence[np.ndarray]  # of each feature: int64 [bins]


@dataclass(frozen=True, eq=False)
class Population:
    """A distribution of joint rows.

    Attributes:
        rows: int64 [k, features], each row once.
        weights: float64 [k], their probabilities.
        sizes: number of bins of each feature.
    """

    rows: np.ndarray
    weights: np.ndarray
    sizes: tuple[int, ...]

    def histograms(self, n: int, times: int, draw: np.random.Generator) -> list[np.ndarray]:
        """Draws n rows, several times over, and counts them.

        Args:
            n: number of rows.
            times: how often.
            draw: draws them.

        Returns:
            The histograms of each feature, float64 [times, bins], whole numbers.
        """
        step = max(1, _CELLS // len(self.rows))
        found = [np.zeros((times, size)) for size in self.sizes]
        for start in range(0, times, step):
            counts = draw.multinomial(n, self.weights, size=min(step, times - start))
            for histograms, column in zip(found, self.rows.T, strict=True):
                order = np.argsort(column, kind="stable")
                bins, starts = np.unique(column[order], return_index=True)
                histograms[start : start + len(counts), bins] = np.add.reduceat(counts[:, order], starts, axis=1)
        return found


def histograms_of(rows: np.ndarray, classes: int) -> list[np.ndarray]:
    """Returns the histogram of each feature of joint rows, int [n, 4]."""
    return [np.bincount(each, minlength=size) for each, size in zip(rows.T, (classes, BINS, BINS, BINS), strict=True)]


def pooled(rows: np.ndarray, reference: Histograms, observed: Histograms, seed: int) -> Population:
    """Returns the population that reference and phones are samples of, if they are samples of one.

    Args:
        rows: joint rows of the reference, int64 [n, features], at least one.
        reference: its histograms.
        observed: those of the phones, whose joint rows nobody knows.
        seed: draws rows of independent features.
    """
    together = [(one + other).astype(np.float64) for one, other in zip(reference, observed, strict=True)]
    targets = [each / each.sum() for each in together]
    found, counts = np.unique(rows, axis=0, return_counts=True)
    added = _independent(targets, np.random.default_rng(seed))
    support, places = np.unique(np.concatenate([found, added]), axis=0, return_inverse=True)
    weights = np.bincount(
        places.ravel(),
        np.concatenate([counts / len(rows), np.full(len(added), _INDEPENDENT_WEIGHT / len(added))]),
    )
    return Population(support, _raked(support, weights, targets), tuple(map(len, targets)))


def _independent(targets: Sequence[np.ndarray], draw: np.random.Generator) -> np.ndarray:
    """Returns rows of independent features in which each bin that is not empty occurs, int64 [k, features]."""
    count = max(_INDEPENDENT_ROWS, *(int(np.count_nonzero(each)) for each in targets))
    columns = []
    for target in targets:
        filled = np.flatnonzero(target)
        rest = draw.choice(len(target), count - len(filled), p=target)
        columns.append(draw.permutation(np.concatenate([filled, rest])))
    return np.stack(columns, axis=1)


def _raked(rows: np.ndarray, weights: np.ndarray, targets: Sequence[np.ndarray]) -> np.ndarray:
    """Returns weights whose histograms are the targets, near those that are given."""
    for _ in range(_ROUNDS):
        before = weights
        for feature, target in enumerate(targets):
            present = np.bincount(rows[:, feature], weights, minlength=len(target))
            factors = np.divide(target, present, out=np.zeros_like(target), where=present > 0)
            weights = weights * factors[rows[:, feature]]
        if np.abs(weights - before).sum() < 1e-9:
            break
    return np.asarray(weights / weights.sum())


def likelihood_ratio(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns G, twice the logarithm of the likelihood ratio of two histograms and of one for both.

    Args:
        one: counts, [..., bins].
        other: the same.

    Returns:
        float64 [...]; 0 where a histogram is empty.
    """
    sums = one.sum(axis=-1), other.sum(axis=-1)
    apart = xlogy(one, one).sum(axis=-1) + xlogy(other, other).sum(axis=-1)
    together = xlogy(one + other, one + other).sum(axis=-1)
    totals = xlogy(sums[0], sums[0]) + xlogy(sums[1], sums[1]) - xlogy(sums[0] + sums[1], sums[0] + sums[1])
    return np.maximum(2 * (apart - together - totals), 0.0)


@dataclass(frozen=True, eq=False)
class TestedLooks:
    """The tests of all looks, float64 [periods, features] each.

    Attributes:
        statistics: G.
        p_values: of each look alone.
        corrected: for all looks together.
    """

    statistics: np.ndarray
    p_values: np.ndarray
    corrected: np.ndarray


def tested(
    rows: np.ndarray, days: Sequence[Histograms], separate: Sequence[int], drawings: int, seed: int
) -> TestedLooks:
    """Tests all days together, and some of them one by one.

    Args:
        rows: joint rows of the reference, int64 [n, features].
        days: histograms of the phones on each day, at least one day.
        separate: positions of the days that are tested by themselves too.
        drawings: how often reference and phones are drawn again.
        seed: draws them.

    Returns:
        The tests; the first period is all days, then those of `separate` in their order.
    """
    sizes = [len(each) for each in days[0]]
    reference = [np.bincount(column, minlength=size) for column, size in zip(rows.T, sizes, strict=True)]
    total = [np.sum(each, axis=0) for each in zip(*days, strict=True)]
    population, draw = pooled(rows, reference, total, seed), np.random.default_rng(seed)
    periods = [total, *(days[position] for position in separate)]
    observed = np.array([[likelihood_ratio(*pair) for pair in zip(reference, each, strict=True)] for each in periods])

    drawn = population.histograms(len(rows), drawings, draw)
    own = [int(days[position][0].sum()) for position in separate]
    whole = population.histograms(int(total[0].sum()) - sum(own), drawings, draw)
    by_day = []
    for n in own:
        found = population.histograms(n, drawings, draw)
        by_day.append(np.stack([likelihood_ratio(*pair) for pair in zip(drawn, found, strict=True)]))
        whole = [one + other for one, other in zip(whole, found, strict=True)]
    of_all = np.stack([likelihood_ratio(*pair) for pair in zip(drawn, whole, strict=True)])
    simulated = np.concatenate([of_all, *by_day])  # [periods · features, drawings]
    p_values, corrected = _p_values(observed.ravel(), simulated.T)
    return TestedLooks(observed, p_values.reshape(observed.shape), corrected.reshape(observed.shape))


def _p_values(observed: np.ndarray, simulated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the p-value of each statistic alone, and corrected for all, float64 [looks] each.

    Args:
        observed: statistics, [looks].
        simulated: without drift, [drawings, looks].
    """
    everything = np.concatenate([observed[None], simulated])
    count = len(everything)
    p_values = (everything >= observed).sum(axis=0) / count
    roots = np.cbrt(everything)  # nearly normal (Wilson and Hilferty 1931), so that no look outweighs the others
    spread = roots.std(axis=0)
    scores = np.divide(roots - roots.mean(axis=0), spread, out=np.zeros_like(roots), where=spread > 0)
    order = np.argsort(-scores[0], kind="stable")
    largest = np.maximum.accumulate(scores[:, order[::-1]], axis=1)[:, ::-1]  # over this look and all less extreme ones
    steps = (largest >= scores[0, order]).sum(axis=0) / count
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate(steps)
    return p_values, corrected
