"""What is counted of predictions, compared with a second implementation, one prediction at a time."""

import math

import numpy as np
import pytest

from tests.verification.predictions import CLASSES, generated
from tfkd.verification import counting


def plainly(row: np.ndarray) -> tuple[int, float, float, float] | None:
    """Returns top-1, confidence, entropy and margin by Python's own numbers and logarithm; None if invalid."""
    values = [float(value) for value in row]
    total = 0.0
    for value in values:
        total += value
    if not all(value >= 0 for value in values) or not 0 < total < math.inf:
        return None
    shares = [value / total for value in values]
    confidence, second = (*sorted(shares, reverse=True), 0.0)[:2]
    entropy = -math.fsum(p * math.log(p) for p in shares if p > 0) / (math.log(len(values)) or 1)
    return values.index(max(values)), confidence, entropy, confidence - second


@pytest.mark.parametrize("classes", CLASSES)
def test_features_are_those_of_a_second_implementation(classes: int) -> None:
    rows = generated(classes)
    found = counting.features(rows)
    expected = [plainly(row) for row in rows]
    np.testing.assert_array_equal(found.valid, [each is not None for each in expected])
    usable = np.array([each for each in expected if each is not None])
    assert 0.5 < len(usable) / len(rows) < 1
    np.testing.assert_array_equal(found.top1[found.valid], usable[:, 0])
    np.testing.assert_array_equal(found.confidence[found.valid], usable[:, 1])
    np.testing.assert_allclose(found.entropy[found.valid], usable[:, 2], atol=1e-9)
    np.testing.assert_array_equal(found.margin[found.valid], usable[:, 3])
    assert found.binned().shape == (len(usable), 4) and found.binned()[:, 1:].max() <= 9


def test_the_logarithm_is_within_its_stated_error() -> None:
    numbers = np.concatenate([np.geomspace(2.0**-40, 1, 20_001), [counting.ROOT_OF_HALF, 0.5, 1]])
    assert np.abs(counting.logarithm(numbers) - np.log(numbers)).max() < 1e-13
    assert counting.logarithm(np.array(1.0)) == 0


@pytest.mark.parametrize(
    ("row", "bins"),
    [
        ([0.5, 0.5], [0, 5, 9, 0]),  # a tie: the first class
        ([0.0, 1.0], [1, 9, 0, 9]),  # 1 is in the last bin
        ([0.3, 0.7], [1, 6, 8, 3]),  # 0.7 in float32 is below 0.7
        ([3.0, 7.0], [1, 7, 8, 3]),  # sums other than 1 are divided out; 0.7 is in its upper bin, 0.7 - 0.3 below 0.4
        ([1e-45, 0.0], [0, 9, 0, 9]),
    ],
)
def test_ties_edges_and_sums(row: list[float], bins: list[int]) -> None:
    assert counting.features(np.array([row], np.float32)).binned().tolist() == [bins]


def test_rejected_predictions_are_those_below_the_limit() -> None:
    found = counting.features(np.array([[0.5, 0.5], [0.25, 0.75], [np.nan, 1]]))
    assert [counting.rejected(found, limit) for limit in (None, 0.5, 0.75, 0.76)] == [0, 0, 1, 2]


def test_a_threshold_is_compared_with_the_probability_that_the_file_gives_as_an_app_does() -> None:
    found = counting.features(np.array([[0.25, 0.74], [0.0, 0.74]]))  # sums of int8 files are not exactly 1
    assert found.confidence[0] > 0.745 and counting.rejected(found, 0.745) == 2
