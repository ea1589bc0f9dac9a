"""Quantizes a float TFLite network after training, from what its activations do on real images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.optimize.calibrator import Calibrator

from tfkd.errors import RequestError, nearest
from tfkd.writers import Calibration, ConversionError, ranges, rewrite
from tfkd.writers.flatbuffer import TfliteNetwork

RANGES: dict[str, Callable[[TfliteNetwork, np.ndarray], ranges.TensorRanges]] = {
    "min_max": ranges.min_max,
    "mse": ranges.least_squares,
}
_DTYPES: dict[str, type] = {"uint8": np.uint8, "int8": np.int8}
_ATTENTION = "BATCH_MATMUL"
_OF_AVERAGES = ("MEAN", "MAXIMUM", "DIV")


@dataclass(frozen=True)
class Bare:
    """A float classifier from normalised pixels to logits, and images as it takes them, float32 [n, S, S, 3]."""

    network: TfliteNetwork
    pixels: rewrite.PixelQuantization
    images: np.ndarray


def int8(content: bytes, calibration: Calibration) -> bytes:
    """Returns a classifier of images in int8: weights per channel, activations per tensor, bytes in and out.

    Args:
        content: TFLite, float32 [1, S, S, 3] raw RGB 0..255 to float32 probabilities [1, classes].
        calibration: how.

    Raises:
        RequestError: a range method, an I/O type or an operator of the calibration does not exist.
    """
    bare = _bare(content, calibration.images)
    in_float = _in_float(bare.network, calibration.float_layers)
    found = _ranges(bare.network, bare.images, calibration.ranges)
    pixels = {int(bare.network.graph.inputs[0]): bare.pixels.range}
    return with_bytes(_quantized(bare.network, found | pixels, in_float), bare.pixels, calibration.io)


def int8_of_texts(content: bytes, calibration: Calibration) -> bytes:
    """Returns a classifier of texts in int8: the table, weights and activations, with probabilities as bytes.

    The mean over the pieces of a text is in float: XNNPACK has no int8 maximum and division.

    Args:
        content: TFLite, int32 [1, length] ids to float32 probabilities [1, classes].
        calibration: how.

    Raises:
        RequestError: a range method, an I/O type or an operator of the calibration does not exist.
        ConversionError: the network has attention, or a loop.
    """
    network = TfliteNetwork(content)
    _require_no_loops(network)
    if any(network.kind(operator) == _ATTENTION for operator in network.graph.operators):
        raise ConversionError(
            "Attention in int8 loses accuracy and runs outside of XNNPACK; use dynamic, which has int8 weights."
        )
    rewrite.without_softmax(network)
    found = _ranges(network, calibration.images, calibration.ranges)
    averages = [operator for operator in network.graph.operators if network.kind(operator) in _OF_AVERAGES]
    in_float = [network.name(int(operator.outputs[0])) for operator in averages]
    quantized = TfliteNetwork(_quantized(network, found, in_float + _in_float(network, calibration.float_layers)))
    rewrite.with_probabilities(quantized, _dtype(calibration.io))
    return quantized.packed()


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
    network = TfliteNetwork(content)
    rewrite.with_ends(network, pixels, _dtype(io))
    return network.packed()


def _dtype(io: str) -> type:
    if io not in _DTYPES:
        raise RequestError(f"An int8 file cannot take {io!r}.{nearest(io, list(_DTYPES))}")
    return _DTYPES[io]


def _ranges(network: TfliteNetwork, examples: np.ndarray, method: str) -> ranges.TensorRanges:
    if method not in RANGES:
        raise RequestError(f"There are no ranges {method!r}.{nearest(method, list(RANGES))}")
    return ranges.addable(network, RANGES[method](network, examples))


def _quantized(network: TfliteNetwork, found: ranges.TensorRanges, in_float: list[str]) -> bytes:
    for tensor, limits in found.items():
        network.graph.tensors[tensor].quantization = _limits(*limits)
    content: bytes = mlir_quantize(network.packed(), denylisted_nodes=in_float)
    return content


def _bare(content: bytes, images: np.ndarray) -> Bare:
    network = TfliteNetwork(content)
    _require_no_loops(network)
    rewrite.without_hard_swish(network)
    pixels = rewrite.without_ends(network)
    normalised = (images.astype(np.float32) - pixels.zero_point) * np.float32(pixels.scale)
    return Bare(network, pixels, normalised)


def _require_no_loops(network: TfliteNetwork) -> None:
    if network.has_loops:
        raise ConversionError(
            "Loops of recurrent layers are not quantized; use dynamic, or build the layers with unroll=True."
        )


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
