import numpy as np
import pytest
from scipy.stats import binomtest

from tfkd.verification import intervals


@pytest.mark.parametrize(("right", "images"), [(0, 1), (1, 1), (0, 20), (17, 20), (20, 20), (980, 1_000)])
@pytest.mark.parametrize("confidence", [0.95, 0.999])
def test_the_interval_of_a_proportion_is_wilsons(right: int, images: int, confidence: float) -> None:
    expected = binomtest(right, images).proportion_ci(confidence, "wilson")
    assert intervals.proportion(right, images, confidence) == pytest.approx((expected.low, expected.high))


def test_the_interval_of_a_mean_of_one_is_its_own() -> None:
    assert intervals.mean([0.8], [(0.6, 0.9)]) == pytest.approx((0.6, 0.9))


def test_the_mean_of_several_is_narrower_than_each_and_has_a_width_where_all_are_right() -> None:
    low, high = intervals.mean([1.0] * 4, [intervals.proportion(10, 10)] * 4)
    assert (low, high) == (pytest.approx(1 - (1 - intervals.proportion(10, 10)[0]) / 2), 1.0)


def test_the_interval_of_a_mean_of_recalls_holds_the_true_one_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    recalls, images = (0.95, 0.7, 0.85), (15, 100, 40)
    held = 0
    for counts in zip(*(draw.binomial(n, p, 1_000) for p, n in zip(recalls, images, strict=True)), strict=True):
        values = [count / n for count, n in zip(counts, images, strict=True)]
        low, high = intervals.mean(values, [intervals.proportion(*each) for each in zip(counts, images, strict=True)])
        held += low <= np.mean(recalls) <= high
    assert 930 <= held <= 985


@pytest.mark.parametrize(
    ("cells", "low", "high"),  # images that both, only the first, only the second and neither predict rightly
    [((36, 12, 2, 0), 0.0569, 0.3404), ((20, 12, 2, 16), 0.0562, 0.3292), ((0, 0, 0, 50), -0.0713, 0.0713)],
)
def test_the_paired_difference_is_newcombes(cells: tuple[int, ...], low: float, high: float) -> None:
    both, first, second, _ = cells
    found = intervals.paired_difference(gained=second, lost=first, right=both + second, images=sum(cells))
    assert found == pytest.approx((low, high), abs=1e-4)


def test_the_paired_difference_holds_the_true_one_as_often_as_it_says() -> None:
    draw, cells = np.random.default_rng(2), (0.7, 0.12, 0.04, 0.14)
    found = [
        intervals.paired_difference(int(second), int(first), int(both + second), 60)
        for both, first, second, _ in draw.multinomial(60, cells, 1_000)
    ]
    assert 930 <= sum(low <= 0.08 <= high for low, high in found) <= 985


def test_the_paired_difference_of_equal_predictions_holds_zero() -> None:
    low, high = intervals.paired_difference(gained=0, lost=0, right=45, images=50)
    assert low < 0 < high
