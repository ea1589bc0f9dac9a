"""Ensembles of teachers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfkd.distill.measures import softmax


def together(logits: Sequence[Any], weights: Sequence[float]) -> Any:
    """Returns the ensemble's logits: the logarithm of the weighted mean probability.

    Args:
        logits: float [n, classes] of each teacher.
        weights: the relative weight of each teacher.

    Returns:
        float32 [n, classes]; the logits of a single teacher are unchanged.
    """
    if len(logits) == 1:
        return np.asarray(logits[0], np.float32)
    mean = np.average([softmax(each) for each in logits], axis=0, weights=weights)
    return np.log(np.maximum(mean, np.finfo(np.float32).tiny)).astype(np.float32)
