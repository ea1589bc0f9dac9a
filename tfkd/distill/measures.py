"""Measures of a classifier's logits."""

from typing import Any

import numpy as np


def softmax(logits: Any) -> Any:
    """Returns probabilities, float64 [n, classes], of logits of any float dtype."""
    shifted = np.asarray(logits, np.float64)
    shifted = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def logits_of(probabilities: Any) -> Any:
    """Returns logits, float64 [n, classes], whose softmax are probabilities of any float dtype."""
    values = np.asarray(probabilities, np.float64)
    return np.log(np.maximum(values, np.finfo(np.float32).tiny))


def flatness(logits: Any, temperature: float) -> float:
    """Returns the mean entropy of softmax(logits / temperature) as a fraction of that of a uniform guess, 0 to 1."""
    probabilities = softmax(np.asarray(logits, np.float64) / temperature)
    entropy = -(probabilities * np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))).sum(axis=-1)
    return float(entropy.mean() / np.log(probabilities.shape[-1]))


def confidence(logits: Any, temperature: float = 1.0) -> float:
    """Returns the mean of the largest probability in softmax(logits / temperature), 0 to 1."""
    return float(softmax(np.asarray(logits, np.float64) / temperature).max(axis=-1).mean())


def accuracy(logits: Any, labels: Any) -> float:
    """Returns the fraction of examples, 0 to 1, whose largest of [n, classes] is at the label, int [n]."""
    return float(np.mean(np.argmax(logits, axis=-1) == labels))


def paired_p_value(first: Any, second: Any, thousands: int = 10) -> float:
    """Returns how often chance alone gives a difference between two classifiers as large as the observed one.

    A sign-flip test over the examples on which both were measured, drawn with seed 0: it tests whether other examples
    of the same kind would show a difference, not whether other seeds would.

    Reference: Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses", 2005, chapter 3.

    Args:
        first: fraction of the seeds that classified each example correctly, float [n].
        second: the same of the other classifier.
        thousands: number of draws, in thousands.

    Returns:
        The two-sided p-value, at least one over the draws.
    """
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    differences = differences[differences != 0]
    rng = np.random.default_rng(0)
    observed = abs(differences.sum()) - 1e-9
    signs = (rng.integers(0, 2, (1000, len(differences))) * 2 - 1 for _ in range(thousands))
    beyond = sum(int((np.abs(block @ differences) >= observed).sum()) for block in signs)
    return (beyond + 1) / (1000 * thousands + 1)


def calibration_error(logits: Any, labels: Any, bins: int = 15) -> float:
    """Returns the expected calibration error of logits; see `calibration_error_of`."""
    return calibration_error_of(softmax(logits), labels, bins)


def calibration_error_of(probabilities: Any, labels: Any, bins: int = 15) -> float:
    """Returns the expected calibration error, 0 to 1: the mean gap between confidence and accuracy.

    Reference: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599.

    Args:
        probabilities: float [n, classes].
        labels: int [n].
        bins: number of equally wide confidence bins.
    """
    probabilities = np.asarray(probabilities, np.float64)
    confidence = np.minimum(probabilities.max(axis=-1), 1.0)
    correct = probabilities.argmax(axis=-1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))
