"""The label loss against Keras's own cross-entropies."""

import keras
import numpy as np
import pytest

from tfkd.distill.losses.label import LabelLoss


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_equals_smoothed_categorical_cross_entropy(smoothing: float) -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 4, (32, 7)).astype(np.float32)
    labels = rng.integers(0, 7, 32)
    peer = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    expected = float(peer(np.eye(7, dtype=np.float32)[labels], logits))
    assert float(LabelLoss(smoothing)(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_takes_a_column_of_labels() -> None:
    logits = np.random.default_rng(3).normal(0, 1, (5, 3)).astype(np.float32)
    labels = np.array([0, 1, 2, 1, 0])
    assert float(LabelLoss()(labels[:, None], logits)) == float(LabelLoss()(labels, logits))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_mixed_label_is_the_mixture_of_its_parts(smoothing: float) -> None:
    logits = np.random.default_rng(4).normal(0, 2, (6, 5)).astype(np.float32)
    first, second = np.array([0, 1, 2, 3, 4, 0]), np.array([1, 1, 3, 0, 2, 4])
    loss = LabelLoss(smoothing, reduction=None)
    one_hot = np.eye(5, dtype=np.float32)
    mixed = 0.3 * one_hot[first] + 0.7 * one_hot[second]
    expected = 0.3 * loss(first, logits) + 0.7 * loss(second, logits)
    np.testing.assert_allclose(loss(mixed, logits), expected, rtol=1e-5)


def test_an_unknown_label_has_no_loss() -> None:
    logits = np.random.default_rng(5).normal(0, 2, (2, 5)).astype(np.float32)
    assert LabelLoss(0.1, reduction=None)(np.zeros((2, 5), np.float32), logits).numpy().tolist() == [0.0, 0.0]
