"""Runs kernels as the evaluator does: in a graph, on a batch whose size is not known while it is built."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from hypothesis import settings
from hypothesis import strategies as st

from tfkd.verification.coreml.layout import CHANNELS_FIRST, CHANNELS_LAST, transpose

few = settings(deadline=None, max_examples=4, derandomize=True)

sides = st.integers(1, 7)
channels = st.integers(1, 5)
seeds = st.integers(0, 2**16)


def values(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Returns float32 numbers around 0, none of them so near that a function's kink decides."""
    random = np.random.default_rng(seed)
    numbers = random.normal(0, 2, shape)
    return (numbers + 0.05 * np.sign(numbers)).astype(np.float32)


def images(batch: int, channels: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Returns float32 [batch, channels, height, width]."""
    return values((batch, channels, height, width), seed)


def run(function: Callable[..., Any], *inputs: np.ndarray) -> Any:
    """Calls a function of batched tensors in a graph; returns what it makes, as NumPy."""
    signature = [tf.TensorSpec([None, *value.shape[1:]], tf.float32) for value in inputs]
    outputs = tf.function(function, input_signature=signature, autograph=False)(*inputs)
    return [part.numpy() for part in outputs] if isinstance(outputs, list | tuple) else outputs.numpy()


def run_both_ways(function: Callable[[Any], Any], x: np.ndarray) -> Any:
    """Runs a kernel on images [n, c, h, w] that lie so in memory, and on ones that were made with the channels last.

    The second is what a layout that leaves transpositions out may get wrong.
    """
    plain = run(function, x)
    laid = run(lambda last: function(transpose(last, CHANNELS_FIRST)), np.transpose(x, CHANNELS_LAST))
    for one, other in zip(plain, laid, strict=True) if isinstance(plain, list) else [(plain, laid)]:
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5)
    return plain
