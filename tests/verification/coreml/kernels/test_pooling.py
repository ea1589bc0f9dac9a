import numpy as np
import pytest
import tensorflow as tf
from coremltools import proto
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.verification.coreml.graphs import few, images, run, run_both_ways, seeds
from tfkd.verification.coreml.kernels.pooling import avg_pool, max_pool, pooling_layer
from tfkd.verification.coreml.layout import CHANNELS_FIRST, CHANNELS_LAST

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
        expected = tensorflow("avg_pool2d", x, window, strides, kind.upper())
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@few
@given(seeds, pairs, pairs, borders, st.booleans())
def test_average_with_borders(
    seed: int, window: tuple[int, int], strides: tuple[int, int], pad: list[int], excluded: bool
) -> None:
    assume(max(pad[:2]) < window[0] and max(pad[2:]) < window[1])
    x = images(2, 3, 5, 6, seed)
    got = run_both_ways(lambda x: avg_pool(x, window, "custom", strides, pad, excluded), x)
    counted = windows(np.ones_like(x), window, strides, pad, 0.0 if excluded else 1.0).sum((-1, -2))
    expected = windows(x, window, strides, pad, 0.0).sum((-1, -2)) / counted
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_sizes": (2,)}, "are not two sizes"),
        ({"kernel_sizes": (2, 0)}, "are not two sizes"),
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


def rounded_up(x: np.ndarray, window: int, step: int, pad: int, kind: str, excluded: bool = False) -> np.ndarray:
    """Pools as PyTorch does with ceil_mode, window by window in float64; padding counts, what lies beyond does not."""

    def spans(size: int) -> list[tuple[int, int]]:
        starts = range(-pad, size + pad, step)
        count = -(-(size + 2 * pad - window) // step) + 1
        inside = [start for start in list(starts)[:count] if start < size]
        return [(start, min(start + window, size + pad)) for start in inside]

    rows, columns = spans(x.shape[2]), spans(x.shape[3])
    output = np.zeros((*x.shape[:2], len(rows), len(columns)))
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            part = x[:, :, max(top, 0) : bottom, max(left, 0) : right].astype(np.float64)
            area = part.shape[2] * part.shape[3] if excluded else (bottom - top) * (right - left)
            output[:, :, i, j] = part.max((2, 3)) if kind == "MAX" else part.sum((2, 3)) / area
    return output


@pytest.mark.parametrize(("window", "step", "pad"), [(2, 2, 0), (3, 2, 0), (3, 2, 1), (2, 3, 0), (3, 3, 1), (3, 1, 1)])
@pytest.mark.parametrize("excluded", [False, True])
def test_sizes_that_are_rounded_up(window: int, step: int, pad: int, excluded: bool) -> None:
    x, edges = images(2, 3, 6, 7) - 3, [pad] * 4
    for kind, pool, options in (("MAX", max_pool, ()), ("AVERAGE", avg_pool, (excluded,))):
        expected = rounded_up(x, window, step, pad, kind, excluded)
        got = run_both_ways(
            lambda x: pool(x, (window, window), "custom", (step, step), edges, *options, ceil_mode=True),  # noqa: B023
            x,
        )
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
        parameters = layer(kind, kernelSize=[window] * 2, stride=[step] * 2, avgPoolExcludePadding=excluded)
        parameters.includeLastPixel.paddingAmounts.extend([pad, pad])
        got = run_both_ways(lambda x: pooling_layer(parameters, x), x)  # noqa: B023
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_rows_of_pixels() -> None:
    x = images(2, 3, 1, 7)[:, :, 0]
    got = run(lambda x: max_pool(x, [3], "valid", [2]), x)
    np.testing.assert_array_equal(got, np.stack([x[..., k : k + 3].max(-1) for k in (0, 2, 4)], -1))
    got = run(lambda x: avg_pool(x, [3], "custom", [2], [1, 1]), x)
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1)])
    np.testing.assert_allclose(got, np.stack([padded[..., k : k + 3].mean(-1) for k in (0, 2, 4, 6)], -1), atol=1e-6)
