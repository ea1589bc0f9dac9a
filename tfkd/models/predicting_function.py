"""Functions of the user's from images to predictions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfkd.errors import RequestError, TfkdError, cause
from tfkd.inputs.image import normalization
from tfkd.inputs.image.tensors import signature
from tfkd.models import from_function, place_in
from tfkd.recipe import Teacher


class PredictingFunction:
    """A function of the user's, from images to predictions.

    Args:
        teacher: block of the recipe.
        classes: names of the classes.

    Attributes:
        signature: its inputs: raw images.

    Raises:
        RequestError: it cannot be made, the size of its images is not known, or a field has no meaning for it.
    """

    def __init__(self, teacher: Teacher, classes: Sequence[str]) -> None:
        self._name = teacher.model
        self._function: Callable[[Any], Any] = from_function(teacher, len(classes))
        if teacher.image_size is None:
            raise RequestError(f"{teacher.model} gives a function, which takes images of any size; set image_size=224.")
        if teacher.fine_tune:
            raise RequestError(f"{teacher.model} gives a function, which cannot be trained; set fine_tune=None.")
        self.signature = signature(teacher.image_size)
        self._normalization = normalization.parse(teacher.normalization, "A teacher's normalization")

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns the predictions of raw images, float32 [b, values].

        Raises:
            RequestError: it failed, or does not give one row of finite numbers per image.
        """
        normalized = self._normalization(images) if self._normalization.changes else np.asarray(images, np.float32)
        try:
            rows = _array(self._function(normalized))
        except TfkdError:
            raise
        except (Exception, SystemExit) as error:  # a user's function can raise anything
            place = place_in(self._name, error) or f"called with images {list(images.shape)}"
            raise RequestError(f"{self._name!r} failed, {place}: {type(error).__name__}: {cause(error)}") from error
        if rows.ndim != 2 or len(rows) != len(images):
            raise RequestError(
                f"{self._name} gives {list(rows.shape)} for {len(images)} images; it must give a row for each of them."
            )
        if not np.isfinite(rows).all():
            raise RequestError(f"{self._name} gives NaN or infinity; check its weights and its input.")
        return rows


def _array(values: Any) -> np.ndarray:
    """Returns an array of a NumPy array, or of a tensor of any library."""
    if hasattr(values, "detach"):  # of PyTorch, perhaps with a gradient or on another device
        values = values.detach().cpu()
    found: np.ndarray = np.asarray(values)
    if found.dtype.kind not in "fiu":
        raise TypeError(f"it gives {type(values).__name__} of {found.dtype}, not numbers")
    return found.astype(np.float32)
