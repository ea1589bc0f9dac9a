"""Pruning ends at the requested sparsity, in the requested structure."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.compress.conftest import SHALLOW
from tfkd.compress import prune
from tfkd.compress.prepared import compressible
from tfkd.compress.tf_keras_copy import pass_weights, student_copy
from tfkd.errors import RequestError
from tfkd.recipe import Prune
from tfkd.recipe.files import parse

PRUNED = ["expand", "project"]


def pruned(shallow: Any, block: Prune, train: Callable[..., Any], steps: int) -> dict[str, np.ndarray]:
    prepared = prune.prepare(student_copy(SHALLOW, shallow), block, steps, ())
    trained = train(prepared, steps)
    pass_weights(prepared.weights(), shallow)
    images = np.full((1, 32, 32, 3), 90.0, np.float32)
    np.testing.assert_allclose(shallow(images), trained(images), rtol=1e-4, atol=1e-6)
    return {layer.name: np.asarray(layer.kernel) for layer in shallow.layers if hasattr(layer, "kernel")}


@pytest.mark.parametrize(("sparsity", "steps"), [(0.5, 1), (0.8, 7)])
def test_each_large_kernel_ends_with_the_sparsity(
    shallow: Any, train: Callable[..., Any], sparsity: float, steps: int
) -> None:
    assert [layer.name for layer in compressible(shallow)] == PRUNED
    kernels = pruned(shallow, Prune(sparsity=sparsity), train, steps)
    for name, kernel in kernels.items():
        zeros = 1 - np.count_nonzero(kernel) / kernel.size
        assert zeros == (pytest.approx(sparsity, abs=1e-3) if name in PRUNED else 0.0), name


def test_two_of_each_four_input_channels_are_zero(shallow: Any, train: Callable[..., Any]) -> None:
    kernels = pruned(shallow, Prune(structure="2:4"), train, 3)
    for name in PRUNED:
        height, width, incoming, filters = kernels[name].shape
        fours = kernels[name].reshape(height, width, incoming // 4, 4, filters)
        np.testing.assert_array_equal(np.count_nonzero(fours, axis=3), 2)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"kind": "prune", "structure": "2:4", "sparsity": 0.7}, "2:4 needs a sparsity of 0.5"),
        ({"kind": "prune", "training": {"patience": 2}}, "unpruned weights"),
    ],
)
def test_impossible_settings_are_refused_when_the_recipe_is_read(block: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        parse({"name": "x", "data": {"source": "folder:x"}, "teachers": [{"model": "t"}], "compress": [block]}, "x")


@pytest.mark.parametrize("kinds", [("qat", "prune"), ("cluster", "prune"), ("prune", "prune")])
def test_another_order_is_refused(kinds: tuple[str, str]) -> None:
    blocks = [{"kind": kind} for kind in kinds]
    with pytest.raises(RequestError, match="in the order prune, cluster, qat"):
        parse({"name": "x", "data": {"source": "folder:x"}, "teachers": [{"model": "t"}], "compress": blocks}, "x")
