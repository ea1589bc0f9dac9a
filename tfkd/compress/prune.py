"""Magnitude pruning: the smallest weights of each layer become zero while the others are trained."""

from typing import Any

import tf_keras

from tfkd.compress.networks import weighted_layers
from tfkd.compress.prepared import Prepared, wrapped
from tfkd.compress.toolkit import tfmot
from tfkd.recipe import Prune

_UPDATES = 64  # largest number of mask updates, each of which sorts all weights


def prepare(copy: tf_keras.Model, block: Prune, steps: int, before: tuple[str, ...]) -> Prepared:
    """Returns the copy with masks over its kernels, ready to train.

    The sparsity grows over the first half of the training as 1 - (1 - t)^3, then stays (Zhu, Gupta 2017,
    arXiv:1710.01878, equation 1); 2:4 is set in the first step, two of each four neighbouring input channels.

    Args:
        copy: a batch of raw inputs to logits [B, classes].
        block: its block of the recipe.
        steps: steps of the training.
        before: kinds of the earlier compressions; ignored.

    Raises:
        RequestError: the copy has no layer that can be pruned.
    """
    sparsity = tfmot.sparsity.keras
    every = max(1, steps // 2 // _UPDATES)
    schedule = sparsity.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=block.sparsity,
        begin_step=0,
        end_step=max(1, steps // 2 // every) * every,
        frequency=every,
    )
    form = {"sparsity_m_by_n": (2, 4)} if block.structure == "2:4" else {}
    original = [list(layer.weights) for layer in weighted_layers(copy)]
    network, wrappers = wrapped(copy, lambda layer: sparsity.prune_low_magnitude(layer, schedule, **form))
    for wrapper in wrappers:
        wrapper.pruning_step.assign(0)  # as the toolkit's callback does

    def weights() -> list[list[Any]]:
        for wrapper in wrappers:
            for kernel, mask, _ in wrapper.pruning_vars:
                kernel.assign(kernel * mask)
        return [[variable.numpy() for variable in variables] for variables in original]

    return Prepared(network, weights)
