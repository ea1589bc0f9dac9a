"""What a compression hands to the training, and what it makes of the trained network."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import tf_keras

from tfkd.compress.networks import built_with, weighted_layers
from tfkd.errors import RequestError

SMALLEST_KERNEL = 1024


@dataclass(frozen=True)
class Prepared:
    """A twin made ready for the training of one compression.

    Attributes:
        network: what is trained: a batch of inputs behind `rescale` to logits [B, classes].
        weights: gives, once trained, the arrays of each layer of the twin that holds weights, in the graph's order.
        rescale: scale and offset of the raw input before the network.
        constraints: what holds for a variable of the network after every update, by the variable's id.
    """

    network: tf_keras.Model
    weights: Callable[[], list[list[Any]]]
    rescale: tuple[float, float] = (1.0, 0.0)
    constraints: Mapping[int, Callable[[Any], Any]] = field(default_factory=dict)


def compressible(model: Any) -> list[Any]:
    """Returns the layers whose kernels are pruned and clustered: dense ones and full convolutions.

    Not the first of them, which sees the raw input, no depthwise convolution, and no kernel of less than 1,024 weights:
    they hold few bytes and much of the accuracy.

    Args:
        model: a tf_keras twin, or the Keras 3 model whose twin it is.
    """
    kernels = [layer for layer in weighted_layers(model) if type(layer).__name__ in ("Conv2D", "Dense")]
    return [layer for layer in kernels[1:] if math.prod(layer.kernel.shape) >= SMALLEST_KERNEL]


def wrapped(twin: tf_keras.Model, wrap: Callable[[Any], Any]) -> tuple[tf_keras.Model, list[Any]]:
    """Returns a twin whose compressible layers are wrapped, and the wrappers.

    Raises:
        RequestError: there is no such layer.
    """
    wrappers = {id(layer): wrap(layer) for layer in compressible(twin)}
    if not wrappers:
        raise RequestError(
            f"{twin.name!r} has nothing to prune or cluster: no Conv2D or Dense behind the first one has "
            f"{SMALLEST_KERNEL:,} weights or more. Leave 'prune' and 'cluster' out of compress."
        )
    return built_with(twin, lambda layer: wrappers.get(id(layer), layer)), list(wrappers.values())
