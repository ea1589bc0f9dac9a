from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from coremltools import proto
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from tests.verification.coreml.graphs import channels, few, images, run, run_both_ways, seeds, sides, values
from tfkd.verification.coreml.network import LAYERS
from tfkd.verification.coreml.program import OPERATORS

NETWORK = proto.NeuralNetwork_pb2

OPERATIONS: list[tuple[str, dict[str, Any], Any]] = [
    ("clamped_relu", {"alpha": 0.1, "beta": 1.0}, lambda x: np.minimum(np.where(x < 0, 0.1 * x, x), 1.0)),
    ("elu", {"alpha": 0.7}, lambda x: np.where(x < 0, 0.7 * (np.exp(x) - 1), x)),
    ("gelu", {}, lambda x: tf.nn.gelu(x)),
    ("gelu", {"mode": "TANH_APPROXIMATION"}, lambda x: tf.nn.gelu(x, approximate=True)),
    ("gelu", {"mode": "SIGMOID_APPROXIMATION"}, lambda x: x * tf.sigmoid(1.702 * x)),
    ("leaky_relu", {"alpha": 0.2}, lambda x: tf.nn.leaky_relu(x, 0.2)),
    ("scaled_tanh", {"alpha": 2.0, "beta": 0.5}, lambda x: 2 * np.tanh(0.5 * x)),
    ("thresholded_relu", {"alpha": 0.5}, lambda x: np.where(x < 0.5, 0, x)),
    ("threshold", {"alpha": 0.5}, lambda x: np.maximum(x, 0.5)),
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
    expected = np.where(x < 0, x * slopes.reshape(-1, 1, 1), x)
    np.testing.assert_allclose(run_both_ways(lambda x: OPERATORS["prelu"](x, slopes), x), expected, rtol=1e-5)
    layer = NETWORK.ActivationParams()
    layer.PReLU.alpha.floatValue.extend(slopes)
    np.testing.assert_allclose(run_both_ways(lambda x: LAYERS["activation"](layer, x), x), expected, rtol=1e-5)


@few
@given(seeds, st.sampled_from([1, 2, 3, -1, -3]))
def test_softmax(seed: int, axis: int) -> None:
    x = images(2, 3, 4, 5, seed)
    expected = tf.nn.softmax(x, axis).numpy()
    layer = NETWORK.SoftmaxNDLayerParams(axis=axis)
    for kernel in (lambda x: OPERATORS["softmax"](x, axis), lambda x: LAYERS["softmaxND"](layer, x)):
        np.testing.assert_allclose(run_both_ways(kernel, x), expected, rtol=1e-5)


def test_softmax_of_channels() -> None:
    x = images(2, 3, 4, 5)
    got = run_both_ways(lambda x: LAYERS["softmax"](NETWORK.SoftmaxLayerParams(), x), x)
    np.testing.assert_allclose(got, tf.nn.softmax(x, 1), rtol=1e-5)


def test_softmax_across_the_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="across the images of a batch"):
        run_both_ways(lambda x: OPERATORS["softmax"](x, -4), images(2, 3, 4, 5))


def test_an_unknown_function_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown function None"):
        run_both_ways(lambda x: LAYERS["activation"](NETWORK.ActivationParams(), x), images(1, 1, 1, 1))


@pytest.mark.parametrize("mode", ["EXACT", "TANH_APPROXIMATION"])
def test_gelu_layer(mode: str) -> None:
    """Against the definition (arXiv:1606.08415) in float64."""
    x = images(2, 3, 4, 5)
    exact = x.astype(np.float64)
    inner = np.sqrt(2 / np.pi) * (exact + 0.044715 * exact**3)
    expected = exact / 2 * (1 + (special.erf(exact / np.sqrt(2)) if mode == "EXACT" else np.tanh(inner)))
    layer = NETWORK.GeluLayerParams(mode=mode)
    np.testing.assert_allclose(run_both_ways(lambda x: LAYERS["gelu"](layer, x), x), expected, rtol=1e-4, atol=1e-5)


def test_layers_with_parameters_of_their_own() -> None:
    x, alpha, beta = images(2, 3, 4, 5), values((3,), 1), values((3,), 2)
    layer = NETWORK.ClampedReLULayerParams(alpha=0.1, beta=1.0)
    got = run_both_ways(lambda x: LAYERS["clampedReLU"](layer, x), x)
    np.testing.assert_allclose(got, np.minimum(np.where(x < 0, 0.1 * x, x), 1.0), rtol=1e-5)
    expected = alpha.reshape(3, 1, 1) * np.logaddexp(0, beta.reshape(3, 1, 1) * x)
    got = run_both_ways(lambda x: OPERATORS["softplus_parametric"](x, alpha, beta), x)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    parameters = NETWORK.ActivationParams()
    parameters.parametricSoftplus.alpha.floatValue.extend(alpha)
    parameters.parametricSoftplus.beta.floatValue.extend(beta)
    np.testing.assert_allclose(run_both_ways(lambda x: LAYERS["activation"](parameters, x), x), got, rtol=1e-5)


@pytest.mark.parametrize(
    ("operator", "layer", "reference"),
    [
        ("erf", "erf", special.erf),
        ("sign", "sign", np.sign),
        ("round", "round", np.round),
        ("ceil", "ceil", np.ceil),
        ("floor", "floor", np.floor),
        ("sin", "sin", np.sin),
        ("cos", "cos", np.cos),
        ("tan", "tan", np.tan),
        ("sinh", "sinh", np.sinh),
        ("cosh", "cosh", np.cosh),
        ("atan", "atan", np.arctan),
        ("exp2", "exp2", np.exp2),
    ],
)
def test_functions_without_parameters(operator: str, layer: str, reference: Any) -> None:
    x = images(2, 3, 4, 5)
    for kernel in (OPERATORS[operator], lambda x: LAYERS[layer](None, x)):
        np.testing.assert_allclose(run_both_ways(kernel, x), reference(x.astype(np.float64)), rtol=1e-3, atol=1e-5)


def test_remainders() -> None:
    x, y = images(2, 3, 4, 5), np.abs(images(2, 3, 4, 5, seed=1))
    for name, layer, reference in (
        ("mod", "modBroadcastable", np.mod),
        ("floor_div", "floorDivBroadcastable", np.floor_divide),
    ):
        for kernel in (OPERATORS[name], lambda x, y: LAYERS[layer](None, x, y)):  # noqa: B023
            np.testing.assert_allclose(run(kernel, x, y), reference(x, y), rtol=1e-4, atol=1e-5)
