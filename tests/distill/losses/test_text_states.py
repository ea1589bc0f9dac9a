"""Losses on hidden states and attention logits of texts, against float64 NumPy references without padding."""

import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses import AttentionMapsLoss, HiddenStatesLoss
from tfkd.errors import RequestError

RNG = np.random.default_rng(6)
USED = (5, 2, 7, 0)  # pieces of each text of a length of 7


def states(channels: int) -> np.ndarray:
    values = RNG.normal(size=(len(USED), 7, channels))
    for row, used in zip(values, USED, strict=True):
        row[used:] = 0
    return values


def attention(heads: int = 3) -> np.ndarray:
    values = RNG.normal(size=(len(USED), heads, 7, 7))
    for row, used in zip(values, USED, strict=True):
        row[:, used:], row[:, :, used:] = 0, 0
    return values


def test_attention_equals_the_reference_without_padding() -> None:
    teacher, student = attention(), attention()
    expected = [((teacher - student)[n, :, :used, :used] ** 2).mean() for n, used in enumerate(USED) if used]
    found = AttentionMapsLoss(dtype="float64", reduction=None)(teacher, student)
    np.testing.assert_allclose(found, [*expected, 0.0], rtol=1e-12)


def test_hidden_states_equal_the_reference_without_padding() -> None:
    loss = HiddenStatesLoss(dtype="float64", reduction=None)
    loss.build((7, 5), (7, 3))
    teacher, student = states(5), states(3)
    error = (teacher - student @ loss.layers[0].kernel.numpy()) ** 2
    expected = [error[n, :used].mean() for n, used in enumerate(USED) if used]
    np.testing.assert_allclose(loss(teacher, student), [*expected, 0.0], rtol=1e-9)


def test_gradients_reach_student_and_projection_in_half_precision() -> None:
    loss = HiddenStatesLoss()
    loss.build((7, 5), (7, 3))
    student = tf.Variable(tf.cast(states(3), tf.float16))
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(loss.call(tf.constant(states(5), tf.float16), student))
    gradients = tape.gradient(value, [student, loss.layers[0].kernel.value])
    assert value.dtype == tf.float32 and all(np.isfinite(each).all() and np.abs(each).max() > 0 for each in gradients)


def test_the_seed_decides_the_projection_and_stays_with_the_loss() -> None:
    first, again = HiddenStatesLoss(seed=2), HiddenStatesLoss.from_config(HiddenStatesLoss(seed=2).get_config())
    for loss in (first, again):
        loss.build((7, 5), (7, 3))
    np.testing.assert_array_equal(first.layers[0].kernel, again.layers[0].kernel)


def test_shapes_that_do_not_fit_get_one_line() -> None:
    with pytest.raises(RequestError, match=r"must both be \[batch, heads, length, length\]; set student\.heads"):
        AttentionMapsLoss()(attention(3), attention(2))
    for shapes in (((7, 5), (8, 3)), ((5,), (7, 3))):
        with pytest.raises(RequestError, match=r"must both be \(length, channels\) of one length"):
            HiddenStatesLoss().build(*shapes)
