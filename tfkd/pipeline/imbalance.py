"""Finds classes of very different sizes, and says what the test images can show about the rarest one."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from tfkd.data import Dataset
from tfkd.errors import enumerated, some
from tfkd.recipe import Gates, Recipe
from tfkd.training.balance import trainings_of
from tfkd.verification.intervals import CONFIDENCE, proportion

UNBALANCED = 3  # times as many images of the largest class as of the smallest one

Finding = tuple[Literal["ok", "warning"], str]


def examine_balance(recipe: Recipe, data: Dataset) -> Iterator[Finding]:
    """Yields findings about the training images of the classes, and about the test images of the rarest class."""
    counts = np.bincount(data.train.labels, minlength=len(data.classes))
    if unbalanced := counts.max() >= UNBALANCED * counts.min():
        yield _training(recipe, data.classes, counts)
    if recipe.distill.training.class_weight is not None and recipe.distill.label_weight == 0:
        yield (
            "warning",
            "distill.training.class_weight weighs the loss with the labels, which distill.label_weight=0 leaves out: "
            "the control is weighted, the student is not; set distill.training.sampling=balanced instead, or increase "
            "distill.label_weight",
        )
    yield _test(recipe.gates, data, bool(unbalanced))


def _training(recipe: Recipe, classes: Sequence[str], counts: np.ndarray) -> Finding:
    """Returns a finding about training images, with the overrides that balance the trainings that are not balanced."""
    rare, common = int(counts.argmin()), int(counts.argmax())
    text = (
        f"the classes are unbalanced: {counts[common]:,} training examples of {classes[common]!r} and {counts[rare]:,} "
        f"of {classes[rare]!r}, {counts[common] / counts[rare]:.1f} times fewer"
    )
    trainings = [each for each in trainings_of(recipe) if not each[0].startswith("compress")]  # as the student's
    places = [
        place for place, training in trainings if training.class_weight is None and training.sampling == "natural"
    ]
    if not places:
        return "ok", f"{text}; the recipe balances them"
    return "warning", f"{text}; set {' '.join(f'{place}.class_weight=balanced' for place in places)}"


def _test(gates: Gates, data: Dataset, unbalanced: bool) -> Finding:
    """Returns a finding about the test images of the rarest class, and the accuracy gates that do not notice it."""
    counts = np.bincount(data.test.labels, minlength=len(data.classes))
    rare = int(counts.argmin())
    name, images = data.classes[rare], int(counts[rare])
    if not images:
        untested = some([repr(each) for each, count in zip(data.classes, counts, strict=True) if not count], ", ")
        return "warning", f"no test examples of {untested}: the recall cannot be measured, and no gate notices its loss"
    lowest, _ = proportion(images, images)
    text = (
        f"{name!r} has the fewest test examples, {images:,}: with all of them right its recall is between {lowest:.0%} "
        f"and 100% ({CONFIDENCE:.0%} interval)"
    )
    lost = images / len(data.test)
    if blind := list(_blind(gates, lost)):
        accept = "accepts" if len(blind) == 1 else "accept"
        text += (
            f"; a file that never predicts {name!r} loses {100 * lost:.1f} points of accuracy, which "
            f"{enumerated(blind)} {accept}"
        )
    return ("warning" if unbalanced else "ok"), text


def _blind(gates: Gates, lost: float) -> Iterator[str]:
    """Yields the accuracy gates that a perfect network passes although it never predicts a class.

    Args:
        gates: the limits.
        lost: fraction of the test images that are of that class.
    """
    if gates.max_accuracy_drop is not None and lost <= gates.max_accuracy_drop:
        yield f"gates.max_accuracy_drop={gates.max_accuracy_drop:g}"
    if gates.min_relative_accuracy is not None and 1 - lost >= gates.min_relative_accuracy:
        yield f"gates.min_relative_accuracy={gates.min_relative_accuracy:g}"
    if gates.min_accuracy is not None and 1 - lost >= gates.min_accuracy:
        yield f"gates.min_accuracy={gates.min_accuracy:g}"
