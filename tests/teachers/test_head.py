"""A head on features of any scale."""

import numpy as np

from tfkd.recipe import FineTune
from tfkd.teachers.head import fitted


def test_features_far_from_zero_are_learnt_in_a_few_steps() -> None:
    labels = np.arange(40) % 2
    features = np.stack([1000.0 + labels, np.full(40, 7.0)], axis=1).astype(np.float32)
    kernel, bias = fitted(features, labels, ("a", "b"), FineTune(epochs=0, head_epochs=3), seed=1)
    assert ((features @ kernel + bias).argmax(axis=1) == labels).all()
