"""Batches for a Distiller: the student's input, labels, and stored teacher predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfkd.distill.losses.base import LOGITS, UNNUMBERED
from tfkd.errors import RequestError
from tfkd.models.logits import logarithm, logits_of

Form = Literal["auto", "logits", "probabilities"]
LABEL = "label"  # key of the labels in a mapping
_IMAGE, _INDEX = "image", "index"
_BESIDE = (LABEL, _INDEX, "teacher_logits", "answers")  # keys of a mapping that are not inputs


class TeacherPredictions(NamedTuple):
    """The input of a student with stored teacher predictions, as `x` of `Distiller.fit`.

    Like any structure of arrays, it can be batched by `tf.data` and NumPy.

    Attributes:
        inputs: inputs of the student: a tensor, for instance images float [batch, height, width, 3], or a mapping or
            list of tensors; a mapping may contain further inputs of a teacher.
        predictions: of one teacher its logits or probabilities, float [batch, classes], or a mapping from tap to float
            [batch, ...] (`{"logits": …, "pooled": …}`); of several teachers a tuple of these. `()`: the Distiller runs
            its teachers.
        index: int [batch], each example's number in the training set, for losses with a memory. `()`: not known.

    Example:
        >>> x = TeacherPredictions(images, teacher.predict(images))
        >>> Distiller(student).fit(x, labels)
    """

    inputs: Any
    predictions: Any = ()
    index: Any = ()


@dataclass(frozen=True)
class Batch:
    """One batch, unpacked.

    Attributes:
        inputs: inputs of the student.
        given: all inputs of the batch, which may include others of a teacher.
        predictions: one mapping from tap to float [batch, ...] for each teacher, or None.
        index: each example's number in the training set, or None.
        labels: labels of the batch, or None.
        sample_weight: weights of the examples, or None.
    """

    inputs: Any
    given: Any
    predictions: list[Any] | None
    index: Any
    labels: Any
    sample_weight: Any

    @property
    def rows(self) -> Any:
        """Number of examples."""
        return tf.shape(keras.tree.flatten(self.inputs)[0])[0]

    def numbers(self, required: bool) -> Any:
        """Returns each example's number in the training set, −1 if unknown.

        Raises:
            RequestError: they are required and the batch has none.
        """
        if self.index is not None:
            return self.index
        if required:
            raise RequestError(
                "A loss with a memory of the training set needs each example's number: give arrays to fit, or batches "
                "TeacherPredictions(inputs, index=...); or leave `images` out of the Distiller for a queue instead."
            )
        return tf.fill([self.rows], UNNUMBERED)


def unpacked(data: Any, takes: Any, form: Form) -> Batch:
    """Unpacks the data that Keras passes to a step.

    Args:
        data: x, (x,), (x, y) or (x, y, sample_weight). x is the student's input, `TeacherPredictions`, or a mapping:
            `image` (or the names of the student's inputs), and any of `label`, `index`, `teacher_logits` (of one
            teacher) and `answers` (a tuple of mappings from tap).
        takes: structure of the student's inputs, of Keras tensors.
        form: of stored predictions.

    Raises:
        RequestError: the mapping holds no input of the student.
    """
    if isinstance(data, TeacherPredictions):
        data = (data,)
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if isinstance(x, Mapping):
        x, label = _read(x, takes)
        y = label if y is None else y
    if not isinstance(x, TeacherPredictions):
        require_fitting(x, takes)
        return Batch(x, x, None, None, y, sample_weight)
    index = None if _is_empty(x.index) else x.index
    predictions = None if _is_empty(x.predictions) else [_logits(each, form) for each in _by_teacher(x.predictions)]
    inputs = taken(x.inputs, takes)
    require_fitting(inputs, takes)
    return Batch(inputs, x.inputs, predictions, index, y, sample_weight)


def inputs_of(x: Any, takes: Any) -> Any:
    """Returns the student's input from an `x`, as `unpacked` does."""
    x = _read(x, takes)[0] if isinstance(x, Mapping) else x
    inputs = taken(x.inputs, takes) if isinstance(x, TeacherPredictions) else x
    require_fitting(inputs, takes)
    return inputs


def require_fitting(inputs: Any, takes: Any) -> None:
    """Refuses inputs of other shapes than those of the student.

    Args:
        inputs: a tensor, or a structure of tensors.
        takes: structure of the student's inputs, of Keras tensors.

    Raises:
        RequestError: an input has another shape per example.
    """
    for tensor, own in zip(keras.tree.flatten(inputs), keras.tree.flatten(takes), strict=False):
        shape = getattr(tensor, "shape", None)
        if shape is None or getattr(shape, "rank", 0) is None or _fits(tuple(shape)[1:], tuple(own.shape)[1:]):
            continue
        raise RequestError(
            f"The inputs have the shape {list(shape)[1:]} per example, the student takes {list(own.shape)[1:]}; resize "
            "or convert them."
        )


def _fits(given: tuple[int | None, ...], own: tuple[int | None, ...]) -> bool:
    """Returns whether Keras accepts a shape: it adds or removes a last axis of one."""
    if len(given) == len(own) + 1 and given[-1] == 1:
        given = given[:-1]
    elif len(given) == len(own) - 1 and own[-1] == 1:
        own = own[:-1]
    return len(given) == len(own) and all(
        None in sides or sides[0] == sides[1] for sides in zip(given, own, strict=True)
    )


def taken(x: Any, takes: Any) -> Any:
    """Returns a model's inputs from those of a batch.

    Args:
        x: a tensor, a list or tuple, or a mapping of tensors by name.
        takes: structure of the model's inputs, of Keras tensors.

    Raises:
        RequestError: a mapping lacks an input of the model.
    """
    if not isinstance(x, Mapping):
        return x
    tensors = keras.tree.flatten(takes)
    if len(tensors) == 1 and not isinstance(takes, Mapping):
        found = [name for name in (_IMAGE, tensors[0].name) if name in x]
        if not found:
            raise _lacks(x, _IMAGE)
        return x[found[0]]
    names = list(takes) if isinstance(takes, Mapping) else [tensor.name for tensor in tensors]
    missing = sorted(set(names) - x.keys())
    if missing:
        raise _lacks(x, missing[0])
    return {name: x[name] for name in names} if isinstance(takes, Mapping) else [x[name] for name in names]


def numbered(x: Any, rows: int) -> Any:
    """Returns arrays for `fit` with each example's number, if they have none."""
    numbers = np.arange(rows, dtype=np.int32)
    if isinstance(x, Mapping):
        return {_INDEX: numbers, **x}
    predictions = x if isinstance(x, TeacherPredictions) else TeacherPredictions(x)
    return predictions._replace(index=numbers) if _is_empty(predictions.index) else predictions


def _read(x: Mapping[str, Any], takes: Any) -> tuple[TeacherPredictions, Any]:
    """Returns the predictions and the label of a mapping."""
    own = set(takes) if isinstance(takes, Mapping) else set()
    beside = {name: value for name, value in x.items() if name in _BESIDE and name not in own}
    inputs = {name: value for name, value in x.items() if name not in beside}
    taken(inputs, takes)
    predictions = beside.get("answers", beside.get("teacher_logits", ()))
    return TeacherPredictions(inputs, predictions, beside.get(_INDEX, ())), beside.get(LABEL)


def _lacks(x: Mapping[str, Any], name: str) -> RequestError:
    return RequestError(
        f"The batch holds {sorted(x)}, but no {name!r}, which a model takes; give (x, y), a mapping with its "
        "inputs and 'label', or tfkd.TeacherPredictions."
    )


def _by_teacher(predictions: Any) -> Sequence[Any]:
    return predictions if isinstance(predictions, (tuple, list)) else (predictions,)


def _logits(prediction: Any, form: Form) -> Mapping[str, Any]:
    taps = dict(prediction) if isinstance(prediction, Mapping) else {LOGITS: prediction}
    if LOGITS in taps and form != "logits":
        values = tf.convert_to_tensor(taps[LOGITS])
        taps[LOGITS] = logits_of(values) if form == "auto" else logarithm(values, values.dtype)
    return taps


def _is_empty(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and not value
