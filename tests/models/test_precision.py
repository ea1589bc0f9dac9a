"""Half-precision models as float32 ones."""

import keras
import numpy as np
import pytest

from tfkd.errors import RequestError
from tfkd.models.precision import in_float32


def half(*layers: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(3, dtype="mixed_float16")])


def test_a_half_precision_model_computes_in_float32_with_its_own_weights() -> None:
    model = half(keras.layers.Dense(5, activation="relu", dtype="mixed_float16"))
    copy = in_float32(model)
    values = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    assert {layer.compute_dtype for layer in copy.layers} == {"float32"}
    np.testing.assert_allclose(copy(values), model(values), atol=1e-2)
    for ours, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert in_float32(copy) is copy


def test_code_of_a_model_is_built_again_only_where_it_is_allowed() -> None:
    model = half(keras.layers.Lambda(lambda x: 2.0 * x, output_shape=(4,)))
    with pytest.raises(RequestError, match=r"cannot be built again in float32.*Lambda"):
        in_float32(model)
    assert in_float32(model, allow_code=True).layers[-1].compute_dtype == "float32"
