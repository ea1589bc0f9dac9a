"""Layers that coremltools does not convert by itself, or wrongly, and the operators that Core ML has for others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.verification.coreml.test_evaluator import KINDS, TOLERANCE, answers
from tfkd.verification import coreml
from tfkd.writers import Card, ConversionError, exported_file
from tfkd.writers.coreml import write
from tfkd.writers.graph import frozen

pytestmark = pytest.mark.slow

SIZE = 24
CARD = Card("layers", ("a", "b", "c", "d"), "Ada", "MIT", "1", "Tells letters apart")
L, ops = keras.layers, keras.ops


@keras.saving.register_keras_serializable("tests")
class Applied(L.Layer):
    """Applies a function."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


def selected(x: Any) -> Any:
    """Compares, joins and selects in every way."""
    inside = ops.logical_and(x > -0.5, ops.logical_not(x >= 1.0))
    outside = ops.logical_or(x <= -1.5, ops.equal(x, 0.0))
    return ops.where(ops.logical_or(inside, outside), x, ops.where(x < 0.2, 0.3 * x, 0.1 * ops.sign(x)))


def moved(x: Any) -> Any:
    """Takes, repeats and turns channels, rows and columns."""
    x = ops.roll(ops.take(x, [3, 1, 0, 7, 7, 2, 5, 4], axis=-1), (1, -2), axis=(1, 2))
    x = ops.flip(ops.tile(x[:, :, :6], (1, 1, 2, 1)), 1)
    x = ops.reshape(ops.stack([x, 2 * x], axis=-2), (-1, *x.shape[1:3], 16))[..., 1:-1:2]
    return ops.reshape(ops.stack([x, 2 * x], axis=-1), (-1, *x.shape[1:3], 14))


def images_of(size: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, size, size, 3)).astype(np.uint8)


def trunk() -> keras.Model:
    """Images of other sizes, normalisation, activations, pooling."""
    keras.utils.set_random_seed(3)
    image = keras.Input((SIZE, SIZE, 3))
    x = L.Rescaling(1 / 127.5, -1)(image)
    x = Applied(lambda x: ops.pad(x, ((0, 0), (2, 1), (0, 0), (0, 0)), "symmetric"))(x)
    x = Applied(lambda x: ops.pad(x, ((0, 0), (0, 0), (1, 2), (0, 0)), "reflect"))(x)
    x = L.Concatenate()(
        [
            L.Resizing(17, 14)(x),
            L.Resizing(17, 14, interpolation="nearest")(x),
            L.Resizing(17, 14, interpolation="bicubic", antialias=True)(x),
            L.Resizing(17, 14, interpolation="bicubic")(x),
            L.Resizing(17, 14, interpolation="bilinear", antialias=True)(x),
            L.Resizing(17, 14, interpolation="lanczos5")(x),
        ]
    )
    x = L.Conv2D(8, 3, activation="gelu")(x)
    x = L.LayerNormalization(gamma_initializer="uniform", beta_initializer="uniform")(x)
    x = L.Conv2D(8, 3, groups=4, activation="celu")(x)
    x = L.GroupNormalization(4)(x)
    x = L.Conv2D(8, 3, activation=lambda x: keras.activations.gelu(x, approximate=True))(x)
    x = L.ReLU(threshold=0.05, negative_slope=0.2, max_value=3.0)(x)
    x = L.AveragePooling2D(3, 2, padding="same")(x)
    x = L.UpSampling2D(2, interpolation="bilinear")(L.UpSampling2D((2, 3))(x))
    x = L.Conv2DTranspose(8, 3, 2, padding="same", activation="leaky_relu")(x)
    x = Applied(moved)(Applied(selected)(x))
    x = L.Dense(8)(L.GlobalAveragePooling2D()(x))
    logits = L.Dense(4, kernel_initializer=keras.initializers.RandomNormal(stddev=3.0))(x)
    return keras.Model(image, L.Activation("log_softmax")(logits))


def last_map_of_one_pixel() -> keras.Model:
    """What MobileNetV3 and EfficientNet of small images end in, and attention between its channels."""
    keras.utils.set_random_seed(3)
    image = keras.Input((SIZE, SIZE, 3))
    x = L.Conv2D(8, 5, 5, activation="hard_swish")(L.Rescaling(1 / 127.5, -1)(image))
    x = L.Conv2D(8, 4, activation="relu")(x)
    x = L.Multiply()([x, L.Conv2D(8, 1, activation="hard_sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(x))])
    x = Applied(lambda x: ops.squeeze(x, (1, 2)) + ops.logsumexp(x, axis=(1, 2)) + ops.std(x, axis=(1, 2)))(x)
    tokens = L.Reshape((4, 2))(x)
    x = L.Flatten()(L.MultiHeadAttention(2, 4)(tokens, tokens) + tokens)
    return keras.Model(image, L.Flatten()(L.Conv2D(4, 1)(L.Reshape((1, 1, 8))(x))))


@pytest.mark.parametrize("make", [trunk, last_map_of_one_pixel])
def test_both_formats_predict_as_keras(make: Callable[[], keras.Model], tmp_path: Path) -> None:
    model, images = make(), images_of(SIZE)
    wanted = answers(model, images)
    assert wanted.std(0).min() > 1e-4, "the images are told apart"
    with frozen(model, CARD) as graph:
        for kind in KINDS:
            path = tmp_path / f"model{kind}"
            write(graph, exported_file(kind[1:], "model"), path, CARD, None)
            np.testing.assert_allclose(coreml.predict(path, [images]), wanted, atol=TOLERANCE[kind])
            one_by_one = np.concatenate([coreml.predict(path, [image[None]]) for image in images[:1]])
            np.testing.assert_allclose(one_by_one, wanted[:1], atol=TOLERANCE[kind])


@pytest.fixture(scope="module")
def running() -> Any:
    image = keras.Input((8, 8, 3))
    x = Applied(lambda x: ops.cumsum(x, axis=1))(L.Rescaling(1 / 127.5, -1)(image))
    with frozen(keras.Model(image, L.Dense(4)(L.GlobalAveragePooling2D()(x))), CARD) as graph:
        yield graph


def test_a_target_of_ios_14_lets_a_neural_network_hold_more(running: Any, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"cannot hold its Cumsum operation; set export\.ios_target=14"):
        write(running, exported_file("mlmodel", "m"), tmp_path / "m.mlmodel", CARD, None)
    assert not any(tmp_path.iterdir())
    write(running, exported_file("mlmodel", "m", 16), tmp_path / "m.mlmodel", CARD, None)
    assert coreml.labels(tmp_path / "m.mlmodel") == CARD.classes


def test_an_operator_that_coremltools_lacks_is_named(tmp_path: Path) -> None:
    image = keras.Input((8, 8, 3))
    x = Applied(lambda x: tf.math.lgamma(x + 2))(L.GlobalAveragePooling2D()(image))
    with (
        frozen(keras.Model(image, L.Dense(4)(x)), CARD) as graph,
        pytest.raises(ConversionError, match="no conversion of TensorFlow's operator Lgamma; use a layer without it"),
    ):
        write(graph, exported_file("mlpackage", "m"), tmp_path / "m.mlpackage", CARD, None)
