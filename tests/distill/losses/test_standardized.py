"""Distillation from standardised logits against a float64 NumPy reference."""

import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses.standardized import StandardizedLoss


def reference(teacher: np.ndarray, student: np.ndarray, temperature: float) -> np.ndarray:
    """T² KL of the softened z-scores of each row, in float64, without an epsilon."""

    def log_probabilities(row: np.ndarray) -> np.ndarray:
        scores = (row - np.mean(row)) / np.std(row) / temperature
        return scores - np.logaddexp.reduce(scores)

    rows = zip(teacher.astype(np.float64), student.astype(np.float64), strict=True)
    pairs = [(log_probabilities(teacher_row), log_probabilities(student_row)) for teacher_row, student_row in rows]
    return temperature**2 * np.array([(np.exp(log_p) * (log_p - log_q)).sum() for log_p, log_q in pairs])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 10.0])
@pytest.mark.parametrize("spread", [1.0, 5.0, 80.0])
def test_equals_the_reference(temperature: float, spread: float) -> None:
    rng = np.random.default_rng(7)
    teacher, student = rng.normal(0, spread, (2, 64, 11)).astype(np.float32)
    got = StandardizedLoss(temperature, reduction=None)(teacher, student).numpy()
    rounding = 1e-6 * max(1.0, temperature**2)  # of float32 log-probabilities near -2, times T²
    np.testing.assert_allclose(got, reference(teacher, student, temperature), rtol=2e-5, atol=rounding)


def test_shift_and_scale_of_an_image_do_not_change_the_loss() -> None:
    rng = np.random.default_rng(1)
    teacher, student = rng.normal(0, 3, (2, 8, 5)).astype(np.float32)
    scale, shift = rng.uniform(0.5, 20, (8, 1)), rng.normal(0, 20, (8, 1))
    loss = StandardizedLoss(2.0, reduction=None)
    np.testing.assert_allclose(loss(teacher, scale * student + shift), loss(teacher, student), rtol=1e-4)
    np.testing.assert_allclose(loss(teacher, scale * teacher + shift), np.zeros(8), atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 0.1, 80.0, -33.3])
def test_constant_rows_give_uniform_probabilities(level: float) -> None:
    teacher = np.random.default_rng(2).normal(0, 3, (4, 7)).astype(np.float32)
    constant = np.full((4, 7), level, np.float32)
    uniform = tf.fill((4, 7), -np.log(np.float32(7)))
    scores = (teacher - teacher.mean(axis=1, keepdims=True)) / teacher.std(axis=1, keepdims=True)
    log_p = tf.nn.log_softmax(scores)
    expected = tf.reduce_sum(tf.exp(log_p) * (log_p - uniform), axis=1)
    loss = StandardizedLoss(1.0, reduction=None)
    np.testing.assert_allclose(loss(teacher, constant), expected, rtol=0.02)
    np.testing.assert_allclose(loss(constant, constant), np.zeros(4), atol=1e-6)
