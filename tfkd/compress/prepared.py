"""The network that a compression trains, and how its weights are read after the training."""

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
    """A tf_keras copy prepared for the training of one compression.

    Attributes:
        network: the network to train: a batch of inputs after `rescale` to logits [B, classes].
        weights: returns the trained arrays of each layer of the copy that has weights, in the graph's order.
        rescale: scale and offset of the raw input before the network.
        constraints: functions applied to a variable after every update, by the variable's id.
    """

    network: tf_keras.Model
    weights: Callable[[], list[list[Any]]]
    rescale: tuple[float, float] = (1.0, 0.0)
    constraints: Mapping[int, Callable[[Any], Any]] = field(default_factory=dict)


def compressible(model: Any) -> list[Any]:
    """Returns the layers whose kernels are pruned and clustered: dense layers and full convolutions.

    The first of them, which gets the raw input, depthwise convolutions, and kernels of less than 1,024 weights are
    excluded, because they have few bytes and a large effect on accuracy.

    Args:
        model: a tf_keras copy or its Keras 3 original.
    """
    kernels = [layer for layer in weighted_layers(model) if type(layer).__name__ in ("Conv2D", "Dense")]
    return [layer for layer in kernels[1:] if math.prod(layer.kernel.shape) >= SMALLEST_KERNEL]


def wrapped(copy: tf_keras.Model, wrap: Callable[[Any], Any]) -> tuple[tf_keras.Model, list[Any]]:
    """Returns a copy with its compressible layers wrapped, and the wrappers.

    Raises:
        RequestError: there is no such layer.
    """
    wrappers = {id(layer): wrap(layer) for layer in compressible(copy)}
    if not wrappers:
        raise RequestError(
            f"{copy.name!r} has nothing to prune or cluster: no Conv2D or Dense after the first has "
            f"{SMALLEST_KERNEL:,} weights or more. Leave 'prune' and 'cluster' out of compress."
        )
    return built_with(copy, lambda layer: wrappers.get(id(layer), layer)), list(wrappers.values())
