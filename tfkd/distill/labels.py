"""The labels of a batch: class numbers or rows of probabilities, known or not."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd.data.dataset import UNLABELLED
from tfkd.distill.predictions import Batch
from tfkd.errors import RequestError

_ROUNDED = 1e-2  # error of the sum of a row that was rounded
_ASSERTION = "tfkd: labels out of range"


def require_in_range(y: Any, classes: int) -> None:
    """Refuses arrays of labels that hold anything but classes; other data are checked batch by batch.

    Args:
        y: labels of any form, or None.
        classes: number of the student's classes.

    Raises:
        RequestError: they are no numbers, not finite, or no classes of the student.
    """
    if not (hasattr(y, "shape") and hasattr(y, "dtype")):
        return
    values = np.asarray(y)
    if values.dtype.kind not in "biuf":
        raise RequestError(
            f"The labels y have the dtype {values.dtype}; give numbers of classes from 0 to {classes - 1}, or rows "
            f"[batch, {classes}]."
        )
    if not np.isfinite(values).all():
        raise RequestError("The labels y hold values that are not finite; remove these examples.")
    if _are_numbers(values.shape) and not (values == np.floor(values)).all():
        raise RequestError(f"The labels y hold fractions; give numbers of classes from 0 to {classes - 1}.")
    if not bool(_in_range(tf.convert_to_tensor(values), classes)):
        raise _out_of_range(values, classes)


def asserted_in_range(y: Any, classes: int) -> Any:
    """Returns a batch's labels behind an assertion in the graph; `label_errors` reports its failure."""
    if y is None:
        return None
    if not (y.dtype.is_integer or y.dtype.is_floating or y.dtype.is_bool):
        raise RequestError(f"The labels y have the dtype {y.dtype.name}; give numbers of classes, or rows of them.")
    with tf.control_dependencies([tf.debugging.Assert(_in_range(y, classes), [_ASSERTION])]):
        return tf.identity(y)  # the update of the weights depends on it


@contextlib.contextmanager
def label_errors(classes: int) -> Iterator[None]:
    """Reports a failed assertion on labels as a RequestError."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if _ASSERTION not in str(error):
            raise
        raise RequestError(
            f"A batch has labels y out of range; give numbers of classes from 0 to {classes - 1} ({UNLABELLED}: no "
            f"label), or rows [batch, {classes}] of numbers from 0 that sum to 1 or less."
        ) from error


def _in_range(y: Any, classes: int) -> Any:
    """Returns whether labels are classes, or probabilities of them, as a tensor of one bool."""
    if y.dtype.is_bool or (y.shape.rank is None and not y.dtype.is_integer):
        return tf.constant(True)
    if y.shape.rank is not None and not _are_numbers(y.shape):
        rows = tf.cast(y, tf.float32)
        return tf.reduce_all(rows >= 0) & tf.reduce_all(tf.reduce_sum(rows, axis=-1) <= 1 + _ROUNDED)
    return tf.reduce_all((y >= tf.cast(UNLABELLED, y.dtype)) & (y < tf.cast(classes, y.dtype)))


def _are_numbers(shape: Any) -> bool:
    return len(shape) < 2 or shape[-1] == 1


def _out_of_range(values: np.ndarray, classes: int) -> RequestError:
    low, high = values.min(), values.max()
    if _are_numbers(values.shape):
        return RequestError(
            f"The labels y run from {low:g} to {high:g}; the student's {classes} classes are 0 to {classes - 1}, and "
            f"{UNLABELLED} is no label."
        )
    return RequestError(
        f"The rows of the labels y hold values from {low:g} to {high:g}, and their largest sum is "
        f"{values.sum(axis=-1).max():g}; give probabilities, from 0 to 1, that sum to 1 or less."
    )


def is_sparse(y: Any, logits: Any) -> bool:
    """Returns whether labels are numbers of classes, [batch] or [batch, 1], and not rows [batch, classes]."""
    if y.shape.rank is None:
        return bool(y.dtype.is_integer)
    sparse = y.shape.rank == 1 or (y.shape.rank == 2 and y.shape[-1] == 1)
    if not sparse and (y.shape.rank != 2 or y.shape[-1] != logits.shape[-1]):
        raise RequestError(
            f"The labels have the shape {y.shape}; give numbers of classes [batch], or rows [batch, "
            f"{logits.shape[-1]}]."
        )
    return sparse


def check_label_form(loss: keras.losses.Loss, y: Any, logits: Any) -> None:
    """Refuses labels in a form that one of Keras's losses does not take.

    Raises:
        RequestError: they are numbers where the loss takes rows, or rows where it takes numbers.
    """
    sparse = isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
    source = getattr(loss, "function", type(loss))
    if getattr(source, "__module__", "").startswith("keras.") and is_sparse(y, logits) != sparse:
        takes = "numbers of classes" if sparse else "rows [batch, classes]"
        raise RequestError(
            f"The loss {loss.name!r} takes {takes} as labels, and these are {y.shape}; leave the loss out for a "
            "cross-entropy that takes both."
        )


def hard_labels(batch: Batch, logits: Any) -> Any:
    """Returns one label per example, int32 [batch]: of labels as numbers, or the largest of soft ones."""
    y = batch.labels
    if y is None:
        return tf.fill([batch.rows], UNLABELLED)
    if is_sparse(y, logits):
        return tf.cast(tf.reshape(y, [-1]), tf.int32)
    known = tf.reduce_sum(y, axis=-1) > 0
    return tf.where(known, tf.argmax(y, axis=-1, output_type=tf.int32), UNLABELLED)


def without_unlabelled(y: Any, logits: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Gives unlabelled examples weight 0 in the loss with the labels, which stays a mean over the whole batch."""
    if not is_sparse(y, logits):
        return y, sample_weight
    y = tf.reshape(y, [-1])
    labelled = y != UNLABELLED
    weight = tf.ones_like(y, tf.float32) if sample_weight is None else tf.convert_to_tensor(sample_weight)
    return tf.maximum(y, 0), tf.where(labelled, tf.reshape(weight, [-1]), tf.zeros((), weight.dtype))
