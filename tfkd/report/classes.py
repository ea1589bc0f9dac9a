"""The student's predictions by class, made ready for the report: confusion matrix, mistakes, accuracy per class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfkd.bundle import predictions
from tfkd.bundle.evidence import Confusion, Mistake
from tfkd.inputs.image.files import encode_drawing

LABELLED_CLASSES = 24  # a labelled matrix or an open list of more classes is not readable on a page
_DRAWN_CLASSES = 1000  # a drawing of more has more cells than a screen has dots, and takes memory with their square
_LOWEST_CLASSES = 12  # shown of a folded list
_LISTED_CLASSES = 10_000  # some megabytes of HTML
_TENTHS = 10


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix.

    Few classes have labelled cells, more have one drawing, and very many have neither.
    """

    variant: str
    counts: list[list[int]]
    shares: list[list[float]]  # square roots of the shares of the true class's images
    drawing: str | None  # see encode_drawing


@dataclass(frozen=True)
class Pair:
    """Two classes of which the first is often taken for the second, with examples of such mistakes."""

    truth: str
    predicted: str
    count: int
    images: int  # of the true class
    mistakes: list[Mistake]


@dataclass(frozen=True)
class ClassResult:
    """How many test images of a class are right, and what most of the others are taken for."""

    name: str
    right: int
    images: int
    taken_for: str = ""
    taken: int = 0

    @property
    def accuracy(self) -> float:
        return self.right / self.images


@dataclass(frozen=True)
class PerClass:
    """Accuracy per class, the lowest first.

    Attributes:
        results: of the classes that have test images; at most 10,000.
        tenths: number of classes with an accuracy from 0 to 10 %, ... from 90 to 100 %.
        tested: number of classes that have test images.
        untested: number of classes that have none.
        mean: of the accuracies of all classes that have test images.
    """

    results: list[ClassResult]
    tenths: list[int]
    tested: int
    untested: int
    mean: float

    @property
    def lowest(self) -> list[ClassResult]:
        """What is shown where the whole list is folded; empty where it is short enough to be open."""
        return self.results[:_LOWEST_CLASSES] if self.tested > LABELLED_CLASSES else []


def matrix(confusion: Confusion) -> Matrix:
    """Returns the cells as labelled counts, as a drawing, or as neither."""
    cells, images = _counts(confusion)
    if confusion.classes > _DRAWN_CLASSES:
        return Matrix(confusion.variant, [], [], None)
    counts = np.zeros((confusion.classes, confusion.classes), np.int64)
    counts[cells[:, 0], cells[:, 1]] = cells[:, 2]
    fractions = counts / np.maximum(images, 1)[:, None]
    if confusion.classes > LABELLED_CLASSES:
        return Matrix(confusion.variant, [], [], heat_map(fractions))
    return Matrix(confusion.variant, counts.tolist(), np.sqrt(fractions).round(3).tolist(), None)


def pairs(confusion: Confusion, classes: Sequence[str], mistakes: Sequence[Mistake]) -> list[Pair]:
    """Returns the most frequent confused pairs with the mistakes that are examples of them."""
    _, images = _counts(confusion)
    return [
        Pair(
            truth=classes[truth],
            predicted=classes[predicted],
            count=count,
            images=int(images[truth]),
            mistakes=[
                each for each in mistakes if (each.label, each.student.label) == (classes[truth], classes[predicted])
            ],
        )
        for truth, predicted, count in predictions.frequent_pairs(confusion.cells)
    ]


def per_class(confusion: Confusion, classes: Sequence[str]) -> PerClass | None:
    """Returns the accuracy of each class; None where no class has test images."""
    cells, images = _counts(confusion)
    diagonal = cells[cells[:, 0] == cells[:, 1]]
    right = np.zeros(len(images), np.int64)
    right[diagonal[:, 0]] = diagonal[:, 2]
    tested = np.flatnonzero(images)
    if not len(tested):
        return None
    accuracies = right[tested] / images[tested]
    shown = tested[np.argsort(accuracies, kind="stable")[:_LISTED_CLASSES]]
    confused = _most_taken(cells)
    return PerClass(
        results=[
            ClassResult(classes[i], int(right[i]), int(images[i]), *_named(confused.get(int(i)), classes))
            for i in shown
        ],
        tenths=np.bincount(
            np.minimum(_TENTHS * right[tested] // images[tested], _TENTHS - 1), minlength=_TENTHS
        ).tolist(),
        tested=len(tested),
        untested=len(images) - len(tested),
        mean=float(accuracies.mean()),
    )


def heat_map(fractions: np.ndarray) -> str:
    """Draws shares as the opacity of blue on the diagonal and of orange off it, one dot per cell.

    Args:
        fractions: float [classes, classes], 0 to 1.

    Returns:
        Its base64 text (see encode_drawing).
    """
    cells = np.empty((*fractions.shape, 4), np.uint8)
    cells[..., :3] = np.where(np.eye(len(fractions), dtype=bool)[..., None], (0, 114, 178), (213, 94, 0))
    cells[..., 3] = np.round(255 * np.sqrt(fractions))
    return encode_drawing(cells)


def _counts(confusion: Confusion) -> tuple[np.ndarray, np.ndarray]:
    """Returns the cells, int [n, 3], and the images of each true class, int [classes]."""
    cells = np.array(confusion.cells, np.int64).reshape(-1, 3)
    images = np.bincount(cells[:, 0], weights=cells[:, 2], minlength=confusion.classes).astype(np.int64)
    return cells, images


def _most_taken(cells: np.ndarray) -> dict[int, tuple[int, int]]:
    """Returns for each class with mistakes the class that most of them predict, and how many do."""
    mistakes = cells[cells[:, 0] != cells[:, 1]]
    rising = mistakes[np.argsort(-mistakes[:, 2], kind="stable")[::-1]]
    return {truth: (predicted, count) for truth, predicted, count in rising.tolist()}


def _named(confused: tuple[int, int] | None, classes: Sequence[str]) -> tuple[str, int]:
    return (classes[confused[0]], confused[1]) if confused else ("", 0)
