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
