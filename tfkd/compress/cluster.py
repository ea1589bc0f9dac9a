"""Weight clustering: each kernel has few distinct weights, whose values are trained."""

from typing import Any

import tf_keras

from tfkd.compress.networks import weighted_layers
from tfkd.compress.prepared import Prepared, wrapped
from tfkd.compress.toolkit import tfmot
from tfkd.recipe import Cluster


def prepare(copy: tf_keras.Model, block: Cluster, steps: int, before: tuple[str, ...]) -> Prepared:
    """Returns the copy with clustered kernels, ready to train; zeros of a pruned copy stay zero.

    The centroids are initialised by k-means++ with a fixed seed (Arthur, Vassilvitskii, SODA 2007). They are trained
    with the gradients of all their weights, and each weight may move to another centroid (Han, Mao,
    Dally 2015, arXiv:1510.00149, section 3).

    Args:
        copy: a batch of raw inputs to logits [B, classes].
        block: its block of the recipe.
        steps: steps of the training; ignored.
        before: kinds of the earlier compressions.

    Raises:
        RequestError: the copy has no layer that can be clustered.
    """
    clustering = tfmot.clustering.keras
    original = [list(layer.weights) for layer in weighted_layers(copy)]
    network, wrappers = wrapped(
        copy,
        lambda layer: clustering.cluster_weights(
            layer,
            block.clusters,
            clustering.CentroidInitialization.KMEANS_PLUS_PLUS,
            preserve_sparsity="prune" in before,
        ),
    )

    def weights() -> list[list[Any]]:
        for wrapper in wrappers:
            wrapper.update_clustered_weights_associations()
            wrapper.original_clusterable_weights["kernel"].assign(wrapper.layer.kernel)
        return [[variable.numpy() for variable in variables] for variables in original]

    return Prepared(network, weights)
