"""DIST against NumPy's correlation coefficient."""

import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses.dist import DistLoss


def reference(teacher: np.ndarray, student: np.ndarray, temperature: float, inter: float, intra: float) -> np.ndarray:
    """The paper's two parts by `np.corrcoef`, in float64, without an epsilon."""

    def probabilities(logits: np.ndarray) -> np.ndarray:
        scaled = logits.astype(np.float64) / temperature
        return np.exp(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True))

    p, q = probabilities(teacher), probabilities(student)
    rows = np.array([1 - np.corrcoef(*pair)[0, 1] for pair in zip(p, q, strict=True)])
    columns = np.array([1 - np.corrcoef(*pair)[0, 1] for pair in zip(p.T, q.T, strict=True)])
    return temperature**2 * (inter * rows + intra * columns.mean())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0])
def test_equals_the_reference(temperature: float, spread: float) -> None:
    rng = np.random.default_rng(7)
    teacher, student = rng.normal(0, spread, (2, 64, 11)).astype(np.float32)
    got = DistLoss(temperature, 0.5, 2.0, reduction=None)(teacher, student).numpy()
    rounding = 2e-6 * max(1.0, temperature**2)
    np.testing.assert_allclose(got, reference(teacher, student, temperature, 0.5, 2.0), rtol=2e-5, atol=rounding)


def test_is_zero_for_equal_logits_up_to_a_shift() -> None:
    logits = np.random.default_rng(1).normal(0, 3, (8, 5)).astype(np.float32)
    assert float(DistLoss(2.0)(logits, logits + 7.0)) == pytest.approx(0.0, abs=1e-4)


def test_constant_classes_have_a_correlation_of_zero() -> None:
    teacher = np.random.default_rng(2).normal(0, 3, (8, 5)).astype(np.float32)
    same = np.tile(teacher[:1], (8, 1))
    assert float(DistLoss(inter=0.0)(teacher, same)) == pytest.approx(1.0, abs=1e-3)
    assert float(DistLoss(intra=0.0)(teacher, np.zeros_like(teacher))) == pytest.approx(1.0, abs=1e-3)


def test_one_image_gives_no_gradient_of_the_part_between_images() -> None:
    teacher, student = np.random.default_rng(3).normal(0, 3, (2, 1, 5)).astype(np.float32)
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        loss = DistLoss(inter=0.0)(teacher, variable)
    assert float(loss) == 1.0
    np.testing.assert_array_equal(tape.gradient(loss, variable), np.zeros((1, 5)))
