"""Rounding against its formulas in NumPy."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfkd.compress.rounding import RANGE_MOMENTUM, ChannelRounding, FrozenStatistics, RangeRounding


@pytest.mark.parametrize("depthwise", [False, True])
def test_each_output_channel_has_127_levels_to_each_side(depthwise: bool) -> None:
    kernel = np.random.default_rng(0).normal(0, 1, (3, 3, 5, 4)).astype(np.float32)
    kernel[:, :, 2, 1] = 0.0
    axes = (0, 1) if depthwise else (0, 1, 2)
    scale = np.maximum(np.abs(kernel).max(axis=axes, keepdims=True), 1e-6) / 127
    rounded = ChannelRounding(depthwise)(tf.constant(kernel), True, {})
    np.testing.assert_allclose(rounded, np.rint(kernel / scale) * scale, atol=1e-6)


def test_gradients_pass_the_rounding_of_a_kernel() -> None:
    kernel = tf.Variable(np.random.default_rng(0).normal(0, 1, (1, 1, 6, 4)), dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(ChannelRounding(False)(kernel, True, {}) * 3.0)
    np.testing.assert_allclose(tape.gradient(loss, kernel), np.full(kernel.shape, 3.0))


def test_a_range_starts_with_the_first_batch_and_follows_the_others() -> None:
    owner = tf_keras.layers.Layer()
    rounding = RangeRounding(1e-6)
    limits = rounding.build((None, 2), "output", owner)

    def rounded_range(low: float, high: float, training: bool) -> Any:
        return rounding(tf.constant([[low, high]]), training, limits)

    rounded_range(-1.0, 3.0, True)
    assert [float(limits[end]) for end in ("low", "high")] == [-1.0, 3.0]
    rounded_range(0.5, 5.0, True)
    assert float(limits["high"]) == pytest.approx(3 + (1 - RANGE_MOMENTUM) * 2)
    assert float(limits["low"]) == pytest.approx(-RANGE_MOMENTUM)
    clipped = rounded_range(-9.0, 9.0, False)
    assert np.ptp(clipped) == pytest.approx(float(limits["high"] - limits["low"]), rel=1e-5)


def test_statistics_stay_while_scale_and_shift_learn() -> None:
    images = tf.constant(np.random.default_rng(0).normal(3, 2, (8, 4, 4, 2)), tf.float32)
    norm = FrozenStatistics()
    norm.build(images.shape)
    with tf.GradientTape() as tape:
        trained = norm(images, training=True)
        gradients = tape.gradient(tf.reduce_sum(trained**2), norm.trainable_variables)
    np.testing.assert_array_equal(trained, norm(images, training=False))
    assert all(float(tf.reduce_max(tf.abs(gradient))) > 0 for gradient in gradients)
    assert float(tf.reduce_max(tf.abs(norm.moving_mean))) == 0.0
