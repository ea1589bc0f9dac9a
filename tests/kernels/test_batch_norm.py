from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.kernels.batch_norm import fuse


def network(policy: str = "float32", **settings: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    layers = keras.layers
    image = keras.Input((6, 5, 3))
    norm = layers.BatchNormalization(name="norm", dtype=policy, **settings)
    x = norm(layers.Conv2D(4, 3, dtype=policy)(image))
    model = keras.Model(image, layers.Dense(2, dtype=policy)(layers.Flatten()(layers.ReLU()(x))))
    if norm.scale and norm.center:
        norm.gamma.assign(np.linspace(0.5, 2, 4))
        norm.beta.assign(np.linspace(-1, 1, 4))
    return model


def images(batch: int = 7) -> np.ndarray:
    return np.random.default_rng(1).normal(2, 5, (batch, 6, 5, 3)).astype(np.float32)


def step(model: keras.Model, batch: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs, gradients and variables after one training step's forward and backward pass."""
    with tf.GradientTape() as tape:
        answers = model(batch, training=True)
        loss = tf.reduce_sum(tf.cast(answers, tf.float32) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    values = {f"gradient {n}": gradient.numpy() for n, gradient in enumerate(gradients)}
    return values | {"answers": answers.numpy()} | {f"weight {n}": value for n, value in enumerate(model.get_weights())}


def kernels(model: keras.Model, batch: np.ndarray) -> set[str]:
    traced = tf.function(lambda x: model(x, training=True)).get_concrete_function(tf.TensorSpec(batch.shape))
    return {operation.type for operation in traced.graph.get_operations()}


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.7, "epsilon": 1e-6}, {"axis": 3}])
def test_the_same_outputs_gradients_and_moving_statistics(settings: dict[str, Any]) -> None:
    plain, fused = network(**settings), network(**settings)
    fuse(fused)
    assert "FusedBatchNormV3" in kernels(fused, images())
    for batch in (images(), images(1)):
        expected, got = step(plain, batch), step(fused, batch)
        for name in expected:
            np.testing.assert_allclose(got[name], expected[name], rtol=2e-4, atol=2e-4, err_msg=name)


def test_inference_and_frozen_layers_use_the_moving_statistics() -> None:
    plain, fused = network(), network()
    fuse(fused)
    np.testing.assert_array_equal(fused(images(), training=False), plain(images(), training=False))
    for model in (plain, fused):
        model.get_layer("norm").trainable = False
    np.testing.assert_array_equal(fused(images(), training=True), plain(images(), training=True))


@pytest.mark.parametrize(
    "settings", [{"scale": False}, {"center": False}, {"axis": 1}, {"synchronized": True}, {"policy": "float64"}]
)
def test_layers_that_the_kernel_does_not_support_do_not_change(settings: dict[str, Any]) -> None:
    model = network(**settings)
    fuse(model)
    assert not any("FusedBatchNorm" in kind for kind in kernels(model, images()))


def test_half_precision_is_normalised_in_float32() -> None:
    plain, fused = network("mixed_bfloat16"), network("mixed_bfloat16")
    fuse(fused)
    expected, got = step(plain, images()), step(fused, images())
    assert got["answers"].dtype == expected["answers"].dtype
    for name in ("weight 4", "weight 5"):
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-4, atol=1e-5)


def test_a_saved_network_holds_a_plain_layer(tmp_path: Path) -> None:
    model = network()
    fuse(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.get_layer("norm")) is keras.layers.BatchNormalization
    np.testing.assert_array_equal(loaded(images(), training=False), model(images(), training=False))


def test_nested_networks_are_found() -> None:
    inner = network()
    image = keras.Input((6, 5, 3))
    outer = keras.Model(image, inner(image))
    fuse(outer)
    assert "FusedBatchNormV3" in kernels(outer, images())
