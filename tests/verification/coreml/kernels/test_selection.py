from typing import Any

import numpy as np
import pytest
from coremltools import proto

from tests.verification.coreml.graphs import images, run, run_both_ways
from tfkd.verification.coreml.limits import BatchError
from tfkd.verification.coreml.network import LAYERS
from tfkd.verification.coreml.program import OPERATORS

NETWORK = proto.NeuralNetwork_pb2
X = images(2, 5, 3, 4)
PLACES = np.array([3, -1, 0, 3])
ALONG = np.random.default_rng(0).integers(-5, 5, (1, 2, 3, 4))


def layer(kind: str, **fields: Any) -> Any:
    return getattr(NETWORK, kind)(**fields)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("gather", {"indices": PLACES, "axis": 1}, X[:, PLACES]),
        ("gather", {"indices": PLACES, "axis": -1}, X[..., PLACES]),
        ("gather", {"indices": np.array(2), "axis": 1}, X[:, 2]),
        ("tile", {"reps": [1, 2, 1, 3]}, np.tile(X, (1, 2, 1, 3))),
        ("reverse", {"axes": [1, -1]}, X[:, ::-1, :, ::-1]),
        ("one_hot", {"one_hot_vector_size": 3, "on_value": 2.0}, None),
        ("topk", {"k": 2, "axis": 1}, [-np.sort(-X, 1)[:, :2], np.argsort(-X, 1)[:, :2]]),
        ("topk", {"k": 2, "axis": 3, "ascending": True}, [np.sort(X, 3)[..., :2], np.argsort(X, 3)[..., :2]]),
    ],
)
def test_operations(name: str, arguments: dict[str, Any], expected: Any) -> None:
    x = X if expected is not None else np.abs(np.round(X)).clip(0, 2).astype(np.float32)
    expected = 2 * np.eye(3)[x.astype(int)] if expected is None else expected
    got = run_both_ways(lambda x: OPERATORS[name](x, **arguments), x)
    for one, other in zip(got, expected, strict=True) if isinstance(expected, list) else [(got, expected)]:
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "parameters", "others", "expected"),
    [
        ("gather", layer("GatherLayerParams", axis=-3), [PLACES.astype(np.float32)], X[:, PLACES]),
        ("tile", layer("TileLayerParams", reps=[1, 2, 1, 3]), [], np.tile(X, (1, 2, 1, 3))),
        ("reverse", layer("ReverseLayerParams", reverseDim=[False, True, False, True]), [], X[:, ::-1, :, ::-1]),
        (
            "slice",
            layer("SliceLayerParams", startIndex=1, endIndex=-1, stride=2, axis="CHANNEL_AXIS"),
            [],
            X[:, 1:-1:2],
        ),
        ("slice", layer("SliceLayerParams", startIndex=1, endIndex=3, stride=1, axis="WIDTH_AXIS"), [], X[..., 1:3]),
        ("topK", layer("TopKLayerParams", axis=1, K=1), [], [X.max(1, keepdims=True), X.argmax(1)[:, None]]),
    ],
)
def test_layers(name: str, parameters: Any, others: list[np.ndarray], expected: Any) -> None:
    got = run_both_ways(lambda x: LAYERS[name](parameters, x, *others), X)
    for one, other in zip(got, expected, strict=True) if isinstance(expected, list) else [(got, expected)]:
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_stacking_and_gathering_by_values_of_the_same_image() -> None:
    y = images(2, 5, 3, 4, seed=1)
    np.testing.assert_array_equal(run(lambda x, y: OPERATORS["stack"]([x, y], 2), X, y), np.stack([X, y], 2))
    stacked = run(lambda x, y: LAYERS["stack"](layer("StackLayerParams", axis=-1), x, y), X, y)
    np.testing.assert_array_equal(stacked, np.stack([X, y], -1))
    places = np.abs(np.round(y[:, :2])).clip(0, 4).astype(np.float32)
    expected = np.take_along_axis(X, places.astype(int), 1)
    for gathered in (
        run(lambda x, p: OPERATORS["gather_along_axis"](x, p, 1), X, places),
        run(lambda x, p: LAYERS["gatherAlongAxis"](layer("GatherAlongAxisLayerParams", axis=1), x, p), X, places),
    ):
        np.testing.assert_array_equal(gathered, expected)


def test_a_table_is_read_by_values_of_the_image() -> None:
    table, places = images(1, 1, 5, 4)[0, 0], np.array([[1, 4], [0, 2]], np.float32)
    np.testing.assert_array_equal(run(lambda p: OPERATORS["gather"](table, p, 0), places), table[places.astype(int)])


def test_the_batch_is_left_alone() -> None:
    """Core ML's file may do so with its single image: the evaluator then takes one image at a time."""
    for name, arguments in (
        ("gather", {"indices": PLACES, "axis": 0}),
        ("tile", {"reps": [2, 1, 1, 1]}),
        ("reverse", {"axes": [0]}),
        ("gather_along_axis", {"indices": ALONG, "axis": 1}),
        ("topk", {"k": 1, "axis": 0}),
    ):
        with pytest.raises(BatchError):
            run(lambda x: OPERATORS[name](x, **arguments), X)  # noqa: B023


def test_filled_constants() -> None:
    np.testing.assert_array_equal(OPERATORS["fill"]([2, 3], np.float32(1.5)), np.full((2, 3), 1.5, np.float32))
    np.testing.assert_array_equal(run(lambda x: OPERATORS["fill_like"](x, np.float32(2)), X), np.full_like(X, 2))
