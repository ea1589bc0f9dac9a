"""Attention transfer against a float64 NumPy reference."""

import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses import AttentionLoss
from tfkd.errors import RequestError


def reference(teacher: np.ndarray, student: np.ndarray, power: float) -> np.ndarray:
    """Squared distance of the attention maps, in float64; the larger side must be twice the smaller at most."""

    def attention(maps: np.ndarray) -> np.ndarray:
        return (np.abs(maps.astype(np.float64)) ** power).sum(axis=-1)

    def halved(maps: np.ndarray) -> np.ndarray:
        padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
        weights = np.pad(np.ones(maps.shape[1:]), 1)
        kernel = np.outer([1, 3, 3, 1], [1, 3, 3, 1])
        result = np.zeros((len(maps), maps.shape[1] // 2, maps.shape[2] // 2))
        for y, x in np.ndindex(result.shape[1:]):
            window = np.s_[2 * y : 2 * y + 4, 2 * x : 2 * x + 4]
            share = kernel * weights[window]
            result[:, y, x] = (padded[:, *window] * share).sum(axis=(1, 2)) / share.sum()
        return result

    def unit(maps: np.ndarray) -> np.ndarray:
        flat = maps.reshape(len(maps), -1)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    a, b = attention(teacher), attention(student)
    if a.shape[1] > b.shape[1]:
        a = halved(a)
    elif b.shape[1] > a.shape[1]:
        b = halved(b)
    return ((unit(a) - unit(b)) ** 2).sum(axis=1)


def maps(size: int, channels: int, seed: int, spread: float = 1.0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(0, spread, (6, size, size, channels))
    return np.maximum(drawn, 0).astype(np.float32)


@pytest.mark.parametrize("power", [0.5, 1, 2, 4])
@pytest.mark.parametrize(("teacher", "student"), [(4, 4), (8, 4), (4, 8)])
def test_equals_the_reference(power: float, teacher: int, student: int) -> None:
    theirs, own = maps(teacher, 5, seed=1), maps(student, 3, seed=2)
    got = AttentionLoss(power=power, reduction=None)(theirs, own)
    np.testing.assert_allclose(got, reference(theirs, own, power), rtol=1e-4, atol=1e-6)


def test_does_not_depend_on_the_size_of_the_activations() -> None:
    theirs, own = maps(4, 5, seed=1), maps(4, 3, seed=2)
    np.testing.assert_allclose(
        AttentionLoss(reduction=None)(theirs * 1e4, own * 1e-4), AttentionLoss(reduction=None)(theirs, own), rtol=1e-4
    )


@pytest.mark.parametrize("power", [0.5, 1, 2, 10])
@pytest.mark.parametrize("spread", [0.0, 80.0, 60_000.0])
def test_gradient_is_finite_for_dead_and_for_extreme_float16_maps(power: float, spread: float) -> None:
    theirs = tf.constant(np.full((2, 4, 4, 3), spread), tf.float16)
    own = tf.Variable(tf.constant(maps(4, 3, seed=5)[:2] > 0.5, tf.float16) * spread)
    with tf.GradientTape() as tape:
        loss = AttentionLoss(power=power).call(theirs, own)
    assert loss.dtype == tf.float32
    assert np.isfinite(loss).all() and np.isfinite(tape.gradient(loss, own)).all()


def test_gradient_is_that_of_the_reference() -> None:
    theirs, own = maps(4, 5, seed=1).astype(np.float64), maps(4, 3, seed=2).astype(np.float64) + 0.1
    variable = tf.Variable(own)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(AttentionLoss(power=3).call(tf.constant(theirs), variable))
    gradient, step = tape.gradient(loss, variable).numpy(), 1e-6
    for place in [(0, 0, 0, 0), (1, 2, 3, 1), (5, 3, 0, 2)]:
        moved = np.zeros_like(own)
        moved[place] = step
        slope = (reference(theirs, own + moved, 3) - reference(theirs, own - moved, 3)).sum() / (2 * step)
        assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_refuses_features_that_are_no_maps() -> None:
    with pytest.raises(RequestError, match=r"stage:16.*not maps"):
        AttentionLoss()(np.zeros((2, 8), np.float32), np.zeros((2, 8), np.float32))


def test_refuses_maps_of_other_images() -> None:
    with pytest.raises(RequestError, match="same examples"):
        AttentionLoss()(maps(4, 2, seed=1)[:1], maps(4, 2, seed=1))


@pytest.mark.parametrize("power", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_a_power_that_is_not_positive(power: float) -> None:
    with pytest.raises(RequestError, match="power"):
        AttentionLoss(power=power)


def test_config_makes_the_same_loss() -> None:
    config = AttentionLoss("stage:8", "logits", power=3).get_config()
    assert AttentionLoss.from_config(config).get_config() == config
    assert (config["teacher_tap"], config["student_tap"], config["power"]) == ("stage:8", "logits", 3)
