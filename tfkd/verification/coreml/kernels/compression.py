"""Compressed constants of ML programs: what iOS 16 and iOS 18 unpack when a model is loaded."""

import math
from typing import Any

import numpy as np

from tfkd.verification.coreml.values import unpacked


def affine_dequantize(quantized_data: np.ndarray, zero_point: Any, scale: Any, axis: Any) -> np.ndarray:
    """Computes scale * (data - zero point); the two are one number, or one for each index of an axis."""
    aligned = [1] * quantized_data.ndim
    aligned[int(axis)] = -1
    factor, offset = (value.reshape(aligned if value.ndim else ()).astype(np.float32) for value in (scale, zero_point))
    return factor * (quantized_data.astype(np.float32) - offset)


def cast(source_val: np.ndarray, output_dtype: str) -> np.ndarray:
    """Widens float16, which is held as float32 already."""
    if output_dtype != "fp32":
        raise ValueError(f"it casts to {output_dtype}")
    return source_val


def blockwise_shift_scale(data: np.ndarray, scale: np.ndarray, offset: np.ndarray | None = None) -> np.ndarray:
    """Computes scale * (data - offset), with a scale and an offset for each block of the data."""
    shifted = data.astype(np.float32)
    if offset is not None:
        shifted = shifted - offset[_blocks(data, offset.shape)]
    return scale[_blocks(data, scale.shape)] * shifted


def lut_to_dense(
    indices: np.ndarray, lut: np.ndarray, shape: np.ndarray | None = None, vector_axis: Any = None
) -> np.ndarray:
    """Looks values up.

    Args:
        indices: uint8 [bytes], packed (iOS 16, with `shape`); or unpacked, [...] (iOS 18).
        lut: [2^bits] (iOS 16); or [blocks along each axis..., 2^bits, vector] (iOS 18).
        shape: of the result (iOS 16).
        vector_axis: along which a vector of values takes the place of one index (iOS 18).
    """
    if shape is not None:
        sizes = [int(size) for size in shape]
        return lut[unpacked(indices.tobytes(), len(lut).bit_length() - 1, math.prod(sizes))].reshape(sizes)
    vectors = lut[(*_blocks(indices, lut.shape[:-2]), indices)]
    if vector_axis is None:
        return vectors.reshape(indices.shape)
    axis = int(vector_axis) % indices.ndim
    sizes = [size * lut.shape[-1] if i == axis else size for i, size in enumerate(indices.shape)]
    return np.moveaxis(vectors, -1, axis + 1).reshape(sizes)


def sparse_to_dense(nonzero_data: np.ndarray, mask: np.ndarray, shape: np.ndarray | None = None) -> np.ndarray:
    """Writes values where a mask is set; it is packed into bytes (iOS 16, with `shape`) or unpacked (iOS 18)."""
    if shape is not None:
        sizes = [int(size) for size in shape]
        mask = unpacked(mask.tobytes(), 1, math.prod(sizes)).reshape(sizes)
    dense = np.zeros(mask.shape, nonzero_data.dtype)
    dense[mask != 0] = nonzero_data
    return dense


def lut_to_sparse(
    indices_mask: np.ndarray, indices_nonzero_data: np.ndarray, lut: np.ndarray, vector_axis: Any = None
) -> list[np.ndarray]:
    """Looks the values of a sparse constant up; returns its mask and its values."""
    dense = lut_to_dense(sparse_to_dense(indices_nonzero_data, indices_mask), lut, vector_axis=vector_axis)
    mask = indices_mask if vector_axis is None else np.repeat(indices_mask, lut.shape[-1], int(vector_axis))
    return [mask, dense[mask != 0]]


def sparse_blockwise_shift_scale(
    data_mask: np.ndarray, nonzero_data: np.ndarray, scale: np.ndarray, offset: np.ndarray | None = None
) -> list[np.ndarray]:
    """Scales and shifts the values of a sparse constant; returns its mask and its values."""
    dense = sparse_to_dense(nonzero_data, data_mask)
    return [data_mask, blockwise_shift_scale(dense, scale, offset)[data_mask != 0]]


def _blocks(data: np.ndarray, blocks: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Returns, axis by axis, in which of so many blocks each element of the data lies."""
    if len(blocks) != data.ndim or any(size % max(count, 1) for size, count in zip(data.shape, blocks, strict=True)):
        raise ValueError(f"{data.shape} cannot be cut into {blocks} blocks")
    return np.ix_(*(np.arange(size) // (size // count) for size, count in zip(data.shape, blocks, strict=True)))
