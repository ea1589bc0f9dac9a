import numpy as np
import pytest
import tensorflow as tf
from coremltools import proto
from hypothesis import given
from hypothesis import strategies as st

from tests.verification.coreml.graphs import few, images, run_both_ways, seeds, values
from tfkd.verification.coreml.kernels.convolution import conv, convolution_layer
from tfkd.verification.coreml.layout import CHANNELS_FIRST, CHANNELS_LAST

sizes = st.tuples(st.integers(1, 3), st.integers(1, 3))
NETWORK = proto.NeuralNetwork_pb2


def reference(
    x: np.ndarray,
    weight: np.ndarray,
    strides: tuple[int, int],
    padding: str | list[tuple[int, int]],
    dilations: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """Convolves each group of channels alone, with TensorFlow's plain convolution."""
    laid = np.transpose(x, CHANNELS_LAST)
    if not isinstance(padding, str):
        laid, padding = np.pad(laid, [(0, 0), *padding, (0, 0)]), "VALID"
    parts = [
        tf.nn.conv2d(inputs, np.transpose(kernel, (2, 3, 1, 0)), strides, padding, dilations=dilations)
        for inputs, kernel in zip(np.split(laid, groups, -1), np.split(weight, groups), strict=True)
    ]
    return np.transpose(np.concatenate(parts, -1), CHANNELS_FIRST)


@few
@given(seeds, sizes, sizes, st.sampled_from(["valid", "same"]), st.integers(3, 9), st.integers(3, 9))
def test_plain(
    seed: int, kernel: tuple[int, int], strides: tuple[int, int], kind: str, height: int, width: int
) -> None:
    x, weight = images(2, 3, height, width, seed), values((4, 3, *kernel), seed + 1)
    bias = values((4,), seed + 2)
    got = run_both_ways(lambda x: conv(x, weight, kind, strides, bias=bias), x)
    expected = reference(x, weight, strides, kind.upper()) + bias.reshape(4, 1, 1)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@few
@given(seeds, st.lists(st.integers(0, 3), min_size=4, max_size=4), sizes)
def test_custom_padding(seed: int, pad: list[int], strides: tuple[int, int]) -> None:
    x, weight = images(2, 3, 6, 5, seed), values((4, 3, 3, 2), seed + 1)
    got = run_both_ways(lambda x: conv(x, weight, "custom", strides, np.array(pad)), x)
    expected = reference(x, weight, strides, [(pad[0], pad[1]), (pad[2], pad[3])])
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@few
@given(
    seeds,
    st.sampled_from([(6, 1), (6, 2), (2, 2), (3, 1)]),
    sizes,
    sizes,
    st.sampled_from(["valid", "same", "custom"]),
)
def test_groups(
    seed: int, shape: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int], kind: str
) -> None:
    """Six channels in six, three or two groups; one group a channel is the depthwise convolution."""
    outputs, inputs = shape[0] * 2, shape[1]
    groups = 6 // inputs if 6 % inputs == 0 and outputs % (6 // inputs) == 0 else 1
    x, weight = images(2, inputs * groups, 7, 8, seed), values((outputs, inputs, *kernel), seed + 1)
    got = run_both_ways(lambda x: conv(x, weight, kind, strides, (1, 0, 2, 1), groups=groups), x)
    padding = [(1, 0), (2, 1)] if kind == "custom" else kind.upper()
    np.testing.assert_allclose(got, reference(x, weight, strides, padding, groups=groups), rtol=1e-4, atol=1e-4)


@few
@given(seeds, sizes, st.sampled_from(["valid", "same"]), st.sampled_from([1, 4]))
def test_dilations(seed: int, dilations: tuple[int, int], kind: str, groups: int) -> None:
    x, weight = images(1, 4, 9, 9, seed), values((4, 4 // groups, 3, 3), seed + 1)
    got = run_both_ways(lambda x: conv(x, weight, kind, (1, 1), dilations=dilations, groups=groups), x)
    np.testing.assert_allclose(got, reference(x, weight, (1, 1), kind.upper(), dilations, groups), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("size", "stride", "pad"), [(6, 2, (1, 0)), (7, 2, (1, 1)), (5, 1, (1, 1)), (4, 3, (1, 1))])
def test_same_lower_puts_the_odd_pixel_first(size: int, stride: int, pad: tuple[int, int]) -> None:
    """With a kernel of 3, an even size and a stride of 2 need one pixel of border."""
    x, weight = images(1, 2, size, size), values((2, 2, 3, 3))
    got = run_both_ways(lambda x: conv(x, weight, "same_lower", (stride, stride)), x)
    np.testing.assert_allclose(got, reference(x, weight, (stride, stride), [pad, pad]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": 2}, "in 2 groups do not fit 3 channels"),
        ({"groups": -3}, "in -3 groups do not fit"),
        ({"strides": (0, 1)}, "are not two sizes from 1"),
        ({"dilations": (1, 2, 1)}, "are not two sizes"),
        ({"pad_type": "custom", "pad": (0, 1)}, "are not four borders"),
        ({"pad_type": "custom", "pad": (0, 1, -1, 0)}, "are not four borders"),
        ({"pad_type": "mirror"}, "pads in the unknown way mirror"),
    ],
)
def test_impossible_arguments(arguments: dict[str, object], message: str) -> None:
    weight = values((4, 3, 3, 3))
    with pytest.raises(ValueError, match=message):
        run_both_ways(lambda x: conv(x, weight, **({"pad_type": "valid"} | arguments)), images(1, 3, 6, 6))


def layer(weight: np.ndarray, groups: int) -> NETWORK.ConvolutionLayerParams:
    parameters = NETWORK.ConvolutionLayerParams(
        outputChannels=len(weight), kernelChannels=weight.shape[1], nGroups=groups, hasBias=True
    )
    parameters.kernelSize.extend(weight.shape[2:])
    parameters.weights.floatValue.extend(weight.reshape(-1))
    parameters.bias.floatValue.extend(range(len(weight)))
    return parameters


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("mode", ["BOTTOM_RIGHT_HEAVY", "TOP_LEFT_HEAVY"])
def test_layer_of_the_same_size(groups: int, mode: str) -> None:
    x, weight = images(2, 4, 6, 8), values((8, 4 // groups, 3, 3))
    parameters = layer(weight, groups)
    parameters.stride.extend([2, 2])
    parameters.same.asymmetryMode = NETWORK.SamePadding.SamePaddingMode.Value(mode)
    got = run_both_ways(lambda x: convolution_layer(parameters, x), x)
    pad = (0, 1) if mode == "BOTTOM_RIGHT_HEAVY" else (1, 0)
    expected = reference(x, weight, (2, 2), [pad, pad], groups=groups) + np.arange(8).reshape(8, 1, 1)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_layer_with_borders() -> None:
    x, weight = images(2, 3, 5, 6), values((2, 3, 3, 3))
    parameters = layer(weight, 1)
    for start, end in ((1, 2), (0, 3)):
        parameters.valid.paddingAmounts.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)
    got = run_both_ways(lambda x: convolution_layer(parameters, x), x)
    expected = reference(x, weight, (1, 1), [(1, 2), (0, 3)]) + np.arange(2).reshape(2, 1, 1)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
