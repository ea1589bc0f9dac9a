"""Labels of examples in memory."""

from typing import Any

import numpy as np

from tfkd import arguments
from tfkd.errors import RequestError, counted


def label_numbers(labels: Any, count: int, classes: int, noun: str) -> np.ndarray:
    """Returns the labels of examples, int [n].

    Args:
        labels: numbers of classes.
        count: number of examples.
        classes: number of classes.
        noun: what an example is, for messages.

    Raises:
        RequestError: there is not one whole number per example, or a label is no class.
    """
    try:
        numbers = np.asarray(labels)
    except ValueError as error:
        raise arguments.wrong("the labels", labels, f"one whole number per {noun}") from error
    if numbers.shape != (count,) or not np.issubdtype(numbers.dtype, np.integer):
        raise RequestError(
            f"The labels have the shape {numbers.shape} and the dtype {numbers.dtype}, and there are "
            f"{counted(count, noun)}; give one whole number per {noun}."
        )
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < classes:
        raise RequestError(
            f"The labels run from {numbers.min()} to {numbers.max()}; the {classes} classes are 0 to {classes - 1}."
        )
    return numbers
