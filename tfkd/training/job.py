"""One training and what comes of it: plain values that pass between processes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tfkd.recipe import Recipe, Student

Kind = Literal["student", "control"]


@dataclass(frozen=True)
class Store:
    """A finished soft-label store of one teacher.

    Attributes:
        folder: where it is.
        header: what it must belong to.
        share: the teacher's weight among all.
    """

    folder: Path
    header: dict[str, Any]
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a network learns from, complete enough for a process of its own: examples and soft labels.

    Attributes:
        seed: of the order of the examples, and of initial weights.
        recipe: which examples, losses and schedule.
        rendering: what the network sees of an example.
        folder: where checkpoint and results go.
        checked: folder in which `open_source` keeps its check of the examples.
        images: number of examples in an epoch, for student and control alike: those that the stores hold.
        stores: the teachers' predictions.
        data: fingerprint of the run's examples; None where nobody opened them before.
    """

    seed: int
    recipe: Recipe
    rendering: str
    folder: Path
    checked: Path
    images: int
    stores: tuple[Store, ...]
    data: str | None = None

    @property
    def batch(self) -> int:
        """Images a step."""
        return min(self.recipe.distill.training.batch_size, self.images)

    @property
    def steps_an_epoch(self) -> int:
        """Steps of one epoch over the transfer set; student and control take the same number."""
        return self.images // self.batch

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.steps_an_epoch * self.recipe.distill.training.epochs


@dataclass(frozen=True, kw_only=True)
class Job(Lesson):
    """One training of a student or a control.

    Attributes:
        kind: with or without a teacher.
        student: what to train: the recipe's student, or an assistant.
    """

    kind: Kind
    student: Student


@dataclass(frozen=True)
class StudentResult:
    """A trained and measured student or control; accuracies run from 0 to 1."""

    kind: Kind
    seed: int
    parameters: int
    accuracy: float
    validation_accuracy: float
    epochs: int
    seconds: float


@dataclass(frozen=True)
class TeacherResult:
    """A measured teacher; accuracies and the calibration error run from 0 to 1."""

    parameters: int
    image_size: int
    accuracy: float
    validation_accuracy: float
    calibration_error: float
    seconds: float
