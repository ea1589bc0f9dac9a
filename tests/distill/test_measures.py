import numpy as np
import pytest

from tfkd.distill.measures import accuracy, calibration_error, paired_p_value, softmax


def test_softmax_survives_large_logits() -> None:
    np.testing.assert_allclose(softmax([[1e4, 1e4 - 1.0]]), [[1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))]])


def test_accuracy_counts_the_largest_logit() -> None:
    assert accuracy(np.array([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]]), np.array([0, 1, 1])) == pytest.approx(2 / 3)


def test_calibration_error_of_a_constant_confidence() -> None:
    """Confidence 0.8 everywhere and half of the predictions right: the gap is 0.3."""
    logits = np.tile(np.log([[0.8, 0.2]]), (10, 1))
    labels = np.array([0, 1] * 5)
    assert calibration_error(logits, labels) == pytest.approx(0.3)


def test_calibration_error_does_not_cancel_between_bins() -> None:
    """Overconfident in one bin, underconfident in another: the gaps add up."""
    logits = np.log(np.array([[0.9, 0.1]] * 2 + [[0.6, 0.4]] * 2))
    labels = np.array([1, 1, 0, 0])
    assert calibration_error(logits, labels) == pytest.approx((2 * 0.9 + 2 * 0.4) / 4)


def test_paired_p_value_of_equal_classifiers_is_one() -> None:
    right = np.random.default_rng(0).random(50) < 0.8
    assert paired_p_value(right, right) == 1.0


def test_paired_p_value_is_that_of_the_sign_test() -> None:
    """8 images that only the first got right, 1 that only the second did: 2 · (1 + 9) / 2⁹."""
    first = np.array([1.0] * 8 + [0.0] + [1.0] * 90)
    second = np.array([0.0] * 8 + [1.0] + [1.0] * 90)
    assert paired_p_value(first, second, thousands=50) == pytest.approx(20 / 512, abs=0.004)


def test_a_clear_difference_has_a_small_p_value() -> None:
    assert paired_p_value(np.ones(40), np.zeros(40)) == pytest.approx(1 / 10_001)
