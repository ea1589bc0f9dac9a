"""Stores the weights of a Core ML model in fewer bits. Tensors of up to 2,048 weights stay as they are in a package."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfkd.quiet import native_logs_silenced

with native_logs_silenced():  # away from macOS the import logs every library that it misses
    import coremltools.optimize.coreml as optimize
    from coremltools.models.neural_network import quantization_utils

SPARSITY = 0.5  # of a pruned file

_ROUNDS = 50  # of Lloyd's algorithm; it has settled long before


def compressed(model: Any, format: str, precision: str) -> Any:
    """Returns coremltools' model with the weights of a precision; its own where that is what the converter writes."""
    compress = _COMPRESSIONS.get((format, precision))
    return compress(model) if compress else model


def _network(bits: int) -> Callable[[Any], Any]:
    return lambda model: quantization_utils.quantize_weights(model, bits, "linear")


def _quantized(model: Any) -> Any:
    """Eight bits, with a scale for each output channel."""
    each = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8", granularity="per_channel")
    return optimize.linear_quantize_weights(model, optimize.OptimizationConfig(each))


def _palettized(bits: int) -> Callable[[Any], Any]:
    def compress(model: Any) -> Any:
        each = optimize.OpPalettizerConfig(mode="custom", lut_function=lambda values: palette(values, bits))
        return optimize.palettize_weights(model, optimize.OptimizationConfig(each))

    return compress


def _pruned(model: Any) -> Any:
    """Leaves the smaller half of each tensor out; a student that was pruned in its training loses nothing."""
    each = optimize.OpMagnitudePrunerConfig(target_sparsity=SPARSITY)
    return optimize.prune_weights(model, optimize.OptimizationConfig(each))


_COMPRESSIONS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("mlmodel", "fp16"): _network(16),
    ("mlmodel", "int8"): _network(8),
    ("mlpackage", "int8"): _quantized,
    ("mlpackage", "palette6"): _palettized(6),
    ("mlpackage", "palette4"): _palettized(4),
    ("mlpackage", "pruned"): _pruned,
}


def palette(values: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Replaces numbers by the nearest of few, which are placed by k-means in one dimension (Lloyd 1982).

    coremltools' own k-means needs a library that it does not bring along, and starts at random.

    Args:
        values: float, any shape.
        bits: 1 to 8.

    Returns:
        The 2**bits numbers, of the type of `values`, and uint8 [size of `values`], which of them each value becomes.
    """
    flat = values.astype(np.float64).ravel()
    ordered = np.sort(flat)
    quantiles = (np.arange(2**bits) + 0.5) / 2**bits
    starts = (np.quantile(ordered, quantiles), ordered[0] + quantiles * (ordered[-1] - ordered[0]))
    centres = min((_settled(ordered, start) for start in starts), key=lambda found: _error(ordered, found))
    table = centres.astype(values.dtype)
    return table, _nearest(flat, table.astype(np.float64)).astype(np.uint8)


def _settled(ordered: np.ndarray, centres: np.ndarray) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    for _ in range(_ROUNDS):
        bounds = np.concatenate([[0], np.searchsorted(ordered, _middles(centres)), [len(ordered)]])
        counts = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(counts, 1)
        centres = np.sort(np.where(counts > 0, means, centres))
    return centres


def _error(values: np.ndarray, centres: np.ndarray) -> float:
    return float(np.square(values - centres[_nearest(values, centres)]).sum())


def _nearest(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.searchsorted(_middles(centres), values)


def _middles(centres: np.ndarray) -> np.ndarray:
    return (centres[1:] + centres[:-1]) / 2
