"""Weights of a frozen network as constants of a graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny
from tfkd.kernels import constants


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    return tiny.build_teacher(image_size=16, classes=3)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)


def traced(network: keras.Model, copies: int = 1) -> tf.types.experimental.ConcreteFunction:
    @tf.function(input_signature=[tf.TensorSpec((None, 16, 16, 3))])
    def run(images: tf.Tensor) -> tf.Tensor:
        with constants.constant_weights(network, copies):
            return network(images, training=False)

    return run.get_concrete_function()


def test_a_graph_holds_the_weights_and_computes_the_same(network: keras.Model, images: np.ndarray) -> None:
    run = traced(network)
    assert not run.captured_inputs
    np.testing.assert_allclose(run(tf.constant(images)), network(images, training=False), rtol=1e-5, atol=1e-5)


def test_weights_that_are_too_large_for_a_graph_stay_in_variables(
    network: keras.Model, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "MOST_BYTES", sum(weight.numpy().nbytes for weight in network.weights))
    assert not traced(network).captured_inputs
    run = traced(network, copies=2)
    assert len(run.captured_inputs) == len(network.weights)
    np.testing.assert_allclose(run(tf.constant(images)), network(images, training=False), rtol=1e-5, atol=1e-5)


def test_outside_a_graph_variables_stay_variables(network: keras.Model, images: np.ndarray) -> None:
    with constants.constant_weights(network):
        assert isinstance(network.weights[0].value, tf.Variable)


def test_a_changed_weight_changes_the_checksum(network: keras.Model) -> None:
    before = constants.checksum(network)
    assert constants.checksum(network) == before
    last = network.weights[-1]
    kept = last.numpy()
    last.assign(kept + 1)
    assert constants.checksum(network) != before
    last.assign(kept)
    assert constants.checksum(network) == before
