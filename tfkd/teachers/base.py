"""The record of a kind of teacher: how it is prepared, how it predicts, and what cannot be done with it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.data.dataset import Dataset, Split
from tfkd.progress import Progress
from tfkd.recipe import Augment, Teacher
from tfkd.signature import Signature
from tfkd.store.layout import TeacherOutputs
from tfkd.training.job import TeacherJob, TeacherResult

Predict = Callable[[np.ndarray], np.ndarray]  # raw inputs [b, ...] to float32 [b, ...]
RunOutputs = Callable[[np.ndarray], TeacherOutputs]  # raw inputs [b, ...] to logits and features


@dataclass(frozen=True)
class PreparedTeacher:
    """A prepared teacher, or a trained assistant, as plain values that any process can open.

    Attributes:
        kind: a name of `tfkd.teachers.KINDS`.
        file: the file that its preparation wrote.
        settings: block of the recipe; None for an assistant.
        classes: names of the classes of the data, in order.
    """

    kind: str
    file: Path
    settings: Teacher | None
    classes: tuple[str, ...]

    @property
    def domain(self) -> str | None:
        """The pattern of the examples that it knows; None if it knows all."""
        return self.settings.domain if self.settings else None


@dataclass(frozen=True)
class ViewSet:
    """The views of a transfer set that are predicted for a store.

    Attributes:
        examples: the transfer set, in the rendering of the teacher.
        augment: augmentation of the views.
        seed: seed of the run.
        views: number of views per example.
        taps: features to store with the logits.
        folder: folder of the store.
        members: whether the teacher knows each example, bool [n]; it predicts no other.
    """

    examples: Split
    augment: Augment
    seed: int
    views: int
    taps: tuple[str, ...]
    folder: Path
    members: np.ndarray


@dataclass(frozen=True)
class StoreSource:
    """The predictions of one teacher for a store.

    Attributes:
        shapes: shape of each feature of one example, by tap.
        predict: maps (positions int64 [n], number of the view) to batches of predictions, in order.
        described: how it predicts, in a few words.
        inference: the same by field, for the result of the stage.
    """

    shapes: Mapping[str, tuple[int, ...]]
    predict: Callable[[Any, int], Iterable[TeacherOutputs]]
    described: str
    inference: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RawClassifier:
    """A prepared teacher that predicts any raw inputs.

    Attributes:
        signature: its inputs.
        predict: maps raw inputs [b, ...] to logits of the classes, float32 [b, classes].
        model: the keras.Model behind it, if it is one.
        is_trained: whether it was trained here on these classes.
    """

    signature: Signature
    predict: Predict
    model: Any = None
    is_trained: bool = False


@dataclass(frozen=True)
class CheckedTeacher:
    """A teacher before its preparation.

    Attributes:
        described: what it is, in one line.
        classifier: as it would predict; None where it is to be trained, or predicts nothing new.
        plan: what the preparation will do, or what is known of its predictions, where there is no classifier.
        model: the keras.Model that would be trained, exported and compared, if it is one.
        warnings: what is unusual about it.
    """

    described: str
    classifier: RawClassifier | None = None
    plan: str = ""
    model: Any = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TeacherKind:
    """One kind of teacher.

    Attributes:
        name: in `tfkd.teachers.KINDS` and in results.
        file: name of the file that its preparation writes to the folder of its stage.
        check: opens a teacher before its preparation; called with (settings, images, seed, taps).
        prepare: trains what is to be trained and measures it; called with (job, images, progress).
        source: opens a prepared teacher for a store; called with (teacher, views).
        classifier: opens a prepared teacher for raw inputs; None where it has predictions of known files alone.
        is_network: whether `file` is a keras.Model, which can be exported, quantized and pruned.
        timed_by: library that times the teacher's own file; "" where that is its .tflite file, or nothing.
        without_file: why the comparison has no file of such a teacher; "" where it has one.
    """

    name: str
    file: str
    check: Callable[[Teacher, Dataset, int, Sequence[str]], AbstractContextManager[CheckedTeacher]]
    prepare: Callable[[TeacherJob, Dataset, Progress], TeacherResult]
    source: Callable[[PreparedTeacher, ViewSet], AbstractContextManager[StoreSource]]
    classifier: Callable[[PreparedTeacher, Dataset], AbstractContextManager[RawClassifier]] | None
    is_network: bool = False
    timed_by: str = ""
    without_file: str = ""


def batches_of(values: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yields the rows of an array in batches."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
