from typing import Any

import numpy as np
import pytest
from coremltools import proto

from tests.verification.coreml.graphs import images, run, run_both_ways
from tfkd.verification.coreml.network import LAYERS
from tfkd.verification.coreml.program import OPERATORS

NETWORK = proto.NeuralNetwork_pb2
X = np.round(images(2, 3, 4, 5))
Y = np.round(images(2, 3, 4, 5, seed=1))

COMPARISONS = [
    ("greater", "greaterThan", "GreaterThanLayerParams", np.greater),
    ("greater_equal", "greaterEqual", "GreaterEqualLayerParams", np.greater_equal),
    ("less", "lessThan", "LessThanLayerParams", np.less),
    ("less_equal", "lessEqual", "LessEqualLayerParams", np.less_equal),
    ("equal", "equal", "EqualLayerParams", np.equal),
    ("not_equal", "notEqual", "NotEqualLayerParams", np.not_equal),
]
LOGIC = [("and", np.logical_and), ("or", np.logical_or), ("xor", np.logical_xor)]


@pytest.mark.parametrize(("operation", "layer", "kind", "reference"), COMPARISONS)
def test_comparisons(operation: str, layer: str, kind: str, reference: Any) -> None:
    parameters = getattr(NETWORK, kind)(alpha=1.0)
    assert 0.1 < reference(X, Y).mean() < 0.9
    np.testing.assert_array_equal(run(lambda x, y: OPERATORS[operation](x, y), X, Y), reference(X, Y))
    np.testing.assert_array_equal(run(lambda x, y: LAYERS[layer](parameters, x, y), X, Y), reference(X, Y))
    constant = np.float32(1)
    np.testing.assert_array_equal(run_both_ways(lambda x: OPERATORS[operation](x, constant), X), reference(X, 1))
    np.testing.assert_array_equal(run_both_ways(lambda x: LAYERS[layer](parameters, x), X), reference(X, 1))


@pytest.mark.parametrize(("name", "reference"), LOGIC)
def test_logic(name: str, reference: Any) -> None:
    expected = reference(X > 0, Y > 1)
    got = run(lambda x, y: OPERATORS[f"logical_{name}"](x > 0, y > 1), X, Y)
    np.testing.assert_array_equal(got, expected)
    parameters = getattr(NETWORK, f"Logical{name.title()}LayerParams")()
    values = (X > 0).astype(np.float32), (Y > 1).astype(np.float32)
    np.testing.assert_array_equal(
        run(lambda x, y: LAYERS[f"logical{name.title()}"](parameters, x, y), *values), expected
    )


def test_negation() -> None:
    np.testing.assert_array_equal(run(lambda x: OPERATORS["logical_not"](x > 0), X), X <= 0)
    parameters, values = NETWORK.LogicalNotLayerParams(), (X > 0).astype(np.float32)
    np.testing.assert_array_equal(run(lambda x: LAYERS["logicalNot"](parameters, x), values), X <= 0)


def test_selection() -> None:
    expected = np.where(X > 0, Y, 7)
    got = run(lambda x, y: OPERATORS["select"](x > 0, y, np.float32(7)), X, Y)
    np.testing.assert_array_equal(got, expected)
    values, parameters = (X > 0).astype(np.float32), NETWORK.WhereBroadcastableLayerParams()
    got = run(lambda x, y: LAYERS["whereBroadcastable"](parameters, x, y, np.float32(7)), values, Y)
    np.testing.assert_array_equal(got, expected)
    row = (X[:, :1] > 0).astype(np.float32)
    got = run(lambda x, y: LAYERS["whereBroadcastable"](parameters, x, y, np.float32(7)), row, Y)
    np.testing.assert_array_equal(got, np.where(row > 0, Y, 7), "the condition broadcasts")
