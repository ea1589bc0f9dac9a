from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from coremltools import proto
from hypothesis import given
from hypothesis import strategies as st

from tests.verification.coreml.graphs import few, images, run, run_both_ways, seeds, values
from tfkd.verification.coreml.network import LAYERS
from tfkd.verification.coreml.program import OPERATORS

NETWORK = proto.NeuralNetwork_pb2
X = images(2, 6, 4, 5)


def both(operator: str, *arguments: Any, x: np.ndarray = X, **named: Any) -> Any:
    return run_both_ways(lambda x: OPERATORS[operator](x, *arguments, **named), x)


def layered(name: str, parameters: Any, x: np.ndarray = X) -> Any:
    return run_both_ways(lambda x: LAYERS[name](parameters, x), x)


@pytest.mark.parametrize(
    "shape", [(1, 120), (1, 30, 4), (1, 5, 4, 6), (1, -1), (1, 3, -1, 2), (1, 0, 20, 1), (-1, 120), (1, 120, 1, 1)]
)
def test_reshape(shape: tuple[int, ...]) -> None:
    sizes = [2 if axis == 0 else X.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    np.testing.assert_array_equal(both("reshape", shape), X.reshape(sizes))
    if min(shape) > 0:
        np.testing.assert_array_equal(
            layered("reshapeStatic", NETWORK.ReshapeStaticLayerParams(targetShape=shape)), X.reshape(sizes)
        )
        rank = NETWORK.RankPreservingReshapeLayerParams(targetShape=shape)
        np.testing.assert_array_equal(layered("rankPreservingReshape", rank), X.reshape(sizes))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((120,), "mixes the images of a batch"),
        ((2, 60), "mixes the images of a batch"),
        ((1, 121), "cannot become"),
        ((-1, -1), "cannot become"),
        ((1, 7, -1), "cannot become"),
        ((0, 120), "another rank"),
    ],
)
def test_impossible_reshapes(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        both("reshape", shape)


@few
@given(st.permutations([1, 2, 3]), st.permutations([1, 2, 3]))
def test_transpose(first: list[int], second: list[int]) -> None:
    expected = np.transpose(np.transpose(X, [0, *first]), [0, *second])
    got = run_both_ways(
        lambda x: OPERATORS["transpose"](OPERATORS["transpose"](x, [0, *first]), [0, *(a - 4 for a in second)]), X
    )
    np.testing.assert_array_equal(got, expected)
    parameters = NETWORK.TransposeLayerParams(axes=[0, *first])
    np.testing.assert_array_equal(layered("transpose", parameters), np.transpose(X, [0, *first]))


def test_impossible_transpositions() -> None:
    with pytest.raises(ValueError, match="moves the axis of the batch"):
        both("transpose", [1, 0, 2, 3])
    with pytest.raises(ValueError, match="no permutation"):
        both("transpose", [0, 1, 2, 2])


def test_axes_of_size_1() -> None:
    x = values((2, 3, 1, 1))
    np.testing.assert_array_equal(both("squeeze", [2, -1], x=x), x.reshape(2, 3))
    np.testing.assert_array_equal(both("expand_dims", [1, -1]), X.reshape(2, 1, 6, 4, 5, 1))
    np.testing.assert_array_equal(run(lambda x: OPERATORS["expand_dims"](x, [0]), values((2, 3))), values((2, 1, 3)))
    with pytest.raises(ValueError, match="not all of size 1"):
        both("squeeze", [1], x=x)
    with pytest.raises(ValueError, match="mixes the images of a batch"):
        both("squeeze", x=x)
    np.testing.assert_array_equal(layered("squeeze", NETWORK.SqueezeLayerParams(axes=[3, 2]), x), x.reshape(2, 3))
    np.testing.assert_array_equal(layered("expandDims", NETWORK.ExpandDimsLayerParams(axes=[1]), x), x[:, None])


@pytest.mark.parametrize(("axis", "shape"), [(1, (2, 120)), (2, (12, 20)), (-1, (48, 5))])
def test_flatten(axis: int, shape: tuple[int, ...]) -> None:
    parameters = NETWORK.FlattenTo2DLayerParams(axis=axis)
    if axis == 1:
        np.testing.assert_array_equal(layered("flattenTo2D", parameters), X.reshape(shape))
    else:
        with pytest.raises(ValueError, match="mixes the images of a batch"):
            layered("flattenTo2D", parameters)


@few
@given(seeds, st.sampled_from([1, 2, 3, -1, -3]))
def test_concat(seed: int, axis: int) -> None:
    x = images(2, 3, 4, 5, seed)
    got = run_both_ways(lambda x: OPERATORS["concat"]([x, x * 2.0, x], axis), x)
    np.testing.assert_array_equal(got, np.concatenate([x, x * 2, x], axis))
    parameters = NETWORK.ConcatNDLayerParams(axis=axis)
    np.testing.assert_array_equal(run_both_ways(lambda x: LAYERS["concatND"](parameters, x, x * 2.0, x), x), got)


def test_concat_of_channels() -> None:
    got = run_both_ways(lambda x: LAYERS["concat"](NETWORK.ConcatLayerParams(), x, x), X)
    np.testing.assert_array_equal(got, np.concatenate([X, X], 1))


@pytest.mark.parametrize("axis", [1, -1])
def test_joins_in_turn(axis: int) -> None:
    sizes = list(X.shape)
    sizes[axis] *= 3
    expected = np.stack([X, 2 * X, 3 * X], axis + 1 if axis > 0 else len(sizes)).reshape(sizes)
    got = run(lambda x: OPERATORS["concat"]([x, 2 * x, 3 * x], axis, True), X)
    np.testing.assert_array_equal(got, expected)
    layer = NETWORK.ConcatNDLayerParams(axis=axis, interleave=True)
    np.testing.assert_array_equal(run(lambda x: LAYERS["concatND"](layer, x, 2 * x, 3 * x), X), expected)


def test_impossible_joins() -> None:
    for arguments, message in [
        (([X, X], 0), "across the images"),
        (([X, np.zeros((1, 6, 4, 5), np.float32)], 1), "with a constant"),
    ]:
        with pytest.raises(ValueError, match=message):
            (first, second), *rest = arguments
            run(lambda x: OPERATORS["concat"]([x, x if second is X else second], *rest), first)  # noqa: B023
    with pytest.raises(ValueError, match="interleaves values of different shapes"):
        run(lambda x: OPERATORS["concat"]([x, x[:, :1]], 1, True), X)
    with pytest.raises(ValueError, match="joins sequences"):
        LAYERS["concat"](NETWORK.ConcatLayerParams(sequenceConcat=True), X, X)


def test_split() -> None:
    for arguments, cuts in (({"split_sizes": [1, 3, 2]}, [1, 4]), ({"num_splits": 3}, [2, 4])):
        for part, expected in zip(both("split", axis=1, **arguments), np.split(X, cuts, 1), strict=True):
            np.testing.assert_array_equal(part, expected)
    parts = layered("splitND", NETWORK.SplitNDLayerParams(axis=1, numSplits=2, splitSizes=[2, 4]))
    assert [part.shape for part in parts] == [(2, 2, 4, 5), (2, 4, 4, 5)]
    assert len(layered("splitND", NETWORK.SplitNDLayerParams(axis=2, numSplits=2))) == 2


@few
@given(seeds, st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_pad(seed: int, pad: list[int]) -> None:
    x = images(2, 3, 4, 5, seed)
    pairs = [(0, 0), (0, 0), tuple(pad[:2]), tuple(pad[2:])]
    expected = np.pad(x, pairs, constant_values=1.5)
    np.testing.assert_array_equal(both("pad", pad, "constant", np.float32(1.5), x=x), expected)
    np.testing.assert_array_equal(both("pad", [0, 0, 0, 0, *pad], "constant", 1.5, x=x), expected)
    np.testing.assert_array_equal(both("pad", pad, "reflect", x=x), np.pad(x, pairs, "reflect"))
    constant = NETWORK.ConstantPaddingLayerParams(value=1.5, padAmounts=[0, 0, 0, 0, *pad])
    np.testing.assert_array_equal(layered("constantPad", constant, x), expected)
    for kind, result in (("constant", np.pad(x, pairs)), ("reflection", np.pad(x, pairs, "reflect"))):
        old = NETWORK.PaddingLayerParams()
        getattr(old, kind).SetInParent()
        for start, end in (pad[:2], pad[2:]):
            old.paddingAmounts.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)
        np.testing.assert_array_equal(layered("padding", old, x), result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 0, 0, 0, 0, 0, 0, 0],), "pads the axis of the batch"),
        (([1],), "pads"),
        (([1, -1],), "pads"),
        (([1, 1], "replicate"), "unknown way replicate"),
    ],
)
def test_impossible_pads(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        both("pad", *arguments)


def test_slices() -> None:
    got = both("slice_by_index", [0, 1, 0, -2], [1, 5, 4, 5], [1, 2, 3, 1])
    np.testing.assert_array_equal(got, X[:, 1:5:2, ::3, -2:])
    masks = {"begin_mask": [True, False, False, True], "end_mask": [True, False, True, False]}
    got = both("slice_by_index", [9, 1, 1, 9], [9, 3, 0, -1], **masks)
    np.testing.assert_array_equal(got, X[:, 1:3, 1:, :-1])
    got = both("slice_by_index", [0, 1, -1, 0], [1, 3, 0, 5], squeeze_mask=[False, False, True, False])
    np.testing.assert_array_equal(got, X[:, 1:3, -1])
    got = both("slice_by_index", [0, -1, 0, 0], [1, -7, 4, 5], [1, -1, 1, 1])
    np.testing.assert_array_equal(got, X[:, ::-1])
    np.testing.assert_array_equal(both("slice_by_size", [0, 2, 1, 0], [1, 3, -1, 5]), X[:, 2:5, 1:])
    parameters = NETWORK.SliceStaticLayerParams(
        beginIds=[0, 1, 0, 1],
        endIds=[1, 3, 0, -1],
        strides=[1, 1, 2, 1],
        beginMasks=[False] * 4,
        endMasks=[False, False, True, False],
    )
    np.testing.assert_array_equal(layered("sliceStatic", parameters), X[:, 1:3, ::2, 1:-1])


def test_crop() -> None:
    parameters = NETWORK.CropLayerParams()
    for start, end in ((1, 0), (2, 1)):
        parameters.cropAmounts.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)
    np.testing.assert_array_equal(layered("crop", parameters), X[:, :, 1:, 2:-1])
    with pytest.raises(ValueError, match="size of another value"):
        layered("crop", NETWORK.CropLayerParams())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 0, 0, 0], [2, 6, 4, 5]), "slices the axis of the batch"),
        (([0, 0, 0, 0], [1, 6, 4, 5], [1, 0, 1, 1]), "slices"),
        (([0, 0, 0], [1, 6, 4]), "slices"),
    ],
)
def test_impossible_slices(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises((ValueError, IndexError), match=message):
        both("slice_by_index", *arguments)


def test_a_constant_joins_the_graph() -> None:
    layer = NETWORK.LoadConstantNDLayerParams(shape=[1, 6, 1, 1])
    layer.data.floatValue.extend(range(6))
    got = run_both_ways(lambda x: LAYERS["addBroadcastable"](None, x, LAYERS["loadConstantND"](layer)), X)
    np.testing.assert_array_equal(got, X + tf.range(6.0).numpy().reshape(6, 1, 1))
