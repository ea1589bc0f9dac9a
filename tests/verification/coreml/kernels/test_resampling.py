"""Against TensorFlow's own operators and PyTorch's formulas in NumPy float64."""

import numpy as np
import pytest
import tensorflow as tf
from coremltools import proto

from tests.verification.coreml.graphs import images, run_both_ways
from tfkd.verification.coreml.kernels import rearranging, resampling
from tfkd.verification.coreml.layout import CHANNELS_FIRST, CHANNELS_LAST
from tfkd.verification.coreml.limits import UnsupportedError
from tfkd.verification.coreml.program import OPERATORS

NETWORK = proto.NeuralNetwork_pb2
SIZES = [(5, 4, 9, 12), (9, 12, 5, 4), (4, 4, 8, 12), (3, 3, 1, 1)]


def tensorflow(function: str, x: np.ndarray, size: tuple[int, int], **flags: bool) -> np.ndarray:
    laid = np.transpose(x, CHANNELS_LAST)
    return np.transpose(getattr(tf.raw_ops, function)(images=laid, size=size, **flags), CHANNELS_FIRST)


def interpolated(x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Interpolates by NumPy in float64 at places between the pixels."""

    def along(values: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
        old = np.arange(values.shape[axis])
        return np.apply_along_axis(lambda line: np.interp(places, old, line), axis, values.astype(np.float64))

    return along(along(x, rows, 2), columns, 3)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(
    ("mode", "flags"),
    [
        ("DEFAULT", {}),
        ("STRICT_ALIGN_CORNERS", {"align_corners": True}),
        ("UNALIGN_CORNERS", {"half_pixel_centers": True}),
    ],
)
def test_bilinear_modes_of_tensorflow(mode: str, flags: dict[str, bool], sizes: tuple[int, ...]) -> None:
    x, size = images(2, 3, *sizes[:2]), sizes[2:]
    got = run_both_ways(lambda x: resampling.resize_bilinear(x, *size, sampling_mode=mode), x)
    np.testing.assert_allclose(got, tensorflow("ResizeBilinear", x, size, **flags), atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "old", "new", "grid"),
    [  # from coremltools' documentation of the operator
        ("UNALIGN_CORNERS", 2, 5, [0, 0.1, 0.5, 0.9, 1]),
        ("OFFSET_CORNERS", 2, 5, [0.1, 0.3, 0.5, 0.7, 0.9]),
        ("DEFAULT", 2, 5, [0, 0.4, 0.8, 1, 1]),
        ("ALIGN_CORNERS", 2, 5, [0, 0.25, 0.5, 0.75, 1]),
        ("ALIGN_CORNERS", 4, 1, [1.5]),
    ],
)
def test_bilinear_grids(mode: str, old: int, new: int, grid: list[float]) -> None:
    x = images(2, 2, old, old)
    got = run_both_ways(lambda x: resampling.resize_bilinear(x, new, new, mode), x)
    np.testing.assert_allclose(got, interpolated(x, np.array(grid), np.array(grid)), atol=1e-5)


@pytest.mark.parametrize("sizes", SIZES)
def test_nearest(sizes: tuple[int, ...]) -> None:
    x, size = images(2, 3, *sizes[:2]), sizes[2:]
    got = run_both_ways(lambda x: resampling.resize_nearest_neighbor(x, *size), x)
    np.testing.assert_array_equal(got, tensorflow("ResizeNearestNeighbor", x, size))


@pytest.mark.parametrize(
    ("arguments", "flags"),
    [
        ({}, {"align_corners": True}),
        ({"align_corners": False}, {"half_pixel_centers": True}),
        ({"align_corners": False, "half_pixel_centers": False}, {}),
    ],
)
def test_upsampling(arguments: dict[str, bool], flags: dict[str, bool]) -> None:
    x = images(2, 3, 4, 5)
    got = run_both_ways(lambda x: OPERATORS["upsample_bilinear"](x, 2, 3, **arguments), x)
    np.testing.assert_allclose(got, tensorflow("ResizeBilinear", x, (8, 15), **flags), atol=1e-5)
    repeated = run_both_ways(lambda x: OPERATORS["upsample_nearest_neighbor"](x, 2, 3), x)
    np.testing.assert_array_equal(repeated, x.repeat(2, 2).repeat(3, 3))


@pytest.mark.parametrize(
    ("mode", "flags"),
    [
        ("DEFAULT", {}),
        ("ALIGN_CORNERS_TRUE", {"align_corners": True}),
        ("ALIGN_CORNERS_FALSE", {"half_pixel_centers": True}),
    ],
)
def test_upsampling_layer(mode: str, flags: dict[str, bool]) -> None:
    kind = NETWORK.UpsampleLayerParams
    x = images(2, 3, 4, 5)
    layer = kind(scalingFactor=[2, 3], mode="BILINEAR", linearUpsampleMode=mode)
    got = run_both_ways(lambda x: resampling.upsample_layer(layer, x), x)
    np.testing.assert_allclose(got, tensorflow("ResizeBilinear", x, (8, 15), **flags), atol=1e-5)
    repeated = run_both_ways(lambda x: resampling.upsample_layer(kind(scalingFactor=[2, 3]), x), x)
    np.testing.assert_array_equal(repeated, x.repeat(2, 2).repeat(3, 3))


@pytest.mark.parametrize(
    ("method", "flags"), [("UPSAMPLE_MODE", {}), ("ALIGN_ENDPOINTS_MODE", {"align_corners": True})]
)
def test_resizing_layer(method: str, flags: dict[str, bool]) -> None:
    layer = NETWORK.ResizeBilinearLayerParams(targetSize=[7, 3], mode=NETWORK.SamplingMode(samplingMethod=method))
    x = images(2, 3, 4, 5)
    got = run_both_ways(lambda x: resampling.resize_bilinear_layer(layer, x), x)
    np.testing.assert_allclose(got, tensorflow("ResizeBilinear", x, (7, 3), **flags), atol=1e-5)


def test_blocks_of_pixels_become_channels_and_back() -> None:
    x = images(2, 8, 4, 6)
    for name in ("space_to_depth", "depth_to_space"):
        got = run_both_ways(lambda x: OPERATORS[name](x, 2), x)  # noqa: B023
        expected = np.transpose(getattr(tf.nn, name)(np.transpose(x, CHANNELS_LAST), 2), CHANNELS_FIRST)
        np.testing.assert_array_equal(got, expected)
        layer = NETWORK.ReorganizeDataLayerParams(mode=name.upper(), blockSize=2)
        np.testing.assert_array_equal(run_both_ways(lambda x: rearranging.reorganize_layer(layer, x), x), expected)  # noqa: B023
    shuffled = run_both_ways(lambda x: rearranging.depth_to_space_by_channel(x, 2), x)
    for channel, row, column in ((0, 0, 0), (1, 3, 2), (1, 7, 11)):  # PyTorch: channel, then the place in the block
        source = x[:, channel * 4 + row % 2 * 2 + column % 2, row // 2, column // 2]
        np.testing.assert_array_equal(shuffled[:, channel, row, column], source)


def test_impossible_or_unknown_arguments_are_refused() -> None:
    x = images(1, 3, 4, 4)
    with pytest.raises(UnsupportedError, match="unknown way SOMEHOW"):
        run_both_ways(lambda x: resampling.resize_bilinear(x, 2, 2, "SOMEHOW"), x)
    with pytest.raises(ValueError, match="resizes"):
        run_both_ways(lambda x: resampling.resize_nearest_neighbor(x, 0, 1 << 30), x)
    with pytest.raises(ValueError, match="by blocks of 2"):
        run_both_ways(lambda x: rearranging.depth_to_space(x, 2), x)
