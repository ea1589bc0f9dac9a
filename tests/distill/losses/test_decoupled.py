"""Decoupled distillation against a float64 NumPy reference and against the theorem of its paper."""

import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses.decoupled import DecoupledLoss
from tfkd.distill.losses.soft_targets import SoftTargetsLoss


def reference(
    teacher: np.ndarray, student: np.ndarray, labels: np.ndarray, temperature: float, target: float, others: float
) -> np.ndarray:
    """The paper's two divergences image by image, in float64, with the right class removed from the row."""

    def parts(logits: np.ndarray, right: int) -> tuple[np.ndarray, np.ndarray]:
        logits = logits.astype(np.float64) / temperature
        rest = np.delete(logits, right)
        whole, beside = np.logaddexp.reduce(logits), np.logaddexp.reduce(rest)
        return np.array([logits[right] - whole, beside - whole]), rest - beside

    losses = []
    for teacher_row, student_row, label in zip(teacher, student, labels, strict=True):
        right = int(teacher_row.argmax()) if label == -1 else label
        pairs = zip(parts(teacher_row, right), parts(student_row, right), strict=True)
        binary, rest = [(np.exp(log_p) * (log_p - log_q)).sum() for log_p, log_q in pairs]
        losses.append(temperature**2 * (target * binary + others * rest))
    return np.array(losses)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("spread", [0.1, 5.0, 80.0])
def test_equals_the_reference(temperature: float, spread: float) -> None:
    rng = np.random.default_rng(7)
    teacher, student = rng.normal(0, spread, (2, 64, 11)).astype(np.float32)
    labels = rng.integers(-1, 11, 64)
    got = DecoupledLoss(temperature, 1.5, 8.0, reduction=None)({"answer": teacher, "labels": labels}, student).numpy()
    expected = reference(teacher, student, labels, temperature, 1.5, 8.0)
    rounding = 1e-5 * max(1.0, temperature**2)  # of float32 log-probabilities near -2, times 8 T²
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=rounding)


def test_two_classes_have_no_others_to_compare() -> None:
    rng = np.random.default_rng(1)
    teacher, student = rng.normal(0, 3, (2, 8, 2)).astype(np.float32)
    y_true = {"answer": teacher, "labels": rng.integers(0, 2, 8)}
    assert float(DecoupledLoss(target=0.0)(y_true, student)) == 0.0
    assert float(DecoupledLoss(1.0)(y_true, student)) == pytest.approx(
        float(SoftTargetsLoss(1.0)(teacher, student)), rel=1e-5
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_parts_add_up_to_hintons_loss(temperature: float) -> None:
    """Hinton's divergence is the part of the right class plus 1 − p_t times the part among the others."""
    rng = np.random.default_rng(3)
    teacher, student = rng.normal(0, 3, (2, 32, 6)).astype(np.float32)
    labels = rng.integers(0, 6, 32)
    y_true = {"answer": teacher, "labels": labels}
    target = DecoupledLoss(temperature, 1.0, 0.0, reduction=None)(y_true, student)
    others = DecoupledLoss(temperature, 0.0, 1.0, reduction=None)(y_true, student)
    p_right = tf.gather(tf.nn.softmax(teacher / temperature), labels, batch_dims=1)
    expected = SoftTargetsLoss(temperature, reduction=None)(teacher, student)
    np.testing.assert_allclose(target + (1 - p_right) * others, expected, rtol=1e-4, atol=1e-5)


def test_a_confident_teacher_still_has_gradients_for_the_other_classes() -> None:
    """Where 1 − p_t is below float32's resolution of 1, Hinton's gradient vanishes among the others."""
    teacher = np.array([[60.0, 2.0, 1.0, 0.0]], np.float32)
    variable = tf.Variable([[60.0, 0.0, 1.0, 2.0]])
    with tf.GradientTape() as tape:
        loss = DecoupledLoss(1.0, target=1.0, others=1.0)({"answer": teacher, "labels": np.array([0])}, variable)
    rest = tf.nn.softmax(variable[:, 1:]) - tf.nn.softmax(teacher[:, 1:])
    np.testing.assert_allclose(tape.gradient(loss, variable), tf.pad(rest, [[0, 0], [1, 0]]), atol=1e-5)


def test_sample_weights_scale_each_image() -> None:
    rng = np.random.default_rng(9)
    teacher, student = rng.normal(0, 2, (2, 4, 6)).astype(np.float32)
    labels, weights = rng.integers(0, 6, 4), np.array([0.0, 1.0, 2.0, 0.5], np.float32)
    expected = (reference(teacher, student, labels, 4.0, 1.0, 8.0) * weights).mean()
    got = DecoupledLoss()({"answer": teacher, "labels": labels}, student, sample_weight=weights)
    assert float(got) == pytest.approx(expected, rel=1e-4)
