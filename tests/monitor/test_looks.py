"""The tests of counts: their false-alarm rate over many looks, and what they find."""

import itertools

import numpy as np
import pytest
from scipy import stats

from tests.monitor.bundles import CLASSES, predictions
from tfkd.monitor import looks
from tfkd.verification.counting import features

REPEATS = 200
DRAWINGS = 199


def histograms(count: int, seed: int, sharpness: float = 3.0) -> list[np.ndarray]:
    return looks.histograms_of(rows(count, seed, sharpness), CLASSES)


def rows(count: int, seed: int, sharpness: float = 3.0) -> np.ndarray:
    return features(predictions(count, seed, sharpness=sharpness)[0]).binned()


@pytest.mark.parametrize(("reference", "phones", "days"), [(300, 60, 1), (400, 40, 5)])
def test_the_false_alarm_rate_is_the_stated_one_over_all_looks(reference: int, phones: int, days: int) -> None:
    smallest = []
    for repeat in range(REPEATS):
        seeds = itertools.count(1000 * repeat)
        before = rows(reference, next(seeds))
        counts = [histograms(phones, next(seeds)) for _ in range(days)]
        separate = range(days) if days > 1 else []
        smallest.append(looks.tested(before, counts, separate, DRAWINGS, repeat).corrected.min())
    for rate in (0.05, 0.2, 0.5):
        alarms = int((np.array(smallest) <= rate).sum())
        low, high = stats.binom.interval(0.99, REPEATS, rate)
        assert low <= alarms <= high, f"{alarms} alarms of {REPEATS} at the rate {rate}"


def test_without_a_correction_many_looks_raise_more_alarms() -> None:
    alone = []
    for repeat in range(100):
        before, counts = rows(400, 7 * repeat), [histograms(40, 7 * repeat + day) for day in range(1, 6)]
        alone.append(looks.tested(before, counts, range(5), DRAWINGS, repeat).p_values.min())
    assert np.mean(np.array(alone) <= 0.05) > 0.15


def test_a_change_is_found_on_its_day_alone() -> None:
    counts = [histograms(200, seed) for seed in (2, 3)] + [histograms(200, 4, sharpness=2.0)]
    found = looks.tested(rows(1_000, 1), counts, range(3), 999, 1)
    assert (found.corrected[3, 1:] <= 0.01).any(), "the third day"
    assert (found.corrected[1:3] > 0.05).all()


def test_the_population_has_the_histograms_of_both_samples_and_the_dependence_of_the_reference() -> None:
    before = rows(500, 1)
    observed = histograms(400, 2, sharpness=2.0)
    observed[1][0] += 3  # a bin that no row of the reference has
    found = looks.pooled(before, looks.histograms_of(before, CLASSES), observed, 1)
    sums = [one + other for one, other in zip(looks.histograms_of(before, CLASSES), observed, strict=True)]
    for feature, counts in enumerate(sums[:1] + sums[2:]):
        column = found.rows[:, feature + (feature > 0)]
        np.testing.assert_allclose(
            np.bincount(column, found.weights, minlength=len(counts)), counts / counts.sum(), atol=0.02
        )
    centred = found.rows - found.weights @ found.rows
    covariance = (found.weights[:, None] * centred).T @ centred
    assert covariance[1, 3] / np.sqrt(covariance[1, 1] * covariance[3, 3]) > 0.9, "confidence and margin"


def test_the_statistic_is_that_of_scipy() -> None:
    one, other = np.array([10, 20, 30, 5]), np.array([7, 9, 40, 2])
    expected = stats.chi2_contingency([one, other], correction=False, lambda_="log-likelihood").statistic
    assert looks.likelihood_ratio(one, other) == pytest.approx(expected)
    assert looks.likelihood_ratio(one, np.zeros(4)) == 0


def test_the_same_seed_gives_the_same_result() -> None:
    found = [looks.tested(rows(200, 1), [histograms(60, 2)], [], 199, seed).p_values for seed in (1, 1, 2)]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
