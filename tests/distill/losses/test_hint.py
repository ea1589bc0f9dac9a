"""FitNets' hints against a float64 NumPy reference."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfkd.distill.losses import HintLoss
from tfkd.errors import RequestError

RNG = np.random.default_rng(4)
SCALE = np.array([0.01, 1.0, 50.0, 0.3, 2.0])


def built(teacher: tuple[int, ...], student: tuple[int, ...], **config: Any) -> HintLoss:
    loss = HintLoss(**config)
    loss.build(teacher, student)
    return loss


def feature(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape) * SCALE + 3 * SCALE


def standardized(values: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """Returns values standardised by all rows so far, with a floor of a hundred-thousandth of the mean variance."""
    rows = earlier.reshape(-1, earlier.shape[-1])
    variance = rows.var(axis=0)
    return (values - rows.mean(axis=0)) / np.sqrt(variance + 1e-5 * variance.mean())


@pytest.mark.parametrize("standardize", [False, True])
def test_equals_the_reference_over_batches_of_any_size(standardize: bool) -> None:
    loss = built((5,), (3,), standardize=standardize, dtype="float64", reduction=None)
    projector = loss.layers[0]
    projector.bias.assign(RNG.normal(size=5))
    earlier = feature(0, 5)
    for rows in (1, 8, 3, 20):
        teacher, student = feature(rows, 5), RNG.normal(size=(rows, 3))
        earlier = np.concatenate([earlier, teacher])
        target = standardized(teacher, earlier) if standardize and len(earlier) > 1 else teacher - standardize * teacher
        projected = student @ projector.kernel.numpy() + projector.bias.numpy()
        np.testing.assert_allclose(loss(teacher, student), ((target - projected) ** 2).mean(axis=1), rtol=1e-9)


def test_maps_are_resized_to_the_teacher_s_and_projected() -> None:
    loss = built((2, 3, 5), (4, 6, 3), dtype="float64", reduction=None)
    teacher, student = feature(7, 2, 3, 5), RNG.normal(size=(7, 4, 6, 3))
    resized = tf.image.resize(student.astype(np.float32), (2, 3), antialias=True).numpy().astype(np.float64)
    error = standardized(teacher, teacher) - resized @ loss.layers[0].kernel.numpy()[0, 0]
    np.testing.assert_allclose(loss(teacher, student), (error**2).mean(axis=(1, 2, 3)), rtol=1e-5)


def test_float32_moments_stay_exact_far_from_zero() -> None:
    loss = built((5,), (3,))
    earlier = [feature(16, 5) + 1000 * SCALE for _ in range(20)]
    for teacher in earlier:
        loss(teacher, RNG.normal(size=(16, 3)))
    count, mean, variance = loss.layers[1].weights
    rows = np.concatenate(earlier)
    assert int(count.numpy()) == 320
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(variance, rows.var(axis=0), rtol=1e-3)


def test_a_constant_channel_adds_nothing_to_the_loss() -> None:
    loss = built((5,), (3,), reduction=None)
    teacher = np.ones((4, 5), np.float32)
    np.testing.assert_array_equal(loss(teacher, np.zeros((4, 3), np.float32)), np.zeros(4))


def test_float16_features_are_computed_in_float32() -> None:
    loss = built((5,), (3,))
    teacher, student = tf.constant(feature(8, 5) * 80, tf.float16), tf.Variable(tf.ones([8, 3], tf.float16) * 80)
    with tf.GradientTape() as tape:
        value = loss.call(teacher, student)
    assert value.dtype == tf.float32
    assert {weight.dtype for layer in loss.layers for weight in layer.weights} == {"float32", "int64"}
    gradients = tape.gradient(value, [student, *(w.value for w in loss.layers[0].trainable_weights)])
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_the_seed_decides_the_projection() -> None:
    first, again, other = (built((5,), (3,), seed=seed).layers[0].kernel.numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_moments_continue_from_restored_weights() -> None:
    batches = [(feature(6, 5), RNG.normal(size=(6, 3))) for _ in range(3)]
    whole, first, second = (built((5,), (3,)) for _ in range(3))
    expected = [float(whole(*batch)) for batch in batches]
    first(*batches[0])
    for source, target in zip(first.layers, second.layers, strict=True):
        target.set_weights(source.get_weights())
    assert [float(second(*batch)) for batch in batches[1:]] == expected[1:]


@pytest.mark.parametrize(
    ("teacher", "student"), [((5,), (4, 4, 3)), ((2, 2, 5), (3,)), ((5,), (None,)), ((2, 5), (3,))]
)
def test_refuses_features_of_different_kinds(teacher: Any, student: Any) -> None:
    with pytest.raises(RequestError, match="two taps of one kind"):
        built(teacher, student)


def test_refuses_features_it_was_not_built_for() -> None:
    loss = built((5,), (3,))
    with pytest.raises(RequestError, match="built for"):
        loss(np.zeros((4, 1)), np.zeros((4, 3)))
    with pytest.raises(RequestError, match="same examples"):
        loss(np.zeros((1, 5)), np.zeros((4, 3)))
    with pytest.raises(RequestError, match="build"):
        HintLoss()(np.zeros((4, 5)), np.zeros((4, 3)))


def test_config_makes_the_same_loss() -> None:
    config = HintLoss("logits", "penultimate", standardize=False, seed=7).get_config()
    assert HintLoss.from_config(config).get_config() == config
    assert (config["teacher_tap"], config["standardize"], config["seed"]) == ("logits", False, 7)
