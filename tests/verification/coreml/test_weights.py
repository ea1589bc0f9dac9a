import math

import numpy as np
import pytest
from coremltools import proto
from hypothesis import given
from hypothesis import strategies as st

from tests.verification.coreml.graphs import few, seeds, values
from tfkd.verification.coreml.weights import weights

WeightParams = proto.NeuralNetwork_pb2.WeightParams


def packed(numbers: list[int], bits: int) -> bytes:
    """Writes numbers as Core ML does: into one long binary number, the first of them at its highest bits."""
    whole = 0
    for number in numbers:
        whole = whole << bits | number
    length = math.ceil(len(numbers) * bits / 8)
    return (whole << (8 * length - bits * len(numbers))).to_bytes(length, "big")


def test_floats() -> None:
    x = values((2, 3))
    np.testing.assert_array_equal(weights(WeightParams(floatValue=x.reshape(-1)), [2, 3]), x)
    half = weights(WeightParams(float16Value=x.astype("<f2").tobytes()), [2, 3])
    np.testing.assert_array_equal(half, x.astype(np.float16).astype(np.float32))


@few
@given(seeds, st.integers(1, 8), st.sampled_from([1, 3]))
def test_linear(seed: int, bits: int, scales: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 1 << bits, (3, 5))
    stored = WeightParams(rawValue=packed(codes.reshape(-1).tolist(), bits))
    stored.quantization.numberOfBits = bits
    scale, bias = values((scales, 1), seed), values((scales, 1), seed + 1)
    stored.quantization.linearQuantization.scale.extend(scale.reshape(-1))
    stored.quantization.linearQuantization.bias.extend(bias.reshape(-1))
    np.testing.assert_allclose(weights(stored, [3, 5]), codes * scale + bias, rtol=1e-5, atol=1e-5)


@few
@given(seeds, st.integers(1, 8))
def test_table(seed: int, bits: int) -> None:
    codes, table = np.random.default_rng(seed).integers(0, 1 << bits, (3, 5)), values((1 << bits,), seed)
    stored = WeightParams(rawValue=packed(codes.reshape(-1).tolist(), bits))
    stored.quantization.numberOfBits = bits
    stored.quantization.lookupTableQuantization.floatValue.extend(table)
    np.testing.assert_array_equal(weights(stored, [3, 5]), table[codes])


def quantized(raw: bytes, bits: int) -> WeightParams:
    stored = WeightParams(rawValue=raw)
    stored.quantization.numberOfBits = bits
    return stored


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (WeightParams(floatValue=[1.0]), "1 weights for the shape"),
        (WeightParams(), "0 weights for the shape"),
        (WeightParams(float16Value=b"123"), "3 bytes for numbers of 2"),
        (WeightParams(int8RawValue=b"123456"), "quantized as it runs"),
        (quantized(b"12345", 8), "5 bytes for 6 weights of 8 bits"),
        (quantized(b"123456", 9), "6 bytes for 6 weights of 9 bits"),
        (quantized(b"123456", 8), "quantized in an unknown way"),
    ],
)
def test_damaged(stored: WeightParams, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weights(stored, [2, 3])
