"""Statistics of noisy samples: median with confidence interval, outliers, throttling, and change beyond noise.

Nothing here assumes a distribution: latencies have a long tail, and a shared machine has bursts that last seconds.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal

import numpy as np

from tfkd.bundle.results import Latency, Result
from tfkd.errors import RequestError

CONFIDENCE = 0.95
FAR_OUT = 3.0  # interquartile ranges (Tukey 1977)
PARTS = 10  # into which samples are cut, to look at their course or to compare them
THROTTLED = 0.1  # the drift from which a device counts as throttled
TREND_LEVEL = 2.33  # normal quantile of 1 %, one-sided

FEWEST = 6  # processes that are compared one by one; the samples of fewer are cut into PARTS
WIDEST = 1.5  # limits: an unchanged file's ratio then stays 2.6 standard errors away from the limit
MOST = 60  # parts that are compared; more processes go into one part together

SpeedVerdict = Literal["same", "slower", "unclear"]


@dataclass(frozen=True)
class Change:
    """How a file's latency, or its count of instructions, compares with an earlier one.

    Attributes:
        ratio: new / old.
        interval: 95 % confidence interval of the ratio; without width for instructions.
        verdict: "slower" where the ratio is beyond the limit, "same" where it is not; "unclear" where the interval
            holds the limit and is too wide to trust the ratio.
    """

    ratio: float
    interval: tuple[float, float]
    verdict: SpeedVerdict


def summary(samples: Sequence[float]) -> Latency:
    """Summarises durations.

    Args:
        samples: milliseconds, in the order measured; at least one.

    Returns:
        Quantiles by linear interpolation (Hyndman & Fan 1996, type 7), four decimals; the rest as `Latency` says.
    """
    values = np.asarray(samples, np.float64)
    median, p90, p95, p99 = (_rounded(value) for value in np.quantile(values, [0.5, 0.9, 0.95, 0.99]))
    lower, upper = np.quantile(values, [0.25, 0.75])
    drift, significant = trend(values)
    return Latency(
        median=median,
        p90=p90,
        p95=p95,
        p99=p99,
        min=_rounded(values.min()),
        interval=median_interval(values),
        outliers=int((values > upper + FAR_OUT * (upper - lower)).sum()),
        drift=_rounded(drift),
        throttled=bool(significant and drift > THROTTLED),
    )


def summarised(result: Result) -> Result:
    """Returns a result with a recomputed summary of its samples; one without samples is unchanged."""
    return result.model_copy(update={"latency_ms": summary(result.samples_ms)}) if result.samples_ms else result


def joined(first: list[Result], second: list[Result]) -> list[Result]:
    """Returns the first results with the samples of the second behind theirs; both measured the same in one call.

    The summary of the samples stays that of the first: `summarised` makes it again.
    """
    others = {result.key: result for result in second}
    return [_joined(result, others[result.key]) for result in first]


def _joined(first: Result, second: Result) -> Result:
    return first.model_copy(
        update={
            "runs": first.runs + second.runs,
            "processes": first.processes + second.processes,
            "dropped": first.dropped + second.dropped,
            "samples_ms": first.samples_ms + second.samples_ms,
            "cpu_ms": first.cpu_ms + second.cpu_ms,
            "yardstick_ms": first.yardstick_ms + second.yardstick_ms,
            "device": first.device.model_copy(update={"after": second.device.after}),
        }
    )


def median_interval(samples: Sequence[float] | np.ndarray) -> tuple[float, float] | None:
    """Returns a 95 % confidence interval of the median from order statistics (David & Nagaraja 2003, section 7.1).

    It holds for every distribution, and for samples that do not depend on each other. None for fewer than six samples:
    not even the smallest and the largest enclose the median that surely.
    """
    values = np.sort(np.asarray(samples, np.float64))
    below = _binomial_tail(len(values))
    return (_rounded(values[below - 1]), _rounded(values[len(values) - below])) if below else None


def trend(samples: Sequence[float] | np.ndarray) -> tuple[float, bool]:
    """Looks for a steady rise in the course of the samples.

    The medians of ten parts in a row give the slope, that of Theil and Sen (1968), and the test for a rise of Mann
    (1945) and Kendall (1975): single bursts move neither much.

    Returns:
        The rise from the first part to the last as a share of the median, and whether it is significant at 1 %.
        Zero and False for fewer than ten samples.
    """
    if len(samples) < PARTS:
        return 0.0, False
    medians = np.array([np.median(part) for part in np.array_split(np.asarray(samples, np.float64), PARTS)])
    rises = [(medians[j] - medians[i], j - i) for i, j in itertools.combinations(range(PARTS), 2)]
    slope = float(np.median([rise / distance for rise, distance in rises]))
    score = sum(np.sign(rise) for rise, _ in rises)
    deviation = math.sqrt(PARTS * (PARTS - 1) * (2 * PARTS + 5) / 18)
    return slope * (PARTS - 1) / float(np.median(medians)), bool((score - 1) / deviation > TREND_LEVEL)


def regression(baseline: Result, current: Result, limit: float) -> Change:
    """Tells whether a file became slower by more than a limit, or whether it is noise.

    Whatever disturbs a measurement makes it longer, never shorter, so the smallest sample of each process is compared
    (Chen & Revels 2016, arXiv:1608.04295): of the processor time where both results have it, which leaves out the wait
    for a processor; and as a multiple of the yardstick's smallest, which takes out a machine that is slower as a whole.
    Ratio and interval are those of Hodges and Lehmann (1963) over the
    processes of both: exact for every distribution, and unmoved by a burst that strikes a quarter of the processes.

    Args:
        baseline: the earlier result.
        current: the later one, of the same file name on the same device.
        limit: the share by which it may be slower, above 0.

    Raises:
        RequestError: one of them has neither instructions nor samples.
    """
    if baseline.counted is not None and current.counted is not None:
        ratio = current.counted / max(1, baseline.counted)
        return Change(ratio, (ratio, ratio), "slower" if ratio > 1 + limit else "same")
    for result, name in ((baseline, "baseline"), (current, "new result")):
        if not result.samples_ms:
            raise RequestError(f"{result.title}: the {name} has no samples, so a change cannot be told from noise.")
    both = (baseline, current)
    clock = "cpu_ms" if all(result.cpu_ms for result in both) else "samples_ms"
    # With another clock for one of the two, the yardstick was timed with another one too.
    scaled = all(result.yardstick_ms for result in both) and bool(baseline.cpu_ms) == bool(current.cpu_ms)
    old, new = (_fastest(result, getattr(result, clock), scaled) for result in both)
    low, ratio, high = _shift(old, new)
    return Change(ratio, (low, high), _verdict(low, ratio, high, limit))


def _verdict(low: float, ratio: float, high: float, limit: float) -> SpeedVerdict:
    if low <= 1 + limit <= high and high - low > WIDEST * limit:
        return "unclear"
    return "slower" if ratio > 1 + limit else "same"


def _fastest(result: Result, durations: list[float], scaled: bool) -> np.ndarray:
    """Returns the smallest duration in each process, in yardsticks if scaled, else in milliseconds."""
    parts = min(result.processes, MOST) if result.processes >= FEWEST else PARTS
    fastest = _smallest(durations, parts)
    return fastest / _smallest(result.yardstick_ms, parts) if scaled else fastest


def _smallest(durations: list[float], parts: int) -> np.ndarray:
    return np.array([part.min() for part in np.array_split(np.asarray(durations, np.float64), parts) if part.size])


def _shift(old: np.ndarray, new: np.ndarray) -> tuple[float, float, float]:
    """Returns lower limit, estimate and upper limit of new / old; the limits are 0 and infinity for too few values."""
    floor = np.finfo(np.float64).tiny
    ratios = np.sort(np.divide.outer(np.maximum(new, floor), np.maximum(old, floor)), axis=None)
    rank = _rank(len(old), len(new))
    estimate = float(np.exp(np.median(np.log(ratios))))
    return (float(ratios[rank - 1]), estimate, float(ratios[-rank])) if rank else (0.0, estimate, math.inf)


@cache
def _rank(first: int, second: int) -> int:
    """Returns the largest k for which P(U < k) is at most 2.5 %: U is Mann and Whitney's (1947), of samples so large.

    The number of ways to each value of U is a coefficient of the Gaussian binomial, the product over i = 1 … second of
    (1 - x^(first + i)) / (1 - x^i).
    """
    largest = first * second
    ways = [1] + [0] * largest
    for i in range(1, second + 1):
        for u in range(largest, first + i - 1, -1):
            ways[u] -= ways[u - first - i]
        for u in range(i, largest + 1):
            ways[u] += ways[u - i]
    bound = Fraction(1 - CONFIDENCE) / 2 * math.comb(first + second, second)
    return sum(total <= bound for total in itertools.accumulate(ways))


def _binomial_tail(count: int) -> int:
    """Returns the largest r for which P(Binomial(count, 1/2) < r) is at most 2.5 %."""
    total, rank = 0.0, 0
    while rank < count and (total := total + math.comb(count, rank) / 2**count) <= (1 - CONFIDENCE) / 2:
        rank += 1
    return rank


def _rounded(value: float) -> float:
    return round(float(value), 4)
