"""What apps count of a model's predictions, by rules that Kotlin and Swift repeat bit for bit.

A prediction is counted by its top-1 class and by three numbers from 0 to 1 in ten equal bins each: confidence,
normalised entropy, and margin between the two most probable classes. Everything is computed in double precision (IEEE
754) by additions, multiplications, divisions and comparisons alone, in this order, so that every machine gets the same
bits; the logarithms of mathematical libraries differ in the last ones.

1. Each value v is widened to double. total = 0 + v[0] + v[1] + …, from the first class to the last.
2. A prediction with a value that is negative or NaN, or with a total that is 0 or infinite, is invalid and only counted
   as such. Otherwise p[i] = v[i] / total, so that the rounding of int8 outputs does not matter.
3. top1 is the first of the largest values, confidence = p[top1], and margin = confidence − the largest p of the other
   classes, or 0 of them where there is one class.
4. entropy = (0 − p[0]·ln p[0] − p[1]·ln p[1] − …) / −ln(1 / classes), without terms of p < 2⁻⁴⁰; 0 for one class.
5. ln x = e·ln 2 + 2z·(1 + z²/3 + z⁴/5 + … + z¹⁴/15) for x = m·2ᵉ with √½ ≤ m < √2 and z = (m − 1) / (m + 1), the series
   by Horner's rule; its error is below 10⁻¹³.
6. The bin of x is the whole part of 10·x, or 9 where that is more.
7. A prediction is rejected where the largest v is below the threshold of the file, as `decide` compares it. It is
   counted in all bins nonetheless.
"""

from dataclasses import dataclass

import numpy as np

BINS = 10  # of each number from 0 to 1
FEATURES = ("top1", "confidence", "entropy", "margin")
MOST_DAYS = 90  # that a phone keeps
LARGEST_COUNT = 2**63 - 1  # where counters stop

SMALLEST_TERM = 2.0**-40
ROOT_OF_HALF = 0.7071067811865476
LAST_TERM = 15  # of the series of the logarithm
LN2 = 0.6931471805599453


@dataclass(frozen=True, eq=False)
class PredictionFeatures:
    """What is counted of n predictions; all numbers of an invalid one are 0.

    Attributes:
        valid: bool [n].
        top1: int64 [n], numbers of classes.
        largest: float64 [n], the largest value as it was given.
        confidence: float64 [n], 0 to 1, as the following.
        entropy: float64 [n].
        margin: float64 [n].
    """

    valid: np.ndarray
    top1: np.ndarray
    largest: np.ndarray
    confidence: np.ndarray
    entropy: np.ndarray
    margin: np.ndarray

    def binned(self) -> np.ndarray:
        """Returns top-1 class and bins of each valid prediction in the order of FEATURES, int64 [m, 4]."""
        numbers = (self.confidence, self.entropy, self.margin)
        return np.stack([self.top1, *map(bins, numbers)], axis=1)[self.valid]


def features(probabilities: np.ndarray) -> PredictionFeatures:
    """Returns what is counted of predictions.

    Args:
        probabilities: float32 or float64 [n, classes], at least one class.
    """
    values = np.asarray(probabilities)
    total = np.zeros(len(values))
    with np.errstate(all="ignore"):  # sums of infinite values, which are invalid
        for column in values.T:  # not np.sum, which adds in pairs
            total += column.astype(np.float64)
    valid = (values >= 0).all(axis=1) & (total > 0) & np.isfinite(total)
    values, total = np.where(valid[:, None], values, 0), np.where(valid, total, 1.0)
    top1 = values.argmax(axis=1)
    two = np.sort(values, axis=1)[:, -2:].astype(np.float64)
    shares = two / total[:, None]
    margin = shares[:, -1] - shares[:, 0] if values.shape[1] > 1 else shares[:, -1]
    return PredictionFeatures(valid, top1, two[:, -1], shares[:, -1], _entropy(values, total), margin)


def bins(numbers: np.ndarray) -> np.ndarray:
    """Returns the bins of numbers from 0 to 1, int64 of the same shape."""
    return np.minimum((BINS * numbers).astype(np.int64), BINS - 1)


def rejected(found: PredictionFeatures, threshold: float | None) -> int:
    """Returns how many valid predictions are below the threshold of a file; None is no threshold."""
    return 0 if threshold is None else int(np.sum(found.valid & (found.largest < threshold)))


def logarithm(numbers: np.ndarray) -> np.ndarray:
    """Returns the natural logarithm of positive numbers, float64, with the same bits on every machine."""
    mantissa, exponent = np.frexp(numbers)
    low = mantissa < ROOT_OF_HALF
    mantissa, exponent = np.where(low, 2 * mantissa, mantissa), exponent - low
    z = (mantissa - 1) / (mantissa + 1)
    square, series = z * z, np.full_like(z, 1 / LAST_TERM)
    for divisor in range(LAST_TERM - 2, 0, -2):
        series = series * square + 1 / divisor
    found: np.ndarray = exponent * LN2 + 2 * z * series
    return found


def _entropy(values: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Returns the normalised entropy of rows of values with their totals, float64 [n]."""
    classes, entropy = values.shape[1], np.zeros(len(values))
    if classes == 1:
        return entropy
    for column in values.T:
        p = column.astype(np.float64) / total
        counts = p >= SMALLEST_TERM
        entropy -= np.where(counts, p * logarithm(np.where(counts, p, 1.0)), 0.0)
    return np.asarray(entropy / -logarithm(np.array(1 / classes)))
