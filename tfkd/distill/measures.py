"""What is measured of a classifier's logits."""

from typing import Any

import numpy as np


def softmax(logits: Any) -> Any:
    """Returns probabilities, float64 [n, classes], of logits of any float dtype."""
    shifted = np.asarray(logits, np.float64)
    shifted = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def accuracy(logits: Any, labels: Any) -> float:
    """Returns the share of images, 0 to 1, whose largest of [n, classes] is at the label, int [n]."""
    return float(np.mean(np.argmax(logits, axis=-1) == labels))


def calibration_error(logits: Any, labels: Any, bins: int = 15) -> float:
    """Returns the expected calibration error, 0 to 1: the mean gap between confidence and accuracy.

    Reference: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599.

    Args:
        logits: float [n, classes].
        labels: int [n].
        bins: number of equally wide confidence bins.
    """
    probabilities = softmax(logits)
    confidence = probabilities.max(axis=-1)
    correct = probabilities.argmax(axis=-1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))
