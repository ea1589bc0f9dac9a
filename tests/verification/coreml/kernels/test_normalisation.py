import numpy as np
import pytest
import tensorflow as tf
from coremltools import proto
from hypothesis import given

from tests.verification.coreml.graphs import channels, few, images, run, run_both_ways, seeds, sides, values
from tfkd.verification.coreml.network import LAYERS
from tfkd.verification.coreml.program import OPERATORS

NETWORK = proto.NeuralNetwork_pb2


@few
@given(seeds, channels, sides, sides)
def test_batch_norm(seed: int, depth: int, height: int, width: int) -> None:
    x = images(2, depth, height, width, seed)
    mean, gamma, beta = (values((depth,), seed + k) for k in (1, 2, 3))
    variance = np.abs(values((depth,), seed + 4))
    expected = tf.nn.batch_normalization(np.moveaxis(x, 1, -1), mean, variance, beta, gamma, 1e-3)
    got = run_both_ways(lambda x: OPERATORS["batch_norm"](x, mean, variance, gamma, beta, 1e-3), x)
    np.testing.assert_allclose(got, np.moveaxis(expected, -1, 1), rtol=1e-4, atol=1e-4)
    layer = NETWORK.BatchnormLayerParams(channels=depth, epsilon=1e-3)
    for field, numbers in (("mean", mean), ("variance", variance), ("gamma", gamma), ("beta", beta)):
        getattr(layer, field).floatValue.extend(numbers)
    np.testing.assert_allclose(run_both_ways(lambda x: LAYERS["batchnorm"](layer, x), x), got, rtol=1e-5)


def test_batch_norm_without_gamma_and_beta_of_rank_2() -> None:
    x, mean, variance = values((4, 3)), values((3,), 1), np.abs(values((3,), 2))
    got = run(lambda x: OPERATORS["batch_norm"](x, mean, variance), x)
    np.testing.assert_allclose(got, (x - mean) / np.sqrt(variance + 1e-5), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1,), (3, 1, 1), (3, 4, 5)])
def test_scale_and_bias(shape: tuple[int, ...]) -> None:
    x, scale, bias = images(2, 3, 4, 5), values(shape, 1), values(shape, 2)
    layer = NETWORK.ScaleLayerParams(shapeScale=shape, hasBias=True, shapeBias=shape)
    layer.scale.floatValue.extend(scale.reshape(-1))
    layer.bias.floatValue.extend(bias.reshape(-1))
    got = run_both_ways(lambda x: LAYERS["scale"](layer, x), x)
    np.testing.assert_allclose(got, x * scale + bias, rtol=1e-5, atol=1e-5)
    layer = NETWORK.BiasLayerParams(shape=shape)
    layer.bias.floatValue.extend(bias.reshape(-1))
    np.testing.assert_allclose(run_both_ways(lambda x: LAYERS["bias"](layer, x), x), x + bias, rtol=1e-5, atol=1e-5)


def normalised(x: np.ndarray, axes: tuple[int, ...], epsilon: float) -> np.ndarray:
    exact = x.astype(np.float64)
    mean, variance = exact.mean(axes, keepdims=True), exact.var(axes, keepdims=True)
    return (exact - mean) / np.sqrt(variance + epsilon)


@pytest.mark.parametrize("axes", [(-1,), (2, 3), (1, 2, 3), (1,)])
def test_layer_norm(axes: tuple[int, ...]) -> None:
    x = images(2, 3, 4, 5)
    sizes = [x.shape[axis] for axis in axes]
    gamma, beta = values(tuple(sizes), 1), values(tuple(sizes), 2)
    broadcast = [size if axis in {each % 4 for each in axes} else 1 for axis, size in enumerate(x.shape)]
    expected = normalised(x, axes, 1e-2) * gamma.reshape(broadcast) + beta.reshape(broadcast)
    got = run_both_ways(lambda x: OPERATORS["layer_norm"](x, axes, gamma, beta, 1e-2), x)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    plain = run_both_ways(lambda x: OPERATORS["layer_norm"](x, axes, epsilon=1e-2), x)
    np.testing.assert_allclose(plain, normalised(x, axes, 1e-2), rtol=1e-4, atol=1e-5)
    if axes == tuple(range(4 - len(axes), 4)):
        layer = NETWORK.LayerNormalizationLayerParams(normalizedShape=sizes, eps=1e-2)
        layer.gamma.floatValue.extend(gamma.reshape(-1))
        layer.beta.floatValue.extend(beta.reshape(-1))
        np.testing.assert_allclose(run_both_ways(lambda x: LAYERS["layerNormalization"](layer, x), x), got, rtol=1e-5)


def test_layers_of_the_images_own_statistics() -> None:
    x, gamma, beta = images(2, 3, 4, 5), values((3,), 1), values((3,), 2)
    expected = normalised(x, (2, 3), 1e-3) * gamma.reshape(3, 1, 1) + beta.reshape(3, 1, 1)
    got = run_both_ways(lambda x: OPERATORS["instance_norm"](x, gamma, beta, 1e-3), x)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    layer = NETWORK.BatchnormLayerParams(channels=3, computeMeanVar=True, instanceNormalization=True, epsilon=1e-3)
    layer.gamma.floatValue.extend(gamma)
    layer.beta.floatValue.extend(beta)
    np.testing.assert_allclose(run_both_ways(lambda x: LAYERS["batchnorm"](layer, x), x), got, rtol=1e-5)


def test_length_of_one() -> None:
    x = images(2, 3, 4, 5)
    expected = x / np.sqrt(np.square(x.astype(np.float64)).sum((1, 2, 3), keepdims=True) + 1e-3)
    np.testing.assert_allclose(run_both_ways(lambda x: OPERATORS["l2_norm"](x, 1e-3), x), expected, rtol=1e-5)
    layer = NETWORK.L2NormalizeLayerParams(epsilon=1e-3)
    np.testing.assert_allclose(run_both_ways(lambda x: LAYERS["l2normalize"](layer, x), x), expected, rtol=1e-5)
