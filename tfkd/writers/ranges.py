"""The ranges of a network's activations on real images: what the int8 scales are made from."""

from collections.abc import Iterator

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tfkd.quiet import native_logs_silenced
from tfkd.writers.flatbuffer import TfliteNetwork

_BINS = 2048  # eight to a level of int8
_CLIPS = np.linspace(1.0, 0.02, 99)  # what is tried of each end of a range
_ROUNDS = 2  # of trying both ends in turn
_ADDED = 64  # the widest range of a sum over the narrowest

TensorRanges = dict[int, tuple[float, float]]  # by tensor, smallest and largest value; 0 lies inside


def min_max(network: TfliteNetwork, images: np.ndarray) -> TensorRanges:
    """Returns the smallest and the largest value of every float tensor that depends on the input.

    Args:
        network: float, with one input.
        images: [n, ...] as the network takes them.
    """
    tensors = network.computed()
    lowest, highest = np.zeros(len(tensors)), np.zeros(len(tensors))
    for number, values in _activations(network, tensors, images):
        lowest[number] = min(lowest[number], values.min())
        highest[number] = max(highest[number], values.max())
    return {tensor: (float(lowest[n]), float(highest[n])) for n, tensor in enumerate(tensors)}


def least_squares(network: TfliteNetwork, images: np.ndarray, levels: int = 256) -> TensorRanges:
    """Returns the ranges whose quantization has the least squared error on the images, clipping included.

    Few large values are clipped where that makes all others finer (Choukroun et al. 2019, arXiv:1902.06822; Nagel et
    al. 2021, arXiv:2106.08295, section 3.1). The input and the logits keep all that was seen: the first is known, and a
    clipped logit could no longer win.

    Args:
        network: float, with one input.
        images: [n, ...] as the network takes them.
        levels: of the quantization, 256 for int8.
    """
    ranges = min_max(network, images)
    clipped = [tensor for tensor in ranges if tensor not in (*network.graph.inputs, *network.graph.outputs)]
    counts = np.zeros((len(clipped), _BINS))
    for number, values in _activations(network, clipped, images):
        low, high = ranges[clipped[number]]
        if high > low:
            places = ((values.ravel() - low) * ((_BINS - 1) / (high - low))).astype(np.int32)
            counts[number] += np.bincount(places, minlength=_BINS)
    return ranges | {tensor: best_range(counts[n], *ranges[tensor], levels) for n, tensor in enumerate(clipped)}


def addable(network: TfliteNetwork, found: TensorRanges) -> TensorRanges:
    """Returns the ranges, those widened that are too narrow for XNNPACK to add them to what they are added to.

    It adds tensors whose scales differ by less than 2**8. In x + 3, as of a hard swish, a range of x narrower than the
    sum's levels says nothing and leaves the delegate.
    """
    widened = dict(found)
    for operator in network.graph.operators:
        if network.kind(operator) != "ADD":
            continue
        summed = [int(tensor) for tensor in (*operator.inputs, *operator.outputs)]
        needed = max(_width(network, widened, tensor) for tensor in summed) / _ADDED
        for tensor in set(summed) & widened.keys():
            low, high = widened[tensor]
            widened[tensor] = low, max(high, low + needed)
    return widened


def _width(network: TfliteNetwork, found: TensorRanges, tensor: int) -> float:
    if tensor in found:
        low, high = found[tensor]
        return high - low
    value = network.constant(tensor)
    return 0.0 if value is None else float(np.abs(value).max())


def best_range(counts: np.ndarray, low: float, high: float, levels: int) -> tuple[float, float]:
    """Returns the range inside [low, high] whose uniform quantization has the least squared error.

    Args:
        counts: [bins] how many values lie in each of as many equal parts of the range.
        low: not above 0.
        high: not below 0.
        levels: of the quantization.
    """
    if not high > low:
        return low, high
    values = np.linspace(low, high, len(counts))

    def error(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        step = (upper - lower) / (levels - 1)
        clipped = np.clip(values, lower[:, np.newaxis], upper[:, np.newaxis])
        rounded = np.rint(clipped / step[:, np.newaxis]) * step[:, np.newaxis]
        return ((values - rounded) ** 2) @ counts

    best_low, best_high = low, high
    for _ in range(_ROUNDS):
        candidates = high * _CLIPS
        best_high = candidates[error(np.full_like(candidates, best_low), candidates).argmin()] if high > 0 else high
        candidates = low * _CLIPS
        best_low = candidates[error(candidates, np.full_like(candidates, best_high)).argmin()] if low < 0 else low
    return float(best_low), float(best_high)


def _activations(network: TfliteNetwork, tensors: list[int], images: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the place of each tensor in the list and its values, image by image.

    LiteRT runs on one thread and without a delegate, so that all tensors exist and equal images give equal values.
    """
    with native_logs_silenced():
        interpreter = Interpreter(
            model_content=network.packed(),
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    image_index = interpreter.get_input_details()[0]["index"]
    for image in images:
        interpreter.set_tensor(image_index, image[np.newaxis])
        interpreter.invoke()
        for number, tensor in enumerate(tensors):
            yield number, interpreter.get_tensor(tensor)
