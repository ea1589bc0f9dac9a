from typing import Any

import numpy as np
import pytest
from coremltools import proto
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from tests.verification.coreml.graphs import few, images, run, run_both_ways, seeds, values
from tfkd.verification.coreml.network import LAYERS
from tfkd.verification.coreml.program import OPERATORS

NETWORK = proto.NeuralNetwork_pb2
REDUCTIONS: list[tuple[str, str, Any]] = [
    ("reduce_max", "reduceMax", np.max),
    ("reduce_mean", "reduceMean", np.mean),
    ("reduce_min", "reduceMin", np.min),
    ("reduce_sum", "reduceSum", np.sum),
    ("reduce_sum_square", "reduceSumSquare", lambda x, axes, keepdims: np.sum(x**2, axes, keepdims=keepdims)),
    ("reduce_log_sum_exp", "reduceLogSumExp", lambda x, axes, keepdims: logsumexp(x, axes, keepdims=keepdims)),
    ("reduce_l1_norm", "reduceL1", lambda x, axes, keepdims: np.sum(np.abs(x), axes, keepdims=keepdims)),
    ("reduce_l2_norm", "reduceL2", lambda x, axes, keepdims: np.sqrt(np.sum(x**2, axes, keepdims=keepdims))),
    ("reduce_prod", "reduceProd", np.prod),
]


@pytest.mark.parametrize(("operator", "layer", "reference"), REDUCTIONS)
@few
@given(seeds, st.sampled_from([(2, 3), (-1, -2), (1,), (3,), (1, 2, 3), (-3, 2)]), st.booleans())
def test_images(operator: str, layer: str, reference: Any, seed: int, axes: tuple[int, ...], keep: bool) -> None:
    x = images(2, 3, 4, 5, seed)
    expected = reference(x, axes, keepdims=keep)
    if axes == (1, 2, 3) and not keep:
        keep, expected = True, expected.reshape(2, 1, 1, 1)
    got = run_both_ways(lambda x: OPERATORS[operator](x, axes, keep), x)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    parameters = getattr(NETWORK, f"{layer[0].upper()}{layer[1:]}LayerParams")(axes=axes, keepDims=keep)
    np.testing.assert_allclose(run_both_ways(lambda x: LAYERS[layer](parameters, x), x), got, rtol=1e-6)


@pytest.mark.parametrize("axes", [None, (0,), (-4, 1)])
def test_the_batch_is_never_reduced(axes: tuple[int, ...] | None) -> None:
    with pytest.raises(ValueError, match="across the images of a batch"):
        run_both_ways(lambda x: OPERATORS["reduce_mean"](x, axes, True), images(2, 3, 4, 5))


def test_reducing_all_axes_is_refused() -> None:
    with pytest.raises(ValueError, match="across the images of a batch"):
        run(lambda x: LAYERS["reduceMean"](NETWORK.ReduceMeanLayerParams(reduceAll=True), x), values((2, 3)))


def test_an_axis_too_many() -> None:
    with pytest.raises(ValueError, match=r"no axes \[4\]"):
        run_both_ways(lambda x: OPERATORS["reduce_sum"](x, [4], True), images(2, 3, 4, 5))


def test_logarithm_of_a_sum() -> None:
    x = np.abs(images(2, 3, 4, 5))
    got = run_both_ways(lambda x: OPERATORS["reduce_log_sum"](x, (2,), True), x)
    np.testing.assert_allclose(got, np.log(x.sum(2, keepdims=True)), rtol=1e-4, atol=1e-5)
    layer = NETWORK.ReduceLogSumLayerParams(axes=[2], keepDims=True)
    np.testing.assert_allclose(run_both_ways(lambda x: LAYERS["reduceLogSum"](layer, x), x), got, rtol=1e-6)


@pytest.mark.parametrize(
    ("operator", "layer", "reference"), [("max", "argMax", np.argmax), ("min", "argMin", np.argmin)]
)
def test_places(operator: str, layer: str, reference: Any) -> None:
    x = images(2, 3, 4, 5)
    for axis in (1, -1):
        expected = reference(x, axis)
        got = run_both_ways(lambda x: OPERATORS[f"reduce_arg{operator}"](x, axis, False), x)  # noqa: B023
        np.testing.assert_array_equal(got, expected)
        parameters = getattr(NETWORK, f"{layer[0].upper()}{layer[1:]}LayerParams")(axis=axis, removeDim=False)
        got = run_both_ways(lambda x: LAYERS[layer](parameters, x), x)  # noqa: B023
        np.testing.assert_array_equal(got, np.expand_dims(expected, axis))
