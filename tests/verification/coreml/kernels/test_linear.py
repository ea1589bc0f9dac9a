import numpy as np
import pytest
import tensorflow as tf
from coremltools import proto
from hypothesis import given
from hypothesis import strategies as st

from tests.verification.coreml.graphs import few, run, run_both_ways, seeds, values
from tfkd.verification.coreml.network import LAYERS
from tfkd.verification.coreml.program import OPERATORS

NETWORK = proto.NeuralNetwork_pb2
sizes = st.integers(1, 5)


@few
@given(seeds, sizes, sizes, sizes, st.booleans())
def test_by_a_constant_matrix(seed: int, rows: int, depth: int, columns: int, transposed: bool) -> None:
    matrix = values((columns, depth) if transposed else (depth, columns), seed)
    for shape in ((3, depth), (3, rows, depth), (3, rows, 2, depth)):
        x = values(shape, seed + 1)
        expected = tf.matmul(x, np.broadcast_to(matrix, (*shape[:-2], *matrix.shape)), transpose_b=transposed)
        got = run(lambda x: OPERATORS["matmul"](x, matrix, False, transposed), x)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@few
@given(seeds, st.booleans(), st.booleans())
def test_of_two_values(seed: int, first: bool, second: bool) -> None:
    x, y = values((3, 2, 5, 4) if first else (3, 2, 4, 5), seed), values((3, 2, 6, 5) if second else (3, 2, 5, 6), seed)
    expected = tf.matmul(x, y, transpose_a=first, transpose_b=second)
    got = run(lambda x, y: OPERATORS["matmul"](x, y, first, second), x, y)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    layer = NETWORK.BatchedMatMulLayerParams(transposeA=first, transposeB=second)
    np.testing.assert_allclose(run(lambda x, y: LAYERS["batchedMatmul"](layer, x, y), x, y), got, rtol=1e-6)


@few
@given(seeds, sizes, sizes)
def test_linear(seed: int, depth: int, columns: int) -> None:
    x, weight, bias = values((3, depth), seed), values((columns, depth), seed + 1), values((columns,), seed + 2)
    expected = x @ weight.T + bias
    np.testing.assert_allclose(run(lambda x: OPERATORS["linear"](x, weight, bias), x), expected, rtol=1e-4, atol=1e-4)
    inner = NETWORK.InnerProductLayerParams(inputChannels=depth, outputChannels=columns, hasBias=True)
    batched = NETWORK.BatchedMatMulLayerParams(
        weightMatrixFirstDimension=depth, weightMatrixSecondDimension=columns, hasBias=True
    )
    for name, layer in (("innerProduct", inner), ("batchedMatmul", batched)):
        layer.weights.floatValue.extend(weight.reshape(-1))
        layer.bias.floatValue.extend(bias)
        got = run(lambda x: LAYERS[name](layer, x), x)  # noqa: B023
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_after_a_pooling_with_the_channels_last() -> None:
    """So squeeze-and-excite ends up in Core ML: pooled, transposed, multiplied and transposed back."""
    x, matrix = values((2, 3, 4, 5)), values((3, 6), 1)

    def excite(x: tf.Tensor) -> tf.Tensor:
        pooled = OPERATORS["reduce_mean"](x, [2, 3], True)
        return OPERATORS["matmul"](OPERATORS["transpose"](pooled, [0, 2, 3, 1]), matrix)

    expected = np.mean(x, (2, 3)) @ matrix
    np.testing.assert_allclose(run_both_ways(excite, x), expected.reshape(2, 1, 1, 6), rtol=1e-4, atol=1e-5)


def test_images_of_a_batch_never_mix() -> None:
    for arguments in ((values((2, 3)), values((3, 3)), True), (values((3, 3)), values((2, 3)), False, True)):
        x, y, *flags = arguments
        with pytest.raises(ValueError, match="across the images of a batch"):
            run(lambda z: OPERATORS["matmul"](*((z, y) if flags[0] else (x, z)), *flags), x if flags[0] else y)  # noqa: B023


def test_quantization_at_run_time_is_refused() -> None:
    for name, layer in (
        ("innerProduct", NETWORK.InnerProductLayerParams),
        ("batchedMatmul", NETWORK.BatchedMatMulLayerParams),
    ):
        with pytest.raises(ValueError, match="quantizes its input as it runs"):
            LAYERS[name](layer(int8DynamicQuantize=True), values((2, 3)))


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="multiplies"):
        run(lambda x: OPERATORS["matmul"](x, values((4, 2))), values((2, 3)))
