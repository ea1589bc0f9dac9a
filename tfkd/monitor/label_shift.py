"""Estimates how often each class truly occurs now, from the predictions alone (BBSE, Lipton et al. arXiv:1802.03916).

If only the frequencies of the classes have changed, and examples of one class look as before, then the file predicts
class i with the frequency `Σ_j P(i | j) q_j`. `P(i | j)` is known from the test examples; q is the nearest solution
without negative frequencies. Whether the assumption fits is tested by what q implies for confidence, entropy and
margin, which were not used to find it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from tfkd.bundle.monitoring import ReferenceRows
from tfkd.monitor.looks import Histograms, histograms_of
from tfkd.verification.intervals import Interval

FEWEST = 10  # test examples of each class
LEAST_SINGULAR_VALUE = 0.1  # of P(predicted | true): below, errors of the predictions grow more than tenfold
DRAWINGS = 199
LEVEL = 0.01  # at which the assumption is rejected


@dataclass(frozen=True)
class LabelShift:
    """The estimated frequencies of the true classes.

    Attributes:
        frequencies: of each class, 0 to 1; empty where they were not estimated.
        intervals: 95 % each, by the bootstrap.
        accuracy: of the file if these are the frequencies, 0 to 1.
        accuracy_interval: 95 %.
        singular_value: the smallest of P(predicted | true); None where it is not known.
        p_value: of the assumption that only the frequencies have changed; None where it was not tested.
        reason: why nothing was estimated; "" where it was.
    """

    frequencies: tuple[float, ...] = ()
    intervals: tuple[Interval, ...] = ()
    accuracy: float | None = None
    accuracy_interval: Interval | None = None
    singular_value: float | None = None
    p_value: float | None = None
    reason: str = ""

    @property
    def explains(self) -> bool:
        """True where changed frequencies alone may explain all that has changed."""
        return self.p_value is not None and self.p_value > LEVEL


def estimated(rows: ReferenceRows, observed: Histograms, classes: list[str], seed: int) -> LabelShift:
    """Estimates the frequencies of the true classes.

    Args:
        rows: of the reference.
        observed: histograms of the phones.
        classes: their names.
        seed: of the bootstrap.
    """
    if (rows.labels < 0).any():
        return LabelShift(reason="the reference has no true classes of examples that the student has not learnt from")
    present = np.bincount(rows.labels, minlength=len(classes))
    if present.min() < FEWEST:
        rarest = int(present.argmin())
        return LabelShift(
            reason=f"class {classes[rarest]!r} has {present[rarest]} test examples; {FEWEST} of each are needed"
        )
    fitted = _Fit.of(rows.labels, rows.student, observed[0])
    smallest = float(np.linalg.svd(fitted.conditional, compute_uv=False)[-1])
    if smallest < LEAST_SINGULAR_VALUE:
        return LabelShift(
            singular_value=smallest,
            reason=f"the predictions tell some classes apart too poorly (smallest singular value {smallest:.2f}, "
            f"{LEAST_SINGULAR_VALUE} is needed)",
        )
    found, distances = _bootstrapped(rows, fitted, int(observed[0].sum()), seed)
    distance = fitted.distance(rows.student, rows.labels, observed)
    ends = np.quantile([[*each.frequencies, each.accuracy] for each in found], (0.025, 0.975), axis=0).T
    return LabelShift(
        frequencies=tuple(fitted.frequencies.tolist()),
        intervals=tuple((low, high) for low, high in ends[:-1].tolist()),
        accuracy=fitted.accuracy,
        accuracy_interval=(float(ends[-1, 0]), float(ends[-1, 1])),
        singular_value=smallest,
        p_value=float((1 + np.sum(np.array(distances) >= distance)) / (1 + len(distances))),
    )


@dataclass(frozen=True, eq=False)
class _Fit:
    """Frequencies of the true classes that fit predictions.

    Attributes:
        conditional: P(predicted i | true j), float64 [classes, classes].
        before: frequencies in the reference.
        frequencies: that fit the predictions, float64 [classes].
    """

    conditional: np.ndarray
    before: np.ndarray
    frequencies: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, student: np.ndarray, top1: np.ndarray) -> "_Fit":
        classes = len(top1)
        joint = np.bincount(student[:, 0] * classes + labels, minlength=classes**2).reshape(classes, classes)
        totals = np.maximum(joint.sum(axis=0), 1)
        solution, _ = nnls(joint / totals, top1 / top1.sum())
        return cls(joint / totals, totals / totals.sum(), solution / solution.sum())

    @property
    def accuracy(self) -> float:
        return float(np.diag(self.conditional) @ self.frequencies)

    def weights(self, labels: np.ndarray) -> np.ndarray:
        """Returns the probability of each reference row now, float64 [n]."""
        found = (self.frequencies / self.before)[labels]
        return np.asarray(found / found.sum())

    def distance(self, student: np.ndarray, labels: np.ndarray, observed: Histograms) -> float:
        """Returns the sum of the total variations of confidence, entropy and margin from what the frequencies imply."""
        weights, distance = self.weights(labels), 0.0
        for column, histogram in zip(student.T[1:], observed[1:], strict=True):
            expected = np.bincount(column, weights, minlength=len(histogram))
            distance += float(np.abs(histogram / histogram.sum() - expected).sum() / 2)
        return distance


def _bootstrapped(rows: ReferenceRows, fitted: _Fit, n: int, seed: int) -> tuple[list[_Fit], list[float]]:
    """Returns fits and distances of reference and phones that are drawn again, if the fit is right."""
    draw, count, weights = np.random.default_rng(seed), len(rows.labels), fitted.weights(rows.labels)
    fits, distances = [], []
    for _ in range(DRAWINGS):
        again = draw.integers(count, size=count)
        labels, student = rows.labels[again], rows.student[again]
        counts = draw.multinomial(n, weights)
        phones = [
            np.bincount(column, counts, minlength=len(each))
            for column, each in zip(rows.student.T, histograms_of(rows.student, len(fitted.before)), strict=True)
        ]
        fits.append(_Fit.of(labels, student, phones[0]))
        distances.append(fits[-1].distance(student, labels, phones))
    return fits, distances
