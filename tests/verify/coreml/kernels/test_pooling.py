import numpy as np
import pytest
import tensorflow as tf
from coremltools import proto
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.verify.coreml.graphs import few, images, run_both_ways, seeds
from tfkd.verify.coreml.kernels.pooling import avg_pool, max_pool, pooling_layer
from tfkd.verify.coreml.layout import CHANNELS_FIRST, CHANNELS_LAST

NETWORK = proto.NeuralNetwork_pb2
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
borders = st.lists(st.integers(0, 2), min_size=4, max_size=4)


def tensorflow(function: str, x: np.ndarray, window: object, strides: object, padding: str) -> np.ndarray:
    laid = np.transpose(x, CHANNELS_LAST)
    return np.transpose(getattr(tf.nn, function)(laid, window, strides, padding), CHANNELS_FIRST)


def windows(
    x: np.ndarray, window: tuple[int, int], strides: tuple[int, int], pad: list[int], fill: float
) -> np.ndarray:
    """Returns [n, c, rows, columns, h, w]: every window of the padded images."""
    padded = np.pad(x, [(0, 0), (0, 0), pad[:2], pad[2:]], constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, window, (2, 3))[:, :, :: strides[0], :: strides[1]]


@few
@given(seeds, pairs, pairs, st.sampled_from(["valid", "same"]))
def test_maximum(seed: int, window: tuple[int, int], strides: tuple[int, int], kind: str) -> None:
    x = images(2, 3, 5, 6, seed)
    got = run_both_ways(lambda x: max_pool(x, window, kind, strides), x)
    np.testing.assert_array_equal(got, tensorflow("max_pool2d", x, window, strides, kind.upper()))


@few
@given(seeds, pairs, pairs, borders)
def test_maximum_with_borders(seed: int, window: tuple[int, int], strides: tuple[int, int], pad: list[int]) -> None:
    assume(max(pad[:2]) < window[0] and max(pad[2:]) < window[1])
    x = images(2, 3, 5, 6, seed) - 10.0
    got = run_both_ways(lambda x: max_pool(x, window, "custom", strides, pad), x)
    np.testing.assert_array_equal(got, windows(x, window, strides, pad, -np.inf).max((-1, -2)))


@few
@given(seeds, pairs, pairs)
def test_average(seed: int, window: tuple[int, int], strides: tuple[int, int]) -> None:
    """TensorFlow's own "SAME" leaves the borders out of the average."""
    x = images(2, 3, 5, 6, seed)
    for kind in ("valid", "same"):
        got = run_both_ways(lambda x: avg_pool(x, window, kind, strides, exclude_padding_from_average=True), x)  # noqa: B023
        wanted = tensorflow("avg_pool2d", x, window, strides, kind.upper())
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@few
@given(seeds, pairs, pairs, borders, st.booleans())
def test_average_with_borders(
    seed: int, window: tuple[int, int], strides: tuple[int, int], pad: list[int], excluded: bool
) -> None:
    assume(max(pad[:2]) < window[0] and max(pad[2:]) < window[1])
    x = images(2, 3, 5, 6, seed)
    got = run_both_ways(lambda x: avg_pool(x, window, "custom", strides, pad, excluded), x)
    counted = windows(np.ones_like(x), window, strides, pad, 0.0 if excluded else 1.0).sum((-1, -2))
    wanted = windows(x, window, strides, pad, 0.0).sum((-1, -2)) / counted
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_sizes": (2,)}, "are not two sizes"),
        ({"kernel_sizes": (2, 0)}, "are not two sizes"),
        ({"ceil_mode": np.True_}, "rounds its output size up"),
    ],
)
def test_impossible_arguments(arguments: dict[str, object], message: str) -> None:
    for pool in (max_pool, avg_pool):
        with pytest.raises(ValueError, match=message):
            run_both_ways(
                lambda x: pool(x, **({"kernel_sizes": (2, 2), "pad_type": "valid"} | arguments)),  # noqa: B023
                images(1, 2, 4, 4),
            )


def layer(kind: str, **fields: object) -> NETWORK.PoolingLayerParams:
    return NETWORK.PoolingLayerParams(type=NETWORK.PoolingLayerParams.PoolingType.Value(kind), **fields)


@pytest.mark.parametrize(("kind", "function"), [("MAX", np.max), ("AVERAGE", np.mean)])
def test_global_layer(kind: str, function: object) -> None:
    x = images(2, 3, 5, 4)
    got = run_both_ways(lambda x: pooling_layer(layer(kind, globalPooling=True), x), x)
    np.testing.assert_allclose(got, function(x, (2, 3), keepdims=True), rtol=1e-5)


@pytest.mark.parametrize(("kind", "function"), [("MAX", "max_pool2d"), ("AVERAGE", "avg_pool2d")])
def test_layer(kind: str, function: str) -> None:
    x = images(2, 3, 6, 6)
    parameters = layer(kind, kernelSize=[3, 3], stride=[2, 2], avgPoolExcludePadding=True)
    parameters.same.SetInParent()
    got = run_both_ways(lambda x: pooling_layer(parameters, x), x)
    np.testing.assert_allclose(got, tensorflow(function, x, (3, 3), (2, 2), "SAME"), rtol=1e-5)


def test_unknown_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="pools by L2"):
        run_both_ways(lambda x: pooling_layer(layer("L2", globalPooling=True), x), images(1, 2, 4, 4))
    rounded_up = layer("MAX", kernelSize=[2, 2])
    rounded_up.includeLastPixel.SetInParent()
    with pytest.raises(ValueError, match="unknown way includeLastPixel"):
        run_both_ways(lambda x: pooling_layer(rounded_up, x), images(1, 2, 4, 4))
