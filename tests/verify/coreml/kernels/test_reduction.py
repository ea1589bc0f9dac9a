from typing import Any

import numpy as np
import pytest
from coremltools import proto
from hypothesis import given
from hypothesis import strategies as st

from tests.verify.coreml.graphs import few, images, run, run_both_ways, seeds, values
from tfkd.verify.coreml.network import LAYERS
from tfkd.verify.coreml.program import OPERATORS

NETWORK = proto.NeuralNetwork_pb2
REDUCTIONS: list[tuple[str, str, Any]] = [
    ("reduce_max", "reduceMax", np.max),
    ("reduce_mean", "reduceMean", np.mean),
    ("reduce_min", "reduceMin", np.min),
    ("reduce_sum", "reduceSum", np.sum),
    ("reduce_sum_square", "reduceSumSquare", lambda x, axes, keepdims: np.sum(x**2, axes, keepdims=keepdims)),
]


@pytest.mark.parametrize(("operator", "layer", "reference"), REDUCTIONS)
@few
@given(seeds, st.sampled_from([(2, 3), (-1, -2), (1,), (3,), (1, 2, 3), (-3, 2)]), st.booleans())
def test_images(operator: str, layer: str, reference: Any, seed: int, axes: tuple[int, ...], keep: bool) -> None:
    x = images(2, 3, 4, 5, seed)
    wanted = reference(x, axes, keepdims=keep)
    if axes == (1, 2, 3) and not keep:
        keep, wanted = True, wanted.reshape(2, 1, 1, 1)
    got = run_both_ways(lambda x: OPERATORS[operator](x, axes, keep), x)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
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
