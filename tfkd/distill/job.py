"""One training of a student or its control, and what comes of it: plain values that pass between processes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tfkd.recipe import Recipe

Kind = Literal["student", "control"]


@dataclass(frozen=True)
class Job:
    """One training of a student or a control, complete enough to run in a process of its own.

    Attributes:
        kind: with or without a teacher.
        seed: of the initial weights and of the order of the images.
        recipe: what to train, on what, and how.
        folder: where checkpoint and results go.
        checked: folder in which `open_source` keeps its check of the photos.
        soft_labels: folder of the teacher's answers.
        soft_labels_header: what those answers must belong to; its `images` is the size of the pool.
    """

    kind: Kind
    seed: int
    recipe: Recipe
    folder: Path
    checked: Path
    soft_labels: Path
    soft_labels_header: dict[str, Any]

    @property
    def batch(self) -> int:
        """Images a step."""
        return min(self.recipe.distill.training.batch_size, self.soft_labels_header["images"])

    @property
    def steps_an_epoch(self) -> int:
        """Steps of one epoch over the pool; student and control take the same number."""
        steps: int = self.soft_labels_header["images"] // self.batch
        return steps

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.steps_an_epoch * self.recipe.distill.training.epochs


@dataclass(frozen=True)
class StudentResult:
    """A trained and measured student or control; accuracies run from 0 to 1."""

    kind: Kind
    seed: int
    parameters: int
    accuracy: float
    validation_accuracy: float
    seconds: float
