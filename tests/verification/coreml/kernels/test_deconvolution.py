"""Against TensorFlow's own transposed convolution, and against sums pixel by pixel in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from coremltools import proto

from tests.verification.coreml.graphs import images, run_both_ways, values
from tfkd.verification.coreml.kernels.convolution import convolution_layer
from tfkd.verification.coreml.kernels.deconvolution import conv_transpose
from tfkd.verification.coreml.layout import CHANNELS_FIRST, CHANNELS_LAST

NETWORK = proto.NeuralNetwork_pb2


def spread(x: np.ndarray, weight: np.ndarray, strides: tuple[int, int], dilations: tuple[int, int]) -> np.ndarray:
    """Adds each pixel times the weights to the places that it reaches, in float64."""
    (n, _, high, wide), (_, out, rows, columns) = x.shape, weight.shape
    sides = zip((high, wide), strides, (rows, columns), dilations, strict=True)
    size = [(side - 1) * step + (extent - 1) * gap + 1 for side, step, extent, gap in sides]
    output = np.zeros((n, out, *size))
    for i in range(high):
        for j in range(wide):
            for a in range(rows):
                for b in range(columns):
                    place = i * strides[0] + a * dilations[0], j * strides[1] + b * dilations[1]
                    output[:, :, place[0], place[1]] += x[:, :, i, j].astype(np.float64) @ weight[:, :, a, b]
    return output


@pytest.mark.parametrize(
    ("strides", "dilations"), [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((2, 1), (2, 3)), ((4, 4), (1, 1))]
)
def test_what_pixels_reach(strides: tuple[int, int], dilations: tuple[int, int]) -> None:
    x, weight, bias = images(2, 3, 4, 5), values((3, 2, 3, 2), 1), values((2,), 2)
    expected = spread(x, weight, strides, dilations) + bias.reshape(2, 1, 1)
    got = run_both_ways(lambda x: conv_transpose(x, weight, "valid", strides, dilations=dilations, bias=bias), x)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    cut = run_both_ways(lambda x: conv_transpose(x, weight, "custom", strides, [1, 0, 0, 1], dilations, bias=bias), x)
    np.testing.assert_allclose(cut, got[:, :, 1:, :-1], rtol=1e-5)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("groups", [1, 2])
def test_same_is_tensorflows(strides: tuple[int, int], groups: int) -> None:
    x, weight = images(2, 4, 4, 5), values((4, 3, 3, 2), 1)
    sizes = [size * step for size, step in zip(x.shape[2:], strides, strict=True)]
    parts = [
        tf.nn.conv2d_transpose(
            np.transpose(x[:, part], CHANNELS_LAST), np.transpose(weight[part], (2, 3, 1, 0)), [2, *sizes, 3], strides
        )
        for part in ([slice(None)] if groups == 1 else [slice(0, 2), slice(2, 4)])
    ]
    expected = np.transpose(np.concatenate(parts, -1), CHANNELS_FIRST)
    got = run_both_ways(lambda x: conv_transpose(x, weight, "same", strides, groups=groups), x)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    layer = NETWORK.ConvolutionLayerParams(
        outputChannels=3 * groups,
        kernelChannels=4,
        nGroups=groups,
        kernelSize=[3, 2],
        stride=strides,
        isDeconvolution=True,
    )
    layer.same.SetInParent()
    layer.weights.floatValue.extend(weight.reshape(-1))
    np.testing.assert_allclose(run_both_ways(lambda x: convolution_layer(layer, x), x), got, rtol=1e-5)


def test_a_requested_size_is_filled_with_zeros() -> None:
    x, weight = images(2, 3, 4, 4), values((3, 2, 2, 2), 1)
    got = run_both_ways(lambda x: conv_transpose(x, weight, "valid", (2, 2), output_shape=[1, 2, 9, 8]), x)
    np.testing.assert_allclose(got[:, :, :8], spread(x, weight, (2, 2), (1, 1)), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(got[:, :, 8], 0)
