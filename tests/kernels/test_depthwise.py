from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.kernels.depthwise import quicken

OPERATION = "DepthwiseConv2dNativeBackpropFilter"


def network(size: tuple[int, int] = (6, 7), **settings: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    layers = keras.layers
    image = keras.Input((*size, 3))
    depthwise = layers.DepthwiseConv2D(**{"kernel_size": 5, "padding": "same", "name": "depthwise", **settings})
    x = depthwise(layers.Conv2D(4, 1)(image))
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))


def images(model: keras.Model, batch: int = 7) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (batch, *model.input_shape[1:])).astype(np.float32)


def step(model: keras.Model, batch: np.ndarray) -> list[np.ndarray]:
    """Outputs and gradients of one training step's forward and backward pass."""
    with tf.GradientTape() as tape:
        answers = model(batch, training=True)
        loss = tf.reduce_sum(tf.cast(answers, tf.float32) ** 2)
    return [value.numpy() for value in (answers, *tape.gradient(loss, model.trainable_variables))]


def operations(model: keras.Model, training: bool) -> set[str]:
    @tf.function
    def traced(batch: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(batch, training=training))
        return tape.gradient(loss, model.trainable_variables)

    shape = tf.TensorSpec((None, *model.input_shape[1:]))
    return {operation.type for operation in traced.get_concrete_function(shape).graph.get_operations()}


@pytest.mark.parametrize("size", [(6, 7), (2, 2), (8, 8), (3, 5)])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"strides": 2},
        {"use_bias": False, "activation": "relu"},
        {"kernel_size": (5, 7)},
        {"bias_initializer": "normal"},
    ],
)
def test_the_same_outputs_and_gradients(size: tuple[int, int], settings: dict[str, Any]) -> None:
    plain, quick = network(size, **settings), network(size, **settings)
    quicken(quick)
    assert OPERATION in operations(plain, training=True)
    assert OPERATION not in operations(quick, training=True)
    for batch in (images(plain), images(plain, 1)):
        for expected, got in zip(step(plain, batch), step(quick, batch), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strides", [1, 2, 3])
def test_maps_without_borders(strides: int) -> None:
    settings = {"padding": "valid", "strides": strides}
    plain, quick = network((7, 8), **settings), network((7, 8), **settings)
    quicken(quick)
    assert OPERATION not in operations(quick, training=True)
    for expected, got in zip(step(plain, images(plain)), step(quick, images(plain)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "settings"),
    [
        ((6, 7), {"kernel_size": 3}),
        ((6, 7), {"dilation_rate": 2}),
        ((6, 7), {"depth_multiplier": 2}),
        ((6, 7), {"dtype": "mixed_bfloat16"}),
        ((9, 9), {}),
    ],
)
def test_layers_that_would_not_be_faster_do_not_change(size: tuple[int, int], settings: dict[str, Any]) -> None:
    model = network(size, **settings)
    quicken(model)
    assert OPERATION in operations(model, training=True)


def test_layers_for_images_of_any_size_do_not_change() -> None:
    image = keras.Input((None, None, 4))
    model = keras.Model(image, keras.layers.DepthwiseConv2D(5, padding="same")(image))
    quicken(model)
    assert np.isfinite(step(model, np.ones((2, 6, 6, 4), np.float32))[0]).all()


def test_inference_is_keras_own() -> None:
    plain, quick = network(), network()
    quicken(quick)
    np.testing.assert_array_equal(quick(images(quick)), plain(images(plain)))
    assert OPERATION in operations(quick, training=False)
