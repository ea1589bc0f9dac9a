"""The teachers of a Distiller: frozen models that run in every step in inference mode, without gradients."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfkd.distill.predictions import Batch, taken
from tfkd.distill.taps import tapped
from tfkd.distill.terms import Shapes
from tfkd.errors import RequestError
from tfkd.kernels.constants import checksum, constant_weights
from tfkd.models.logits import is_tf_keras, symbolic, with_logits


class Hidden:
    """A container whose content Keras neither tracks nor saves with the model."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = list(items)


class FrozenTeachers(Hidden):
    """The frozen teachers, each with its inputs."""

    def __init__(
        self, teachers: Sequence[keras.Model], student: keras.Model, own: keras.Model, taps: Sequence[str]
    ) -> None:
        shown = []
        for teacher in teachers:
            if teacher is own:
                raise RequestError("Teacher and student are the same model, which cannot learn from itself; copy it.")
            logits = with_logits(_keras3(teacher, _shape(student)), f"Teacher {name_of(teacher)}", _shape(student))
            _check_teacher(logits, student)
            teacher.trainable = False
            shown.append(tapped(logits, taps))
        super().__init__(shown)
        self._checksums: list[int] = []

    @property
    def shapes(self) -> list[Shapes]:
        return [{tap: tuple(out.shape[1:]) for tap, out in model.output.items()} for model in self.items]

    def changed(self) -> bool:
        """Returns whether the weights have changed since the last call."""
        before, self._checksums = self._checksums, [checksum(model) for model in self.items]
        return self._checksums != before

    def predictions(self, batch: Batch, constant: bool) -> list[Any]:
        """Returns the predictions of each teacher by tap; with `constant`, its weights are constants of the graph."""
        if not self.items:
            raise RequestError(
                "The Distiller has no teachers and the batch no predictions; give Distiller(student, teachers) or "
                "batches of tfkd.TeacherPredictions."
            )
        copies = len(self.items) * tf.distribute.get_strategy().num_replicas_in_sync
        predictions = []
        for model in self.items:
            with constant_weights(model, copies) if constant else contextlib.nullcontext():
                predictions.append(model(_inputs(batch, model), training=False))
        return predictions


def name_of(model: Any) -> str:
    """Returns the name of a model in messages."""
    return repr(getattr(model, "name", type(model).__name__))


def _keras3(teacher: Any, images: tuple[int | None, ...] | None) -> Any:
    """Returns a tf_keras teacher as a Keras 3 model, and any other teacher unchanged."""
    if not is_tf_keras(teacher):
        return teacher
    from tfkd.models.keras2 import keras3_of

    return keras3_of(teacher, f"Teacher {name_of(teacher)}", images[1] if images and len(images) == 4 else None)


def _check_teacher(teacher: keras.Model, student: keras.Model) -> None:
    if teacher.output_shape[-1] != student.output_shape[-1]:
        raise RequestError(
            f"Teacher {teacher.name!r} gives {teacher.output_shape[-1]} classes, student {student.name!r} "
            f"{student.output_shape[-1]}; train both on the same classes."
        )
    theirs, own = _shape(teacher), _shape(student)
    if theirs is None or own is None:
        return
    if _is_map(theirs) and _is_map(own):
        if theirs[-1] != own[-1]:
            raise RequestError(
                f"Teacher {teacher.name!r} takes {theirs[-1]} channels, student {student.name!r} {own[-1]}; give both "
                "the same kind of images."
            )
    elif not _agree(theirs, own):
        raise RequestError(
            f"Teacher {teacher.name!r} takes {list(theirs[1:])}, student {student.name!r} {list(own[1:])} per example; "
            "give both the same inputs."
        )


def _shape(model: keras.Model) -> tuple[int | None, ...] | None:
    """Returns the shape of a model's input with the batch, or None if it has several."""
    (tensor, *more) = model.inputs
    return None if more else tuple(tensor.shape)


def _agree(first: Sequence[int | None], second: Sequence[int | None]) -> bool:
    """Returns whether two shapes have the same rank and are equal in all fixed dimensions."""
    return len(first) == len(second) and all(
        None in sides or sides[0] == sides[1] for sides in zip(first, second, strict=True)
    )


def _is_map(shape: Sequence[int | None]) -> bool:
    """Returns whether an input is [batch, height, width, channels], which can be resized."""
    return len(shape) == 4


def _inputs(batch: Batch, teacher: keras.Model) -> Any:
    """Returns a teacher's inputs from a batch; maps are resized to its input size."""
    takes, shape = symbolic(teacher, "inputs"), _shape(teacher)
    several = isinstance(takes, Mapping) or (isinstance(batch.given, Mapping) and isinstance(batch.inputs, Mapping))
    inputs = taken(batch.given, takes) if several else batch.inputs
    if shape is None or not _is_map(shape) or None in shape[1:3] or not tf.is_tensor(inputs):
        return inputs
    size = shape[1:3]
    return inputs if tuple(inputs.shape[1:3]) == size else tf.image.resize(inputs, size, antialias=True)
