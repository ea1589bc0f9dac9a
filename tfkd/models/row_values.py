"""What the numbers of a classifier mean, told by their values: logits, or probabilities."""

from collections.abc import Sequence

import numpy as np

from tfkd.errors import RequestError

ROUNDED = 5e-2  # error of a sum of probabilities that are rounded to two decimals
_SOME = 0.1  # fraction of rows of one form from which the others must have it too
_NEGATIVE = -1e-6  # a probability that was rounded below 0
_SMALLEST = float(np.finfo(np.float32).tiny)


def hold_probabilities(
    rows: np.ndarray,
    name: str,
    advice: str = "check its weights, its input and its normalization",
    labels: Sequence[str] = (),
) -> bool:
    """Returns whether rows are probabilities instead of logits.

    Args:
        rows: predictions for different images, float [n, classes].
        name: name of the classifier in messages.
        advice: what to do about a row of NaN.
        labels: a name for each row, for messages.

    Raises:
        RequestError: there is one number per row, a number is NaN or infinite in float32, or some rows or all numbers
            are between 0 and 1 as probabilities are, but others do not sum to 1.
    """
    if rows.ndim != 2 or rows.shape[1] < 2:
        raise RequestError(f"{name} gives {list(rows.shape[1:])} numbers per image; it needs one for each class.")
    with np.errstate(over="ignore"):
        finite = np.asarray(np.isfinite(rows.astype(np.float32)).all(axis=1))
    if not finite.all():
        raise RequestError(f"{name} gives NaN or infinity for {row_named(~finite, labels)}; {advice}.")
    wide = rows.astype(np.float64)
    inside = ((wide >= _NEGATIVE) & (wide <= 1 + ROUNDED)).all(axis=1)
    sums = wide.sum(axis=1)
    right = inside & (np.abs(sums - 1) < ROUNDED)
    if right.all():
        return True
    if (inside.all() and wide.any()) or right.mean() > _SOME:  # an untrained network may give zeros
        first = int(np.argmin(right))
        raise RequestError(
            f"{name} gives probabilities, but they sum to {sums[first]:.3g} for {row_named(~right, labels)}; "
            "give logits, or probabilities of one softmax over all classes."
        )
    return False


def hold_percentages(rows: np.ndarray, name: str, labels: Sequence[str] = ()) -> bool:
    """Returns whether rows are probabilities in percent: none is negative, and each sums to about 100.

    Args:
        rows: predictions for different images, float [n, classes].
        name: where they come from, in messages.
        labels: a name for each row, for messages.

    Raises:
        RequestError: some rows are percentages, but not all.
    """
    sums = rows.sum(axis=1, dtype=np.float64)
    right = (rows >= _NEGATIVE).all(axis=1) & (np.abs(sums / 100 - 1) < ROUNDED)
    if not right.all() and right.mean() > _SOME and np.isfinite(rows).all():
        raise RequestError(
            f"{name} gives percentages, but they sum to {sums[np.argmin(right)]:.3g} for {row_named(~right, labels)}; "
            "correct them or give probabilities of one softmax over all classes."
        )
    return bool(right.all())


def row_named(wrong: np.ndarray, labels: Sequence[str] = ()) -> str:
    """Returns the first of some rows, by its name if rows have names, and how many others there are."""
    count, first = int(wrong.sum()), int(np.argmax(wrong))
    others = f" and {count - 1:,} more" if count > 1 else ""
    return f"{labels[first]!r}{others}" if labels else f"row {first + 1:,}{others}"


def logits_of_rows(rows: np.ndarray, probabilities: bool) -> np.ndarray:
    """Returns float32 logits: the logarithm of probabilities, logits as they are.

    Args:
        rows: float [n, classes].
        probabilities: whether they are probabilities.
    """
    if not probabilities:
        return rows.astype(np.float32)
    logits: np.ndarray = np.log(np.maximum(rows.astype(np.float32), _SMALLEST))
    return logits
