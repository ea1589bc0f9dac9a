"""The weights of a neural network: float32, float16, or 1 to 8 bits with a linear scale or a look-up table."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfkd.verification.coreml.limits import UnsupportedError


def weights(parameters: Any, shape: Sequence[int]) -> np.ndarray:
    """Returns the values of a `WeightParams`.

    Args:
        parameters: as the file holds them.
        shape: that the layer gives them; the first axis is the one that scales and biases may belong to.

    Returns:
        float32 of that shape.

    Raises:
        ValueError: they are not as many, or are stored in a form that is not known.
    """
    shape = [int(size) for size in shape]
    values = _values(parameters, shape)
    if values.size != math.prod(shape):
        raise ValueError(f"it has {values.size} weights for the shape {shape}")
    return values.reshape(shape)


def _values(parameters: Any, shape: list[int]) -> np.ndarray:
    if parameters.float16Value:
        return np.frombuffer(_whole(parameters.float16Value, 2), "<f2").astype(np.float32)
    if parameters.rawValue:
        return _dequantized(parameters, shape)
    if parameters.int8RawValue:
        raise UnsupportedError("its weights are for an input that is quantized as it runs, which is not known")
    return np.fromiter(parameters.floatValue, np.float32, len(parameters.floatValue))


def _whole(content: bytes, width: int) -> bytes:
    if len(content) % width:
        raise ValueError(f"its weights are cut: {len(content)} bytes for numbers of {width}")
    return content


def _dequantized(parameters: Any, shape: list[int]) -> np.ndarray:
    stored = parameters.quantization
    codes = _codes(parameters.rawValue, stored.numberOfBits, math.prod(shape))
    kind = stored.WhichOneof("QuantizationType")
    if kind == "lookupTableQuantization":
        return np.array(stored.lookupTableQuantization.floatValue, np.float32)[codes]
    if kind != "linearQuantization":
        raise UnsupportedError("its weights are quantized in an unknown way")
    scale, bias = (
        _per_channel(values, shape, neutral)
        for values, neutral in ((stored.linearQuantization.scale, 1.0), (stored.linearQuantization.bias, 0.0))
    )
    return codes.reshape(shape).astype(np.float32) * scale + bias


def _codes(raw: bytes, bits: int, count: int) -> np.ndarray:
    """Reads unsigned numbers that follow each other bit by bit, the most significant bit first."""
    if not 1 <= bits <= 8 or len(raw) != (count * bits + 7) // 8:
        raise ValueError(f"it has {len(raw)} bytes for {count} weights of {bits} bits")
    bit_rows = np.unpackbits(np.frombuffer(raw, np.uint8), count=count * bits).reshape(count, bits)
    return np.packbits(np.pad(bit_rows, ((0, 0), (8 - bits, 0))), axis=1)[:, 0]


def _per_channel(values: Any, shape: list[int], neutral: float) -> np.ndarray:
    numbers = np.array(values or [neutral], np.float32)
    return numbers.reshape(-1, *[1] * (len(shape) - 1))
