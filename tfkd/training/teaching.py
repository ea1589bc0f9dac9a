"""What a training reads its soft labels from: the stores of all teachers, or their combination."""

from collections.abc import Collection, Sequence

from tfkd.store.combination import Combination
from tfkd.store.soft_labels import SoftLabels
from tfkd.training.job import Store

StoredPredictions = SoftLabels | Combination


def open_stores(stores: Sequence[Store], features: Collection[str] = ()) -> tuple[list[StoredPredictions], list[float]]:
    """Opens the stores of a training.

    Args:
        stores: one per teacher.
        features: features to read.

    Returns:
        What to read, and the weight of each; a single combination where a teacher knows only a part of the examples.

    Raises:
        RequestError: a store is unfinished, damaged or of other predictions.
    """
    found = [SoftLabels(each.folder, each.header, features) for each in stores]
    weights = [each.weight for each in stores]
    if all(each.packed_membership is None for each in stores):
        return [*found], weights
    return [Combination(found, weights, [each.membership for each in stores])], [1.0]
