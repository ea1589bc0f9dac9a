"""The teachers of a Distiller: frozen models that run in every step, in inference mode and outside the gradient."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfkd.distill.taps import tapped
from tfkd.errors import RequestError
from tfkd.kernels.constants import checksum, constant_weights
from tfkd.models.logits import is_tf_keras, with_logits

Shapes = Mapping[str, tuple[int, ...]]


class Hidden:
    """Holds what Keras must neither track nor save with the model."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = list(items)


class FrozenTeachers(Hidden):
    """The teachers: frozen, in inference mode, each at its own input size."""

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

    def predictions(self, images: Any, constant: bool) -> list[Any]:
        """Returns what each teacher predicts, by tap; with `constant`, from weights that are constants of the graph."""
        if not self.items:
            raise RequestError(
                "The Distiller has no teachers and the batch no predictions; give Distiller(student, teachers) or "
                "batches of tfkd.TeacherPredictions."
            )
        copies = len(self.items) * tf.distribute.get_strategy().num_replicas_in_sync
        predictions = []
        for model in self.items:
            with constant_weights(model, copies) if constant else contextlib.nullcontext():
                predictions.append(model(_fit(images, model), training=False))
        return predictions


def name_of(model: Any) -> str:
    """Returns what messages call a model."""
    return repr(getattr(model, "name", type(model).__name__))


def _keras3(teacher: Any, images: tuple[int | None, ...] | None) -> Any:
    """Returns a teacher of tf_keras as a Keras 3 model, and any other as it is."""
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
    if theirs and own and theirs[-1] != own[-1]:
        raise RequestError(
            f"Teacher {teacher.name!r} takes {theirs[-1]} channels, student {student.name!r} {own[-1]}; give both the "
            "same kind of images."
        )


def _shape(model: keras.Model) -> tuple[int | None, ...] | None:
    """Returns the shape of a model's input with the batch, or None where it takes several."""
    (tensor, *more) = model.inputs
    return None if more else tuple(tensor.shape)


def _fit(inputs: Any, teacher: keras.Model) -> Any:
    taken = _shape(teacher)
    if taken is None or len(taken) != 4 or None in taken[1:3] or not tf.is_tensor(inputs):
        return inputs
    size = taken[1:3]
    return inputs if tuple(inputs.shape[1:3]) == size else tf.image.resize(inputs, size, antialias=True)
