"""Worked by hand, and against numbers that are unpacked one by one."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verification.coreml.graphs import few, seeds, values
from tfkd.verification.coreml.kernels import compression
from tfkd.verification.coreml.program import OPERATORS


def packed(numbers: list[int], bits: int) -> np.ndarray:
    """Writes numbers as Core ML does: into one long binary number, the first of them at its lowest bits."""
    whole = sum(number << (bits * place) for place, number in enumerate(numbers))
    return np.frombuffer(whole.to_bytes(math.ceil(len(numbers) * bits / 8), "little"), np.uint8)


@few
@given(seeds, st.sampled_from([0, 1, -1, None]))
def test_affine(seed: int, axis: int | None) -> None:
    random = np.random.default_rng(seed)
    data = random.integers(-128, 128, (3, 4, 2)).astype(np.int8)
    count = () if axis is None else (data.shape[axis],)
    scale, zero = np.abs(values(count, seed)), random.integers(-128, 128, count).astype(np.int8)
    got = OPERATORS["constexpr_affine_dequantize"](data, np.array(zero), np.array(scale), axis or 0)
    for place in itertools.product(*map(range, data.shape)):
        of = () if axis is None else place[axis]
        assert got[place] == pytest.approx(np.array(scale)[of] * (int(data[place]) - int(np.array(zero)[of])), rel=1e-6)


@few
@given(seeds, st.sampled_from([1, 2, 4, 6, 8]))
def test_packed_table(seed: int, bits: int) -> None:
    random = np.random.default_rng(seed)
    table = values((1 << bits,), seed)
    indices = random.integers(0, 1 << bits, (3, 5))
    got = OPERATORS["constexpr_lut_to_dense"](packed(indices.reshape(-1).tolist(), bits), table, np.array([3, 5]))
    np.testing.assert_array_equal(got, table[indices])


def test_tables_of_groups() -> None:
    """Two tables of four values, for the first and the last three of six rows."""
    indices = np.array([2, 3, 3, 0, 1, 0, 3, 0, 2, 1, 0, 3], np.uint8).reshape(6, 2)
    tables = np.array([[1, 5, 9, 13], [2, 10, 18, 26]], np.float32).reshape(2, 1, 4, 1)
    got = OPERATORS["constexpr_lut_to_dense"](indices, tables)
    np.testing.assert_array_equal(got, [[9, 13], [13, 1], [5, 1], [26, 2], [18, 10], [2, 26]])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_tables_of_vectors(axis: int) -> None:
    indices = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    table = np.array([[1, 2], [3, 4]], np.float32)
    got = OPERATORS["constexpr_lut_to_dense"](indices, table.reshape(1, 1, 2, 2), vector_axis=np.array(axis))
    if axis == 0:
        np.testing.assert_array_equal(got, [[1, 3, 3], [2, 4, 4], [3, 1, 1], [4, 2, 2]])
    else:
        np.testing.assert_array_equal(got, [[1, 2, 3, 4, 3, 4], [3, 4, 1, 2, 1, 2]])


@few
@given(seeds)
def test_sparse(seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 2, (3, 5)).astype(np.uint8)
    dense = values((3, 5), seed) * mask
    stored = dense[mask != 0]
    flat = packed(mask.reshape(-1).tolist(), 1)
    sparse = OPERATORS["constexpr_sparse_to_dense"]
    np.testing.assert_array_equal(sparse(stored, flat, np.array([3, 5])), dense)
    np.testing.assert_array_equal(sparse(stored, mask), dense)


@few
@given(seeds, st.booleans())
def test_blocks(seed: int, with_offset: bool) -> None:
    random = np.random.default_rng(seed)
    data = random.integers(-8, 8, (4, 6)).astype(np.int8)
    scale = np.abs(values((2, 3), seed))
    offset = random.integers(-8, 8, (2, 3)).astype(np.int8) if with_offset else None
    got = OPERATORS["constexpr_blockwise_shift_scale"](data, scale, offset)
    for row, column in itertools.product(range(4), range(6)):
        block = row // 2, column // 2
        shifted = int(data[row, column]) - (int(offset[block]) if offset is not None else 0)
        assert got[row, column] == pytest.approx(scale[block] * shifted, rel=1e-6)
    mask = (data > 0).astype(np.uint8)
    kept, sparse = OPERATORS["constexpr_sparse_blockwise_shift_scale"](mask, data[mask != 0], scale, offset)
    np.testing.assert_array_equal(kept, mask)
    np.testing.assert_array_equal(sparse, got[mask != 0])


def test_sparse_tables() -> None:
    mask = np.array([[1, 0, 1], [0, 1, 1]], np.uint8)
    table = np.array([2.0, 3.0], np.float32).reshape(1, 1, 2, 1)
    kept, found = OPERATORS["constexpr_lut_to_sparse"](mask, np.array([0, 1, 1, 0], np.uint8), table)
    np.testing.assert_array_equal(kept, mask)
    np.testing.assert_array_equal(found, [2, 3, 3, 2])
    vectors = np.array([[2, 4], [3, 5]], np.float32).reshape(1, 1, 2, 2)
    kept, found = OPERATORS["constexpr_lut_to_sparse"](mask, np.array([0, 1, 1, 0], np.uint8), vectors, np.array(0))
    np.testing.assert_array_equal(kept, np.repeat(mask, 2, 0))
    np.testing.assert_array_equal(found, [2, 3, 4, 5, 3, 2, 5, 4])


def test_cast() -> None:
    x = values((3,))
    np.testing.assert_array_equal(OPERATORS["constexpr_cast"](x, "fp32"), x)
    with pytest.raises(ValueError, match="casts to int8"):
        compression.cast(x, "int8")


def test_impossible_constants() -> None:
    with pytest.raises(ValueError, match="bytes for 6 numbers of 1 bits"):
        compression.lut_to_dense(np.zeros(2, np.uint8), np.zeros(2, np.float32), np.array([6]))
    with pytest.raises(ValueError, match="cannot be cut into"):
        compression.blockwise_shift_scale(np.zeros((4, 6), np.int8), np.ones((3, 3), np.float32))
    with pytest.raises(IndexError):
        compression.lut_to_dense(np.full((1, 1), 7, np.uint8), np.zeros((1, 1, 2, 1), np.float32))
