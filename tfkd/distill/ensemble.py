"""Several teachers as one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfkd.distill.measures import softmax


def together(logits: Sequence[Any], shares: Sequence[float]) -> Any:
    """Returns what several teachers predict together: the logarithm of their weighted mean probability.

    Args:
        logits: float [n, classes] of each teacher.
        shares: the weight of each, relative to the others'.

    Returns:
        float32 [n, classes]; one teacher's logits come back as they are.
    """
    if len(logits) == 1:
        return np.asarray(logits[0], np.float32)
    mean = np.average([softmax(answer) for answer in logits], axis=0, weights=shares)
    return np.log(np.maximum(mean, np.finfo(np.float32).tiny)).astype(np.float32)
