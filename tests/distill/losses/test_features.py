"""The common parts of the losses on features."""

import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses import HintLoss
from tfkd.distill.losses.features import resized
from tfkd.errors import RequestError


@pytest.mark.parametrize("size", [(3, 4), (14, 10), (5, 12), (1, 1)])
def test_resizes_as_tensorflow_does(size: tuple[int, int]) -> None:
    maps = np.random.default_rng(0).normal(size=(2, 7, 5, 3)).astype(np.float32)
    expected = tf.image.resize(maps, size, antialias=True)
    np.testing.assert_allclose(resized(tf.constant(maps), *size), expected, rtol=1e-5, atol=1e-6)


def test_leaves_maps_of_the_right_size_alone() -> None:
    maps = tf.zeros([1, 2, 3, 1])
    assert resized(maps, 2, 3) is maps


def test_layers_are_there_once_they_are_built() -> None:
    loss = HintLoss()
    with pytest.raises(RequestError, match="hint has no layers yet"):
        loss.built()
    loss.build((5,), (7,))
    assert loss.built() == loss.layers != []
