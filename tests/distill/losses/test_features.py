"""The common parts of the losses on features."""

import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses import AttentionLoss, HintLoss, RelationalLoss
from tfkd.distill.losses.features import as_grid, resized
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


@pytest.mark.parametrize("before", [0, 1, 5])
def test_tokens_of_a_transformer_are_the_map_of_their_patches(before: int) -> None:
    rng = np.random.default_rng(0)
    maps, student = rng.normal(size=(4, 6, 6, 5)), tf.constant(rng.normal(size=(4, 3, 3, 2)))
    tokens = np.concatenate([rng.normal(size=(4, before, 5)), maps.reshape(4, 36, 5)], axis=1)
    np.testing.assert_array_equal(as_grid(tf.constant(tokens), "loss", "tap"), maps)
    losses = (AttentionLoss(), HintLoss(dtype="float64"))
    losses[1].build(tokens.shape[1:], student.shape[1:])
    for loss in losses:
        np.testing.assert_allclose(loss(tf.constant(tokens), student), loss(tf.constant(maps), student), rtol=1e-6)
    assert np.isfinite(RelationalLoss()(tf.constant(tokens), student))


def test_tokens_that_are_no_square_are_refused() -> None:
    with pytest.raises(RequestError, match=r"'blocks.3' has 47 tokens, which are no square of patches"):
        HintLoss(teacher_tap="blocks.3").build((47, 5), (3, 3, 2))
