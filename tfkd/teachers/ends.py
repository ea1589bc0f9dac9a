"""From what a foreign network gives to logits of the classes: its own outputs, a trained head, or class embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfkd.errors import RequestError, cause
from tfkd.labels import outputs_of
from tfkd.models.row_values import hold_percentages, hold_probabilities, logits_of_rows
from tfkd.recipe import Teacher

_LARGEST = 1 << 30  # bytes of class embeddings


class LogitMap(Protocol):
    """Maps rows of a network, float32 [n, values], to logits, float32 [n, classes]."""

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Returns logits of the classes."""


@dataclass(frozen=True)
class OwnOutputs:
    """The outputs of a classifier of these classes.

    Attributes:
        width: number of outputs.
        classes: number of classes.
        order: number of the output of each class; empty for the order of the classes.
        known: numbers of the classes of a specialist; empty for all classes.
        probabilities: whether they are probabilities.
    """

    width: int
    classes: int
    order: tuple[int, ...] = ()
    known: tuple[int, ...] = ()
    probabilities: bool = False

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Returns logits of the classes."""
        logits = logits_of_rows(rows, self.probabilities)
        if self.known:
            from tfkd.models.specialist import Specialist

            logits = np.asarray(Specialist(self.known, self.classes)(logits))
        return logits[:, list(self.order)] if self.order else logits


@dataclass(frozen=True)
class LinearHead:
    """A dense layer on features, or cosines with one embedding per class.

    Attributes:
        kernel: float32 [values, classes].
        bias: float32 [classes].
        unit: scale each row of features to length 1 first.
    """

    kernel: np.ndarray
    bias: np.ndarray
    unit: bool = False

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Returns logits of the classes."""
        features = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) if self.unit else rows
        logits: np.ndarray = (features @ self.kernel + self.bias).astype(np.float32)
        return logits


def fits_classes(teacher: Teacher, classes: Sequence[str], width: int) -> bool:
    """Returns whether a network with so many outputs can be a classifier of what the teacher is said to know."""
    return width in _widths(teacher, classes)


def own_outputs(
    teacher: Teacher, classes: Sequence[str], width: int, rows: np.ndarray | None = None, probabilities: bool = False
) -> OwnOutputs:
    """Returns how the outputs of a classifier become logits of the classes.

    Args:
        teacher: block of the recipe.
        classes: names of the classes of the data.
        width: number of outputs.
        rows: outputs for different images, float32 [n, outputs], whose values tell what they are.
        probabilities: whether the outputs are probabilities, where no rows are given.

    Raises:
        RequestError: the number of outputs or their values do not fit.
    """
    from tfkd.models.specialist import numbers_of

    if not fits_classes(teacher, classes, width):
        raise RequestError(_other_width(teacher, classes, width))
    if rows is not None:
        if hold_percentages(rows, teacher.name):
            raise RequestError(f"{teacher.name} gives percentages; divide them by 100, or give logits.")
        probabilities = hold_probabilities(rows, teacher.name)
    order = outputs_of(classes, teacher.labels, "a teacher's labels") if teacher.labels else []
    known = numbers_of(teacher.classes, classes) if teacher.classes else []
    return OwnOutputs(width, len(classes), tuple(order), tuple(known), probabilities)


def class_embeddings(teacher: Teacher, classes: Sequence[str], width: int) -> LinearHead:
    """Returns the head of class embeddings: cosines, times the scale.

    Args:
        teacher: block of the recipe; its labels name the rows of the file, by default the classes in order.
        classes: names of the classes of the data.
        width: number of values that the image encoder gives.

    Raises:
        RequestError: the file is not an embedding of this width for each class.
    """
    assert teacher.class_embeddings is not None
    path = Path(teacher.class_embeddings)
    rows = _embeddings(path)
    names = teacher.labels or list(classes)
    if rows.shape != (len(names), width):
        raise RequestError(
            f"{path} is {list(rows.shape)}; {teacher.name} needs [{len(names)}, {width}], an embedding of each class."
        )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(rows).all() and (lengths > 0).all()):
        raise RequestError(f"{path} holds NaN, infinity or a row of zeros; compute the embeddings again.")
    if len(same := _first_equal(rows / lengths)) > 1:
        raise RequestError(
            f"{path} has equal embeddings of {names[same[0]]!r} and {names[same[1]]!r}; compute them from texts that "
            "differ."
        )
    ordered = (rows / lengths)[outputs_of(classes, names, "a teacher's labels")]
    kernel = (teacher.logit_scale * ordered.T).astype(np.float32)
    return LinearHead(kernel, np.zeros(len(classes), np.float32), unit=True)


def _first_equal(rows: np.ndarray) -> list[int]:
    """Returns the numbers of the first rows that are equal, or none."""
    _, number, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(counts[number.ravel()] > 1)
    return [int(row) for row in repeated if number.ravel()[row] == number.ravel()[repeated[0]]]


def _embeddings(path: Path) -> np.ndarray:
    try:
        if path.stat().st_size > _LARGEST:
            raise RequestError(f"{path} is larger than {_LARGEST >> 30} GiB.")
        found: Any = np.load(path, allow_pickle=False)
    except OSError as error:
        raise RequestError(f"The class embeddings {path} cannot be read: {error.strerror or cause(error)}.") from None
    except (ValueError, EOFError) as error:
        raise RequestError(f"{path} is no .npy file of plain numbers: {cause(error)}") from None
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
        raise RequestError(f"{path} is no .npy file of floats [classes, values].")
    return found.astype(np.float64)


def _widths(teacher: Teacher, classes: Sequence[str]) -> tuple[int, ...]:
    if teacher.labels:
        return (len(teacher.labels),)
    known = len(teacher.classes or ())
    return (known, known + 1) if known else (len(classes),)


def _other_width(teacher: Teacher, classes: Sequence[str], width: int) -> str:
    (expected, *_) = _widths(teacher, classes)
    whose = "its labels name" if teacher.labels else "its classes are" if teacher.classes else "the classes are"
    advice = "name its outputs by labels"
    if teacher.is_onnx:
        advice += ", or train a head on its features: fine_tune=FineTune(epochs=0)"
    return f"{teacher.name} gives {width:,} numbers per image, {whose} {expected:,}; {advice}."
