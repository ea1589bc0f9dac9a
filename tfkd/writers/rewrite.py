"""Changes of a TFLite graph that keep its mathematics and let XNNPACK run all of it.

XNNPACK has no int8 HARD_SWISH and SOFTMAX, no QUANTIZE from uint8 to int8, and no depthwise convolution of float
activations with int8 weights; each is said here in operators that it has.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfkd.inputs.image.tensors import NAME
from tfkd.inputs.text.tensors import NAME as IDS
from tfkd.writers.flatbuffer import TfliteNetwork
from tfkd.writers.graph import OUTPUT

_LOGITS = "logits"
_RELU6 = schema.ActivationFunctionType.RELU6
_NO_ACTIVATION = schema.ActivationFunctionType.NONE


@dataclass(frozen=True)
class PixelQuantization:
    """The value of a pixel p from 0 to 255: scale * (p - zero_point)."""

    scale: float
    zero_point: int

    @property
    def range(self) -> tuple[float, float]:
        """The numbers of a black and of a white pixel."""
        return -self.scale * self.zero_point, self.scale * (255 - self.zero_point)


RAW = PixelQuantization(scale=1.0, zero_point=0)
NORMALISED = PixelQuantization(scale=1 / 128, zero_point=128)  # x/128 - 1, as in every student's first layer


def without_ends(network: TfliteNetwork) -> PixelQuantization:
    """Takes the softmax off a classifier's end, and off its beginning the rescale, where a byte's quantization says it.

    Multiplications, additions and subtractions of single numbers that follow the input are together a * p + b, which is
    the quantization of a byte where -b / a is a whole number from 0 to 255: x/128 - 1 has scale 1/128 and zero point
    128.

    Returns:
        The values of pixels at the new input of the network.
    """
    _take_softmax_off(network)
    steps = list(_rescale(network))
    scale, offset = 1.0, 0.0
    for kind, value, _ in steps:
        scale, offset = (scale * value, offset * value) if kind == "MUL" else (scale, offset + value)
    pixels = _quantization(scale, offset)
    if pixels is not None:
        for _, _, operator in steps:
            network.graph.operators.remove(operator)
            network.graph.inputs = [int(operator.outputs[0])]
    network.sign(NAME, _LOGITS)
    network.tidy()
    return pixels or RAW


def without_softmax(network: TfliteNetwork) -> None:
    """Takes the softmax off the end of a classifier of texts, from ids to probabilities."""
    _take_softmax_off(network)
    network.sign(IDS, _LOGITS)
    network.tidy()


def _take_softmax_off(network: TfliteNetwork) -> None:
    last = network.graph.operators.pop()
    if network.kind(last) != "SOFTMAX":
        raise ValueError(f"the graph ends in {network.kind(last)}, not in SOFTMAX")
    network.graph.outputs = [int(last.inputs[0])]


def without_hard_swish(network: TfliteNetwork) -> None:
    """Says every HARD_SWISH of a float network as x * (relu6(x + 3) * 1/6) (Howard et al. 2019, arXiv:1905.02244).

    The product with 1/6 costs no accuracy in int8: it changes the scale of what it is given, not the integers.
    """
    operators = []
    for operator in network.graph.operators:
        operators.extend(_spelled_out(network, operator) if network.kind(operator) == "HARD_SWISH" else [operator])
    network.graph.operators = operators
    network.tidy()


def with_float_depthwise(network: TfliteNetwork) -> None:
    """Lets depthwise convolutions of float activations read their int8 weights through a DEQUANTIZE.

    XNNPACK unpacks such weights once, when the file is loaded; the file does not grow.
    """
    operators = []
    for operator in network.graph.operators:
        if network.kind(operator) == "DEPTHWISE_CONV_2D":
            image, weights, *bias = (int(tensor) for tensor in operator.inputs)
            if network.dtype(image) == np.float32 and network.dtype(weights) == np.int8:
                unpacked = network.add_tensor(f"{network.name(weights)}_float", network.shape(weights), np.float32)
                operators.append(network.operator("DEQUANTIZE", [weights], [unpacked]))
                operator.inputs = np.array([image, unpacked, *bias], np.int32)
        operators.append(operator)
    network.graph.operators = operators


def with_ends(network: TfliteNetwork, pixels: PixelQuantization, dtype: type) -> None:
    """Lets a quantized network with float input and logits take and give bytes, and ends it in a float softmax.

    Args:
        network: float32 [1, S, S, 3] to float32 logits [1, classes].
        pixels: values of pixels at its input.
        dtype: np.uint8 for pixels 0 to 255 and probabilities in 1/256; np.int8 for both less 128.
    """
    shift = np.iinfo(dtype).min
    graph = network.graph
    numbers = int(graph.inputs[0])
    image = network.add_tensor(NAME, network.shape(numbers), dtype, pixels.scale, pixels.zero_point + shift)
    graph.operators = [network.operator("DEQUANTIZE", [image], [numbers]), *graph.operators]
    graph.inputs = [image]
    _add_softmax(network, dtype)
    network.sign(NAME, OUTPUT)
    network.tidy()


def with_probabilities(network: TfliteNetwork, dtype: type) -> None:
    """Ends a quantized network of texts with float logits in a float softmax whose probabilities are bytes.

    Args:
        network: int32 [1, length] ids to float32 logits [1, classes].
        dtype: np.uint8 for probabilities in 1/256; np.int8 for these less 128.
    """
    _add_softmax(network, dtype)
    network.sign(IDS, OUTPUT)
    network.tidy()


def _add_softmax(network: TfliteNetwork, dtype: type) -> None:
    logits = int(network.graph.outputs[0])
    shape = network.shape(logits)
    floats = network.add_tensor(f"{OUTPUT}_float", shape, np.float32)
    probabilities = network.add_tensor(OUTPUT, shape, dtype, 1 / 256, np.iinfo(dtype).min)
    network.graph.operators += [
        network.operator("SOFTMAX", [logits], [floats], beta=1.0),
        network.operator("QUANTIZE", [floats], [probabilities]),
    ]
    network.graph.outputs = [probabilities]


def _rescale(network: TfliteNetwork) -> Iterator[tuple[str, float, Any]]:
    """Yields what happens to the image before anything else: MUL or ADD, the number, the operator."""
    tensor = int(network.graph.inputs[0])
    while len(readers := network.consumers(tensor)) == 1:
        (operator,) = readers
        kind = network.kind(operator)
        if kind not in ("MUL", "ADD", "SUB") or operator.builtinOptions.fusedActivationFunction != _NO_ACTIVATION:
            return
        others = [int(other) for other in operator.inputs if other != tensor]
        value = network.constant(others[0]) if len(others) == 1 else None
        if value is None or value.size != 1 or (kind == "SUB" and operator.inputs[0] != tensor):
            return
        number = float(value.reshape(()))
        yield ("ADD", -number, operator) if kind == "SUB" else (kind, number, operator)
        tensor = int(operator.outputs[0])


def _quantization(scale: float, offset: float) -> PixelQuantization | None:
    if not scale > 0:
        return None
    zero_point = round(-offset / scale)
    exact = abs(-offset / scale - zero_point) < 1e-4  # the file's numbers are float32
    return PixelQuantization(scale, zero_point) if exact and 0 <= zero_point <= 255 else None


def _spelled_out(network: TfliteNetwork, operator: Any) -> list[Any]:
    (x,), (y,) = operator.inputs, operator.outputs
    name, shape = network.name(y), network.shape(y)
    three = network.add_constant(f"{name}_three", np.array(3, np.float32))
    sixth = network.add_constant(f"{name}_sixth", np.array(1 / 6, np.float32))
    clipped = network.add_tensor(f"{name}_clipped", shape, np.float32)
    gate = network.add_tensor(f"{name}_gate", shape, np.float32)
    return [
        network.operator("ADD", [x, three], [clipped], fusedActivationFunction=_RELU6),
        network.operator("MUL", [clipped, sixth], [gate]),
        network.operator("MUL", [x, gate], [y]),
    ]
