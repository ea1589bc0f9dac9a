"""Quantizes a float TFLite network after training, from what its activations do on real images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.optimize.calibrator import Calibrator

from tfkd.errors import RequestError, nearest
from tfkd.writers import Calibration, ranges, rewrite
from tfkd.writers.flatbuffer import TfliteNetwork

RANGES: dict[str, Callable[[TfliteNetwork, np.ndarray], ranges.TensorRanges]] = {
    "min_max": ranges.min_max,
    "mse": ranges.least_squares,
}
_DTYPES: dict[str, type] = {"uint8": np.uint8, "int8": np.int8}


@dataclass(frozen=True)
class Bare:
    """A float classifier from normalised pixels to logits, and images as it takes them, float32 [n, S, S, 3]."""

    network: TfliteNetwork
    pixels: rewrite.PixelQuantization
    images: np.ndarray


def int8(content: bytes, calibration: Calibration) -> bytes:
    """Returns a classifier in int8: weights per channel, activations per tensor, bytes in and out.

    Args:
        content: TFLite, float32 [1, S, S, 3] raw RGB 0..255 to float32 probabilities [1, classes].
        calibration: how.

    Raises:
        RequestError: a range method, an I/O type or an operator of the calibration does not exist.
    """
    if calibration.ranges not in RANGES:
        raise RequestError(f"There are no ranges {calibration.ranges!r}.{nearest(calibration.ranges, list(RANGES))}")
    bare = _bare(content, calibration.images)
    in_float = _in_float(bare.network, calibration.float_layers)
    found = ranges.addable(bare.network, RANGES[calibration.ranges](bare.network, bare.images))
    for tensor, limits in (found | {int(bare.network.graph.inputs[0]): bare.pixels.range}).items():
        bare.network.graph.tensors[tensor].quantization = _limits(*limits)
    return with_bytes(mlir_quantize(bare.network.packed(), denylisted_nodes=in_float), bare.pixels, calibration.io)


def int16(content: bytes, calibration: Calibration) -> bytes:
    """Returns a classifier in 16x8: weights int8 per channel, activations int16 per tensor, bytes in and out.

    The ranges are all that was seen: clipping pays for 256 levels, not for 65,536.

    Raises:
        RequestError: the I/O type of the calibration does not exist.
    """
    bare = _bare(content, calibration.images)
    quantized = Calibrator(bare.network.packed()).calibrate_and_quantize(
        lambda: ([image[np.newaxis]] for image in bare.images), tf.float32, tf.float32, False, tf.int16, tf.int64
    )
    return with_bytes(quantized, bare.pixels, calibration.io)


def with_bytes(content: bytes, pixels: rewrite.PixelQuantization, io: str) -> bytes:
    """Returns a quantized network with float ends as a classifier that takes and gives bytes (`rewrite.with_ends`).

    Raises:
        RequestError: `io` is neither uint8 nor int8.
    """
    if io not in _DTYPES:
        raise RequestError(f"An int8 file cannot take {io!r}.{nearest(io, list(_DTYPES))}")
    network = TfliteNetwork(content)
    rewrite.with_ends(network, pixels, _DTYPES[io])
    return network.packed()


def _bare(content: bytes, images: np.ndarray) -> Bare:
    network = TfliteNetwork(content)
    rewrite.without_hard_swish(network)
    pixels = rewrite.without_ends(network)
    normalised = (images.astype(np.float32) - pixels.zero_point) * np.float32(pixels.scale)
    return Bare(network, pixels, normalised)


def _in_float(network: TfliteNetwork, texts: Sequence[str]) -> list[str]:
    """Returns the names of the operators, by what they compute, that hold one of the wanted texts."""
    names = [network.name(int(operator.outputs[0])) for operator in network.graph.operators]
    for text in texts:
        if not any(text in name for name in names):
            parts = sorted({part for name in names for part in (name, *name.split(";"))})
            raise RequestError(
                f"export.float_layers: no operator of the int8 file has {text!r} in its name.{nearest(text, parts)}"
            )
    return [name for name in names if any(text in name for text in texts)]


def _limits(low: float, high: float) -> schema.QuantizationParametersT:
    parameters = schema.QuantizationParametersT()
    parameters.min, parameters.max = np.array([low], np.float32), np.array([high], np.float32)
    return parameters
