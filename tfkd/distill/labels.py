"""The labels of a batch: class numbers or rows of probabilities, known or not."""

from typing import Any

import keras
import tensorflow as tf

from tfkd.data.dataset import UNLABELLED
from tfkd.distill.predictions import Batch
from tfkd.errors import RequestError


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
    """Returns one label per image, int32 [batch]: of labels as numbers, or the largest of soft ones."""
    y = batch.labels
    if y is None:
        return tf.fill([batch.rows], UNLABELLED)
    if is_sparse(y, logits):
        return tf.cast(tf.reshape(y, [-1]), tf.int32)
    known = tf.reduce_sum(y, axis=-1) > 0
    return tf.where(known, tf.argmax(y, axis=-1, output_type=tf.int32), UNLABELLED)


def without_unlabelled(y: Any, logits: Any, sample_weight: Any) -> tuple[Any, Any]:
    """Gives unlabelled images weight 0 in the loss with the labels, which stays a mean over the whole batch."""
    if not is_sparse(y, logits):
        return y, sample_weight
    y = tf.reshape(y, [-1])
    labelled = y != UNLABELLED
    weight = tf.ones_like(y, tf.float32) if sample_weight is None else tf.convert_to_tensor(sample_weight)
    return tf.maximum(y, 0), tf.where(labelled, tf.reshape(weight, [-1]), tf.zeros((), weight.dtype))
