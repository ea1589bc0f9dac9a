"""Clustering leaves few different weights, and zeros where they were."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.compress.conftest import SHALLOW
from tests.tiny import build_teacher
from tfkd.compress import cluster
from tfkd.compress.prepared import compressible
from tfkd.compress.tf_keras_copy import copy_layer_by_layer, pass_weights, student_copy
from tfkd.errors import RequestError
from tfkd.recipe import Cluster


def test_kernels_hold_few_different_weights_and_train(shallow: Any, train: Callable[..., Any]) -> None:
    prepared = cluster.prepare(student_copy(SHALLOW, shallow), Cluster(clusters=8), 3, ())
    before = [np.asarray(layer.kernel) for layer in compressible(shallow)]
    trained = train(prepared, 3)
    pass_weights(prepared.weights(), shallow)
    images = np.full((1, 32, 32, 3), 90.0, np.float32)
    np.testing.assert_allclose(shallow(images), trained(images), rtol=1e-4, atol=1e-6)
    for old, layer in zip(before, compressible(shallow), strict=True):
        new = np.asarray(layer.kernel)
        assert len(np.unique(new)) <= 8
        assert np.corrcoef(old.ravel(), new.ravel())[0, 1] > 0.9


def test_zeros_of_a_pruned_student_stay_zero(shallow: Any, train: Callable[..., Any]) -> None:
    for layer in compressible(shallow):
        kernel = np.asarray(layer.kernel)
        layer.kernel.assign(np.where(np.abs(kernel) < np.median(np.abs(kernel)), 0.0, kernel))
    zeros = [np.asarray(layer.kernel) == 0 for layer in compressible(shallow)]
    prepared = cluster.prepare(student_copy(SHALLOW, shallow), Cluster(clusters=8), 3, ("prune",))
    train(prepared, 3)
    pass_weights(prepared.weights(), shallow)
    for mask, layer in zip(zeros, compressible(shallow), strict=True):
        assert (np.asarray(layer.kernel)[mask] == 0).all()
        assert len(np.unique(layer.kernel)) <= 8


def test_a_network_without_large_kernels_is_refused() -> None:
    with pytest.raises(RequestError, match="nothing to prune or cluster"):
        cluster.prepare(copy_layer_by_layer(build_teacher(image_size=32, classes=3)), Cluster(), 1, ())
