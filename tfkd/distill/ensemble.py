"""Ensembles of teachers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfkd.distill.measures import softmax


def together(logits: Sequence[Any], weights: Sequence[float], membership: Sequence[np.ndarray] | None = None) -> Any:
    """Returns the ensemble's logits: the logarithm of the weighted mean probability.

    Args:
        logits: float [n, classes] of each teacher.
        weights: the relative weight of each teacher.
        membership: whether each teacher knows each example, bool [n]; at least one teacher knows it, and the weights of
            those that do are divided by their sum. None: all know all.

    Returns:
        float32 [n, classes]; the logits of the only teacher of an example are unchanged.
    """
    if len(logits) == 1:
        return np.asarray(logits[0], np.float32)
    if membership is None:
        return _logarithm(np.average([softmax(each) for each in logits], axis=0, weights=weights))
    by_example = np.asarray(weights)[:, None] * np.stack(membership)
    probabilities = np.stack([softmax(each) for each in logits])
    found = _logarithm((by_example[..., None] * probabilities).sum(axis=0) / by_example.sum(axis=0)[:, None])
    alone = np.sum(membership, axis=0) == 1
    for own, mine in zip(logits, membership, strict=True):
        found[alone & mine] = own[alone & mine]
    return found


def placed(rows: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Returns the rows of all examples, [n, classes], from those of the members; the others are zero."""
    found = np.zeros((len(members), *rows.shape[1:]), rows.dtype)
    found[members] = rows
    return found


def _logarithm(probabilities: Any) -> Any:
    return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).astype(np.float32)
