"""Normalised distillation against a float64 NumPy reference."""

import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses.normalized import NormalizedLoss


def reference(
    teacher: np.ndarray, student: np.ndarray, labels: np.ndarray, temperature: float, others: float
) -> np.ndarray:
    """The paper's two cross-entropies image by image, in float64, with the right class removed from the row."""

    def log_softmax(logits: np.ndarray) -> np.ndarray:
        return logits - np.logaddexp.reduce(logits)

    losses = []
    for row, student_row, label in zip(teacher.astype(np.float64), student.astype(np.float64), labels, strict=True):
        right = int(row.argmax()) if label == -1 else label
        target = -np.exp(log_softmax(row)[right]) * log_softmax(student_row)[right]
        p_rest = np.exp(log_softmax(np.delete(row, right) / temperature))
        rest = -(p_rest * log_softmax(np.delete(student_row, right) / temperature)).sum()
        losses.append(target + others * temperature**2 * rest)
    return np.array(losses)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("spread", [0.1, 5.0, 80.0])
def test_equals_the_reference(temperature: float, spread: float) -> None:
    rng = np.random.default_rng(7)
    teacher, student = rng.normal(0, spread, (2, 64, 11)).astype(np.float32)
    labels = rng.integers(-1, 11, 64)
    got = NormalizedLoss(temperature, 1.5, reduction=None)({"answer": teacher, "labels": labels}, student).numpy()
    np.testing.assert_allclose(got, reference(teacher, student, labels, temperature, 1.5), rtol=2e-5, atol=1e-5)


def test_gradient_is_that_of_the_two_parts() -> None:
    rng = np.random.default_rng(3)
    teacher, student = rng.normal(0, 2, (2, 4, 6)).astype(np.float32)
    labels, temperature, others = np.array([0, 3, 5, 2]), 2.0, 1.5
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        loss = NormalizedLoss(temperature, others, reduction="sum")({"answer": teacher, "labels": labels}, variable)
    right = np.eye(6, dtype=np.float32)[labels]
    p_right = tf.reduce_sum(right * tf.nn.softmax(teacher), axis=1, keepdims=True)
    beside = [tf.nn.softmax(np.where(right == 1, -np.inf, logits) / temperature) for logits in (teacher, student)]
    expected = p_right * (tf.nn.softmax(student) - right) + others * temperature * (beside[1] - beside[0])
    np.testing.assert_allclose(tape.gradient(loss, variable), expected, atol=1e-5)


def test_without_the_others_a_confident_teacher_gives_the_loss_with_the_label() -> None:
    student = np.random.default_rng(5).normal(0, 2, (8, 6)).astype(np.float32)
    labels = np.arange(8) % 6
    sure = 80 * np.eye(6, dtype=np.float32)[labels]
    expected = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, student)
    got = NormalizedLoss(others=0.0, reduction=None)({"answer": sure, "labels": labels}, student)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
