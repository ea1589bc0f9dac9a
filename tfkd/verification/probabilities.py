"""Faults of predictions that no tolerance excuses: zeros, constants, numbers that are not probabilities."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfkd.verification import VerifyError

_SUM = 0.02  # float16 softmax of a thousand classes adds up to 1 within this
_LEAST_STEP = 1e-6  # float32 probabilities that differ by less are equal
_FRACTION = 0.25
_UNEXPLAINED = 0.5  # of the squared differences between images; 1 if every prediction is the mean prediction


def must_be_finite(probabilities: np.ndarray, path: Path, half: Callable[[], bool]) -> None:
    """Refuses a file's probabilities that are infinite or NaN.

    Args:
        probabilities: float [n, classes].
        path: of the file.
        half: returns whether the file holds float16 numbers.

    Raises:
        VerifyError: they are; the message names the file, and float16 if that is the likely cause.
    """
    if np.isfinite(probabilities).all():
        return
    cause = (
        f"it holds numbers in float16, whose largest is {np.finfo(np.float16).max:,.0f}; export it in fp32, or scale "
        "the model's weights and activations down"
        if half()
        else "the file is unusable"
    )
    raise VerifyError(f"{path}: some probabilities are not finite numbers: {cause}.")


def fault(predictions: np.ndarray, expected: np.ndarray, step: float | None) -> str | None:
    """Returns why predictions fail at any tolerance.

    Broken files and accelerators return zeros, the same for every image, or numbers that are not probabilities. With
    many classes such predictions differ from the expected ones by less than any tolerance.

    Args:
        predictions: float [n, classes].
        expected: float [n, classes], the expected predictions for the same images.
        step: of a quantized output; None for floats.

    Returns:
        The fault, as the end of the sentence "its predictions ..."; None if there is none.
    """
    return no_probabilities(predictions, step) or constant(predictions, expected, step)


def no_probabilities(predictions: np.ndarray, step: float | None) -> str | None:
    """Returns why predictions are not probabilities (see `fault`)."""
    if not np.isfinite(predictions).all():
        return "are not all numbers"
    if not predictions.any():
        return "are all zero"
    if predictions.min() < -_SUM or predictions.max() > 1 + _SUM:
        return f"lie between {predictions.min():.3g} and {predictions.max():.3g}, not between 0 and 1"
    sums = predictions.sum(axis=1, dtype=np.float64)
    off = sums[np.abs(sums - 1).argmax()]
    if abs(off - 1) > _SUM + predictions.shape[1] * (step or 0) / 2:
        return f"add up to {off:.3g}, not to 1"
    return None


def constant(predictions: np.ndarray, expected: np.ndarray, step: float | None) -> str | None:
    """Returns a fault if predictions, but not the expected ones, are equal for every image or class (see `fault`)."""
    for axis, what in ((0, "are the same for every example"), (1, "are the same for every class")):
        level = predictions.shape[axis] > 1 and not np.ptp(predictions, axis=axis).any()
        if level and np.ptp(expected, axis=axis).max() > 2 * max(step or 0, _LEAST_STEP):
            return what
    return None


def unrelated(predictions: np.ndarray, expected: np.ndarray, allowed: float) -> str | None:
    """Returns a fault if a constant prediction would be as near, as the tolerance may exceed differences of images.

    Args:
        predictions: float [n, classes].
        expected: float [n, classes], the expected predictions for the same images.
        allowed: the tolerance; predictions that differ by a fraction of it are not judged.
    """
    between = expected - expected.mean(axis=0, dtype=np.float64)
    off = np.square(predictions - expected, dtype=np.float64).sum()
    if np.ptp(expected, axis=0).max() > _FRACTION * allowed and off > _UNEXPLAINED * np.square(between).sum():
        return "distinguish the examples no better than a constant prediction"
    return None
