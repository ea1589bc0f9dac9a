from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from coremltools import proto
from hypothesis import given
from hypothesis import strategies as st

from tests.verify.coreml.graphs import channels, few, images, run_both_ways, seeds, sides, values
from tfkd.verify.coreml.network import LAYERS
from tfkd.verify.coreml.program import OPERATORS

NETWORK = proto.NeuralNetwork_pb2

OPERATIONS: list[tuple[str, dict[str, Any], Any]] = [
    ("clamped_relu", {"alpha": 0.1, "beta": 1.0}, lambda x: np.minimum(np.where(x < 0, 0.1 * x, x), 1.0)),
    ("elu", {"alpha": 0.7}, lambda x: np.where(x < 0, 0.7 * (np.exp(x) - 1), x)),
    ("gelu", {}, lambda x: tf.nn.gelu(x)),
    ("gelu", {"mode": "TANH_APPROXIMATION"}, lambda x: tf.nn.gelu(x, approximate=True)),
    ("gelu", {"mode": "SIGMOID_APPROXIMATION"}, lambda x: x * tf.sigmoid(1.702 * x)),
    ("leaky_relu", {"alpha": 0.2}, lambda x: tf.nn.leaky_relu(x, 0.2)),
    ("linear_activation", {"alpha": 0.2, "beta": 1.0}, lambda x: 0.2 * x + 1.0),
    ("sigmoid_hard", {"alpha": 1 / 6, "beta": 0.5}, lambda x: keras.activations.hard_sigmoid(x)),
]
FUNCTIONS: list[tuple[str, dict[str, float], Any]] = [
    ("linear", {"alpha": 0.2, "beta": 1.0}, lambda x: 0.2 * x + 1.0),
    ("ReLU", {}, lambda x: np.maximum(x, 0)),
    ("leakyReLU", {"alpha": 0.2}, lambda x: np.where(x < 0, 0.2 * x, x)),
    ("thresholdedReLU", {"alpha": 0.5}, lambda x: np.where(x < 0.5, 0, x)),
    ("tanh", {}, np.tanh),
    ("scaledTanh", {"alpha": 2.0, "beta": 0.5}, lambda x: 2 * np.tanh(0.5 * x)),
    ("sigmoid", {}, lambda x: 1 / (1 + np.exp(-x))),
    ("sigmoidHard", {"alpha": 0.2, "beta": 0.5}, lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
    ("ELU", {"alpha": 0.7}, lambda x: np.where(x < 0, 0.7 * np.expm1(x), x)),
    ("softsign", {}, lambda x: x / (1 + np.abs(x))),
    ("softplus", {}, lambda x: np.log1p(np.exp(x))),
]


@pytest.mark.parametrize(("name", "arguments", "reference"), OPERATIONS)
@few
@given(seeds, channels, sides, sides)
def test_operations(
    name: str, arguments: dict[str, Any], reference: Any, seed: int, depth: int, height: int, width: int
) -> None:
    x = images(2, depth, height, width, seed)
    got = run_both_ways(lambda x: OPERATORS[name](x, **arguments), x)
    np.testing.assert_allclose(got, reference(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "parameters", "reference"), FUNCTIONS)
@few
@given(seeds)
def test_layers(name: str, parameters: dict[str, float], reference: Any, seed: int) -> None:
    layer = NETWORK.ActivationParams()
    getattr(layer, name).SetInParent()
    for field, value in parameters.items():
        setattr(getattr(layer, name), field, value)
    x = images(2, 3, 4, 5, seed)
    got = run_both_ways(lambda x: LAYERS["activation"](layer, x), x)
    np.testing.assert_allclose(got, reference(x), rtol=1e-4, atol=1e-5)


@few
@given(seeds, channels)
def test_prelu_has_a_slope_for_each_channel(seed: int, depth: int) -> None:
    x, slopes = images(2, depth, 3, 4, seed), values((depth,), seed + 1)
    wanted = np.where(x < 0, x * slopes.reshape(-1, 1, 1), x)
    np.testing.assert_allclose(run_both_ways(lambda x: OPERATORS["prelu"](x, slopes), x), wanted, rtol=1e-5)
    layer = NETWORK.ActivationParams()
    layer.PReLU.alpha.floatValue.extend(slopes)
    np.testing.assert_allclose(run_both_ways(lambda x: LAYERS["activation"](layer, x), x), wanted, rtol=1e-5)


@few
@given(seeds, st.sampled_from([1, 2, 3, -1, -3]))
def test_softmax(seed: int, axis: int) -> None:
    x = images(2, 3, 4, 5, seed)
    wanted = tf.nn.softmax(x, axis).numpy()
    layer = NETWORK.SoftmaxNDLayerParams(axis=axis)
    for kernel in (lambda x: OPERATORS["softmax"](x, axis), lambda x: LAYERS["softmaxND"](layer, x)):
        np.testing.assert_allclose(run_both_ways(kernel, x), wanted, rtol=1e-5)


def test_softmax_of_channels() -> None:
    x = images(2, 3, 4, 5)
    got = run_both_ways(lambda x: LAYERS["softmax"](NETWORK.SoftmaxLayerParams(), x), x)
    np.testing.assert_allclose(got, tf.nn.softmax(x, 1), rtol=1e-5)


def test_softmax_across_the_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="across the images of a batch"):
        run_both_ways(lambda x: OPERATORS["softmax"](x, -4), images(2, 3, 4, 5))


def test_an_unknown_function_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown function parametricSoftplus"):
        layer = NETWORK.ActivationParams()
        layer.parametricSoftplus.SetInParent()
        LAYERS["activation"](layer, images(1, 1, 1, 1))
    with pytest.raises(ValueError, match="unknown mode FAST"):
        OPERATORS["gelu"](images(1, 1, 1, 1), "FAST")
