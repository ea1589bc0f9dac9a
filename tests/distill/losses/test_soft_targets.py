"""Hinton's loss against a float64 NumPy reference."""

import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses.soft_targets import SoftTargetsLoss
from tfkd.errors import RequestError


def reference(teacher: np.ndarray, student: np.ndarray, temperature: float) -> np.ndarray:
    """T² KL(softmax(teacher/T) || softmax(student/T)) of each row, in float64."""

    def log_softmax(logits: np.ndarray) -> np.ndarray:
        scaled = logits.astype(np.float64) / temperature
        scaled -= scaled.max(axis=1, keepdims=True)
        return scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))

    log_p, log_q = log_softmax(teacher), log_softmax(student)
    return temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("spread", [0.1, 5.0, 80.0])
def test_equals_the_reference(temperature: float, spread: float) -> None:
    rng = np.random.default_rng(7)
    teacher, student = rng.normal(0, spread, (2, 64, 11)).astype(np.float32)
    got = SoftTargetsLoss(temperature, reduction=None)(teacher, student).numpy()
    rounding = 1e-6 * max(1.0, temperature**2)  # of float32 log-probabilities near -2, times T²
    np.testing.assert_allclose(got, reference(teacher, student, temperature), rtol=2e-5, atol=rounding)


def test_is_zero_for_equal_logits_up_to_a_shift() -> None:
    logits = np.random.default_rng(1).normal(0, 3, (8, 5)).astype(np.float32)
    assert float(SoftTargetsLoss(4.0)(logits, logits + 7.0)) == pytest.approx(0.0, abs=1e-5)


def test_gradient_is_that_of_the_softened_probabilities() -> None:
    rng = np.random.default_rng(3)
    teacher, student = rng.normal(0, 2, (2, 4, 6)).astype(np.float32)
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        loss = SoftTargetsLoss(3.0)(teacher, variable)
    expected = 3.0 * (tf.nn.softmax(student / 3.0) - tf.nn.softmax(teacher / 3.0)) / 4
    np.testing.assert_allclose(tape.gradient(loss, variable), expected, atol=1e-5)


def test_float16_logits_are_computed_in_float32() -> None:
    rng = np.random.default_rng(5)
    teacher, student = rng.normal(0, 30, (2, 16, 10)).astype(np.float16)
    got = SoftTargetsLoss(1.0, reduction=None)(teacher, student).numpy()
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, reference(teacher, student, 1.0), rtol=1e-4, atol=1e-4)


def test_sample_weights_scale_each_image() -> None:
    rng = np.random.default_rng(9)
    teacher, student = rng.normal(0, 2, (2, 4, 6)).astype(np.float32)
    weights = np.array([0.0, 1.0, 2.0, 0.5], np.float32)
    expected = (reference(teacher, student, 2.0) * weights).mean()
    assert float(SoftTargetsLoss(2.0)(teacher, student, sample_weight=weights)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_refuses_a_temperature_that_is_not_positive(temperature: float) -> None:
    with pytest.raises(RequestError, match="temperature"):
        SoftTargetsLoss(temperature)


def test_config_makes_the_same_loss() -> None:
    assert SoftTargetsLoss.from_config(SoftTargetsLoss(2.5).get_config()).temperature == 2.5
