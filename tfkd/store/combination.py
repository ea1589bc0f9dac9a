"""The stores of several teachers as one, where each knows the examples of its domain alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfkd.distill.ensemble import together
from tfkd.store.layout import LOGITS, TeacherOutputs
from tfkd.store.soft_labels import SoftLabels


class Combination:
    """For each example, the stored logits of the teachers that know it; reading is that of `SoftLabels`.

    Args:
        stores: of the teachers, for the same transfer set.
        weights: of the teachers; of an example those of the teachers that know it count.
        membership: whether each teacher knows each example, bool [examples].

    Attributes:
        shapes: shape of the logits.
    """

    def __init__(
        self, stores: Sequence[SoftLabels], weights: Sequence[float], membership: Sequence[np.ndarray]
    ) -> None:
        self._stores = list(stores)
        self._weights = list(weights)
        self._membership = np.stack(membership)
        self.shapes = {LOGITS: stores[0].shapes[LOGITS]}

    def read(self, images: Any, view: int) -> TeacherOutputs:
        """Returns "logits" float32 [n, classes]; arguments and errors as of `SoftLabels.read`."""
        return self._together(images, [store.read(images, view) for store in self._stores])

    def mean(self, images: Any) -> TeacherOutputs:
        """Returns the mean prediction of all views; arguments and errors as of `SoftLabels.mean`."""
        return self._together(images, [store.mean(images) for store in self._stores])

    def _together(self, images: Any, predictions: Sequence[TeacherOutputs]) -> TeacherOutputs:
        logits = [each[LOGITS] for each in predictions]
        return {LOGITS: together(logits, self._weights, list(self._membership[:, images]))}
