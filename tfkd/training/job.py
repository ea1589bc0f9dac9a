"""Jobs and results of trainings, as plain values that pass between processes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfkd.recipe import Augment, Recipe, Student, Teacher

TrainingKind = Literal["student", "control"]

_NO_EXTRAS = {"warmup_epochs": 0.0, "average": None, "patience": None}  # of a short training


@dataclass(frozen=True)
class Store:
    """A finished soft-label store of one teacher.

    Attributes:
        folder: its folder.
        header: the header that it must have.
        weight: weight of the teacher in the ensemble.
        packed_membership: whether it knows each example of the transfer set, as packed bits; None: all of them.
    """

    folder: Path
    header: dict[str, Any]
    weight: float = 1.0
    packed_membership: bytes | None = None

    @property
    def membership(self) -> np.ndarray:
        """Whether the teacher knows each example of the transfer set, bool [examples]."""
        images = self.header["images"]
        if self.packed_membership is None:
            return np.ones(images, bool)
        return np.unpackbits(np.frombuffer(self.packed_membership, np.uint8), count=images).astype(bool)


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """The examples and soft labels of a training, complete for another process.

    Attributes:
        seed: seed of the order of the examples and of initial weights.
        recipe: determines examples, losses and schedule.
        rendering: input rendering of the network.
        folder: folder of checkpoint and results.
        checked: folder in which `open_source` stores its check of the examples.
        images: number of examples per epoch, for student and control: those in the stores.
        labelled: number of examples with a label.
        stores: stores of the teachers' predictions.
        data: fingerprint of the run's examples; None before they were opened.
    """

    seed: int
    recipe: Recipe
    rendering: str
    folder: Path
    checked: Path
    images: int
    labelled: int
    stores: tuple[Store, ...]
    data: str | None = None

    @property
    def batch(self) -> int:
        """Examples per step."""
        return min(self.recipe.distill.training.batch_size, self.images)

    @property
    def steps_an_epoch(self) -> int:
        """Steps per epoch over the transfer set, equal for student and control."""
        return self.images // self.batch

    @property
    def steps(self) -> int:
        """Steps of the whole training, with those on the labels alone at its end."""
        last = self.on_labels_alone
        return self.steps_an_epoch * self.recipe.distill.training.epochs + (last.steps if last else 0)

    @property
    def views_seen(self) -> int:
        """Number of views of an example that student or control have seen before the last part of the training."""
        return max(self.recipe.distill.training.epochs, self.recipe.distill.views)

    @property
    def on_labels_alone(self) -> "Lesson | None":
        """The last part of the training, on the labels alone; None where the recipe has none."""
        finish = self.recipe.distill.finish
        if finish is None:
            return None
        changed = {"epochs": finish.epochs, "learning_rate": finish.learning_rate, **_NO_EXTRAS}
        training = self.recipe.distill.training.model_copy(update=changed)
        distill = self.recipe.distill.model_copy(update={"training": training, "finish": None})
        recipe = self.recipe.model_copy(update={"distill": distill})
        return replace(self, recipe=recipe, images=self.labelled, folder=self.folder / "finish")


@dataclass(frozen=True, kw_only=True)
class Job(Lesson):
    """One training of a student or a control.

    Attributes:
        kind: with or without a teacher.
        student: what to train: the recipe's student, or an assistant.
    """

    kind: TrainingKind
    student: Student


@dataclass(frozen=True)
class TeacherJob:
    """The preparation of one teacher: fine-tuning, if it asks for it, and measuring.

    Attributes:
        teacher: the teacher.
        augment: augmentation of its training views.
        seed: seed of initial weights and training views.
        folder: folder of checkpoint and results.
        taps: layers whose features the student learns from.
    """

    teacher: Teacher
    augment: Augment
    seed: int
    folder: Path
    taps: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudentResult:
    """A trained and measured student or control; accuracies run from 0 to 1.

    Attributes:
        temperature: chosen from the stored predictions; None where the recipe names all.
        finish: validation accuracy before and after the last training on the labels alone; None without one.
    """

    kind: TrainingKind
    seed: int
    parameters: int
    accuracy: float
    validation_accuracy: float
    epochs: int
    seconds: float
    temperature: float | None = None
    finish: tuple[float, float] | None = None


@dataclass(frozen=True)
class TuningChoice:
    """Validation accuracies, 0 to 1, before and after the backbone was trained; the better network is the teacher."""

    before: float
    after: float

    @property
    def gained(self) -> bool:
        """Whether the training of the backbone is kept."""
        return self.after > self.before


@dataclass(frozen=True)
class TeacherResult:
    """A prepared teacher; accuracies and the calibration error run from 0 to 1.

    Attributes:
        parameters: number of its weights; None where it is not known, as the size of its input.
        accuracy: on the test examples; None where it was not measured, as the two others.
        validation_accuracy: on the validation examples.
        calibration_error: on the test examples.
        seconds: time of its training.
        kind: a name of `tfkd.teachers.KINDS`.
        tuning: what `FineTune.auto` compared; None without it.
    """

    parameters: int | None
    image_size: int | None
    accuracy: float | None
    validation_accuracy: float | None
    calibration_error: float | None
    seconds: float
    kind: str = "network"
    tuning: TuningChoice | None = None
