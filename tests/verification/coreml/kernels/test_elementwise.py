from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from coremltools import proto
from hypothesis import given

from tests.verification.coreml.graphs import channels, few, images, run_both_ways, seeds, sides, values
from tfkd.verification.coreml.network import LAYERS
from tfkd.verification.coreml.program import OPERATORS

NETWORK = proto.NeuralNetwork_pb2

UNARY: dict[str, Any] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "erf": tf.math.erf,
    "exp": np.exp,
    "floor": np.floor,
    "identity": np.asarray,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "square": np.square,
    "tanh": np.tanh,
}
POSITIVE: dict[str, Any] = {
    "inverse": lambda x: 1 / (x + 1e-4),
    "log": np.log,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sqrt": np.sqrt,
}
BINARY: dict[str, Any] = {
    "add": np.add,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "mul": np.multiply,
    "real_div": np.divide,
    "sub": np.subtract,
}
BROADCAST_LAYERS: dict[str, Any] = {
    "addBroadcastable": np.add,
    "divideBroadcastable": np.divide,
    "maxBroadcastable": np.maximum,
    "minBroadcastable": np.minimum,
    "multiplyBroadcastable": np.multiply,
    "subtractBroadcastable": np.subtract,
}
UNARY_LAYERS: dict[str, Any] = {
    "SQRT": np.sqrt,
    "RSQRT": lambda x: 1 / np.sqrt(x + 0.25),
    "INVERSE": lambda x: 1 / (x + 0.25),
    "POWER": lambda x: x**1.5,
    "EXP": np.exp,
    "LOG": np.log,
    "ABS": np.abs,
    "THRESHOLD": lambda x: np.maximum(x, 1.5),
}


@pytest.mark.parametrize("name", UNARY)
@few
@given(seeds, channels, sides, sides)
def test_unary(name: str, seed: int, depth: int, height: int, width: int) -> None:
    x = images(2, depth, height, width, seed)
    np.testing.assert_allclose(run_both_ways(OPERATORS[name], x), UNARY[name](x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", POSITIVE)
@few
@given(seeds, channels, sides, sides)
def test_unary_of_positive_numbers(name: str, seed: int, depth: int, height: int, width: int) -> None:
    x = np.abs(images(2, depth, height, width, seed))
    np.testing.assert_allclose(run_both_ways(OPERATORS[name], x), POSITIVE[name](x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BINARY)
@few
@given(seeds, channels, sides, sides)
def test_binary(name: str, seed: int, depth: int, height: int, width: int) -> None:
    x = images(2, depth, height, width, seed)
    for shape in ((), (1,), (depth, 1, 1), (1, depth, 1, 1), (height, width), (1, depth, height, width)):
        y = values(shape, seed + 1)
        both = run_both_ways(lambda x: [OPERATORS[name](x, y), OPERATORS[name](y, x)], x)  # noqa: B023
        np.testing.assert_allclose(both[0], BINARY[name](x, y), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(both[1], BINARY[name](y, x), rtol=1e-4, atol=1e-5)


def test_values_in_different_layouts_meet() -> None:
    x = images(2, 3, 4, 5)
    got = run_both_ways(lambda x: OPERATORS["sub"](x, tf.transpose(tf.transpose(x, (0, 2, 1, 3)), (0, 2, 1, 3))), x)
    np.testing.assert_array_equal(got, np.zeros_like(x))


@few
@given(seeds)
def test_power(seed: int) -> None:
    x = np.abs(images(2, 3, 2, 2, seed))
    np.testing.assert_allclose(run_both_ways(lambda x: OPERATORS["pow"](x, np.float32(1.5)), x), x**1.5, rtol=1e-4)
    layer = lambda x: LAYERS["powBroadcastable"](None, x, np.float32(1.5))  # noqa: E731
    np.testing.assert_allclose(run_both_ways(layer, x), x**1.5, rtol=1e-4)


@few
@given(seeds)
def test_clip(seed: int) -> None:
    x = images(2, 3, 4, 4, seed)
    np.testing.assert_array_equal(run_both_ways(lambda x: OPERATORS["clip"](x, -1.0, 0.5), x), x.clip(-1, 0.5))
    layer = NETWORK.ClipLayerParams(minVal=-1.0, maxVal=0.5)
    np.testing.assert_array_equal(run_both_ways(lambda x: LAYERS["clip"](layer, x), x), x.clip(-1, 0.5))


def test_cast() -> None:
    x = images(1, 2, 3, 3)
    np.testing.assert_array_equal(run_both_ways(lambda x: OPERATORS["cast"](x, "int32"), x), x.astype(np.int32))
    np.testing.assert_array_equal(run_both_ways(lambda x: OPERATORS["cast"](x, "fp32"), x), x)
    with pytest.raises(ValueError, match="casts to complex64"):
        OPERATORS["cast"](x, "complex64")


@pytest.mark.parametrize("name", BROADCAST_LAYERS)
def test_layers_that_broadcast(name: str) -> None:
    x, y = images(2, 3, 4, 5), values((3, 1, 1))
    got = run_both_ways(lambda x: LAYERS[name](None, x, y), x)
    np.testing.assert_allclose(got, BROADCAST_LAYERS[name](x, y), rtol=1e-5)


@pytest.mark.parametrize("name", UNARY_LAYERS)
def test_unary_layers(name: str) -> None:
    x = np.abs(images(2, 3, 4, 5))
    kind = NETWORK.UnaryFunctionLayerParams.Operation.Value(name)
    layer = NETWORK.UnaryFunctionLayerParams(type=kind, alpha=1.5, epsilon=0.25, shift=0.5, scale=2.0)
    if name == "ABS":
        x = -x
    got = run_both_ways(lambda x: LAYERS["unary"](layer, x), x)
    np.testing.assert_allclose(got, UNARY_LAYERS[name](2.0 * x + 0.5), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "parameters", "function"),
    [
        ("add", NETWORK.AddLayerParams(alpha=0.5), lambda x: x + 0.5),
        ("multiply", NETWORK.MultiplyLayerParams(alpha=0.5), lambda x: x * 0.5),
    ],
)
def test_layers_of_one_input_take_their_constant(name: str, parameters: Any, function: Any) -> None:
    x = images(2, 3, 4, 5)
    np.testing.assert_allclose(run_both_ways(lambda x: LAYERS[name](parameters, x), x), function(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "function"), [("add", np.add), ("multiply", np.multiply), ("max", np.maximum), ("min", np.minimum)]
)
def test_layers_of_many_inputs(name: str, function: Any) -> None:
    x, y, z = images(2, 3, 4, 5), values((1, 3, 1, 1), 1), values((1, 3, 4, 5), 2)
    got = run_both_ways(lambda x: LAYERS[name](None, x, y, z), x)
    np.testing.assert_allclose(got, function(function(x, y), z), rtol=1e-5)


def test_copy() -> None:
    x = images(1, 2, 3, 3)
    np.testing.assert_array_equal(run_both_ways(lambda x: LAYERS["copy"](None, x), x), x)
