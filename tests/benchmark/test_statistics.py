"""The statistics against tables, theory, and noise of the kinds that shared machines and phones make."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmark.conftest import counted, result
from tfkd.benchmark import statistics
from tfkd.errors import RequestError

PROCESSES, RUNS = 10, 30


def noisy(seed, true=1.0, machine=1.0, yardstick=True):
    """A result of a file that takes `true` ms on a machine so much slower than usual, with long tails and bursts."""
    random = np.random.default_rng(seed)
    # A burst lasts for whole processes, and strikes whatever runs.
    burst = np.repeat(np.where(random.random(PROCESSES) < 0.3, random.uniform(1.1, 3, PROCESSES), 1.0), RUNS)
    layout = np.repeat(random.normal(1, 0.005, PROCESSES), RUNS)

    def samples(duration):
        preempted = (random.random(PROCESSES * RUNS) < 0.2) * random.exponential(10, PROCESSES * RUNS)
        return duration * machine * burst * (layout + random.exponential(0.02, PROCESSES * RUNS)) + preempted

    timed = samples(true).tolist()
    return result(timed, processes=PROCESSES, yardstick_ms=samples(0.4).tolist() if yardstick else [])


def test_summary_of_known_samples():
    found = statistics.summary([float(value) for value in range(100, -1, -1)])
    assert (found.min, found.median, found.p90, found.p95, found.p99) == (0, 50, 90, 95, 99)
    assert found.outliers == 0 and found.drift < 0 and not found.throttled
    assert statistics.summary([2.0]).median == 2.0


def test_outliers_are_counted_and_kept():
    samples = [1.0, 1.1, 1.2, 1.3] * 10
    found = statistics.summary([*samples, 50.0, 60.0])
    assert found.outliers == 2 and found.p99 > 50


@pytest.mark.parametrize(("count", "below"), [(6, 1), (10, 2), (20, 6), (50, 18), (100, 40)])
def test_interval_of_the_median_has_the_tabulated_ranks(count, below):
    """Ranks for 95 % in Conover, Practical Nonparametric Statistics, table A3 and its normal approximation."""
    low, high = statistics.median_interval(list(range(1, count + 1)))
    assert (low, high) == (below, count + 1 - below)


def test_interval_of_the_median_needs_six_samples():
    assert statistics.median_interval([1.0] * 5) is None


def test_the_interval_covers_the_median_at_its_confidence_level():
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        low, high = statistics.median_interval(random.lognormal(0, 1, 31))
        covered += low <= 1 <= high
    assert 0.93 <= covered / 400 <= 1


@pytest.mark.parametrize(
    ("first", "second", "rank"), [(4, 4, 1), (5, 5, 3), (6, 6, 6), (10, 10, 24), (8, 12, 23), (3, 3, 0)]
)
def test_rank_is_one_above_the_critical_value_of_mann_and_whitney(first, second, rank):
    """Critical values of U, two-sided 5 %: 0, 2, 5, 23, 22, none; every textbook has the table."""
    assert statistics._rank(first, second) == rank == statistics._rank(second, first)


def test_trend_sees_a_device_that_slows_down_and_no_burst():
    random = np.random.default_rng(2)
    noise = random.exponential(0.05, 100)
    hot = statistics.summary(1 + noise + np.linspace(0, 0.4, 100))
    assert hot.throttled and hot.drift == pytest.approx(0.33, abs=0.08)
    burst = 1 + noise
    burst[40:60] *= 3
    assert not statistics.summary(burst).throttled
    cooling = statistics.summary(1.4 + noise - np.linspace(0, 0.4, 100))
    assert cooling.drift < -0.2 and not cooling.throttled


def test_the_same_file_raises_no_alarm_and_a_slower_one_does():
    baseline = noisy(0)
    same = [statistics.regression(baseline, noisy(seed), 0.05).verdict for seed in range(1, 101)]
    slower = [statistics.regression(baseline, noisy(seed, true=1.1), 0.05).verdict for seed in range(101, 201)]
    assert same.count("slower") == 0 and same.count("same") >= 90
    assert slower.count("slower") >= 90 and slower.count("same") == 0


def test_the_yardstick_takes_out_a_machine_that_is_slower():
    baseline = noisy(0)
    hot = [statistics.regression(baseline, noisy(seed, machine=1.3), 0.05).verdict for seed in range(1, 21)]
    assert "slower" not in hot
    blind = [statistics.regression(baseline, noisy(seed, machine=1.3, yardstick=False), 0.05) for seed in range(1, 21)]
    assert all(change.verdict == "slower" for change in blind)


def test_too_few_samples_are_unclear_rather_than_the_same():
    change = statistics.regression(result([1.0, 1.0]), result([1.0, 1.0]), 0.05)
    assert change.verdict == "unclear" and change.interval == (0, math.inf)


def test_a_change_that_noise_could_explain_is_unclear():
    random = np.random.default_rng(1)
    wild = [result(random.lognormal(0, 1, 100).tolist(), processes=10) for _ in range(2)]
    assert statistics.regression(*wild, 0.05).verdict == "unclear"


def test_instructions_are_compared_exactly():
    assert statistics.regression(counted(1000), counted(1050), 0.05).verdict == "same"
    change = statistics.regression(counted(1000), counted(1051), 0.05)
    assert change.verdict == "slower" and change.interval == (1.051, 1.051)


def test_a_summary_alone_cannot_be_compared():
    summary = result().model_copy(update={"samples_ms": []})
    with pytest.raises(RequestError, match="baseline has no samples"):
        statistics.regression(summary, result(), 0.05)


durations = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=40)


@settings(deadline=None, max_examples=50)
@given(durations, durations, st.floats(0.5, 2))
def test_regression_is_scale_free_and_inverts(old, new, factor):
    there = statistics.regression(result(old), result(new), 0.05)
    back = statistics.regression(result(new), result(old), 0.05)
    assert there.interval[0] <= there.ratio <= there.interval[1]
    assert back.ratio == pytest.approx(1 / there.ratio)
    scaled = statistics.regression(result([factor * value for value in old]), result(new), 0.05)
    assert scaled.ratio == pytest.approx(there.ratio / factor)


def test_joined_results_hold_the_samples_of_both():
    (both,) = statistics.joined([result([1.0, 2.0], processes=2)], [result([3.0, 4.0], processes=2)])
    assert both.samples_ms == [1, 2, 3, 4] and both.runs == 4 and both.processes == 4
