"""The objective of a Distiller: the weighted distillation losses of a batch."""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfkd.distill.frozen import FrozenTeachers
from tfkd.distill.labels import hard_labels
from tfkd.distill.losses.base import LOGITS, evaluation
from tfkd.distill.predictions import Batch
from tfkd.distill.terms import Term
from tfkd.errors import RequestError


class Objective:
    """The student with its taps, the teachers, and the losses between them; not tracked or saved by Keras.

    Args:
        network: the student, with an output for every tap.
        teachers: used for batches without predictions.
        terms: every loss with every teacher, loss by loss.
        names: names of the losses in the logs.
    """

    def __init__(
        self, network: keras.Model, teachers: FrozenTeachers, terms: Sequence[Term], names: Sequence[str]
    ) -> None:
        self.network = network
        self.teachers = teachers
        self.terms = list(terms)
        self.names = list(names)

    @property
    def needs_numbers(self) -> bool:
        """Whether a loss needs each example's number in the training set."""
        return any("index" in term.loss.needs for term in self.terms)

    def has_predictions(self, batch: Batch) -> bool:
        """Returns whether there are losses with teachers, and predictions to compute them from."""
        return bool(self.terms) and (batch.predictions is not None or bool(self.teachers.items))

    def predictions(self, batch: Batch, constant: bool) -> list[Any]:
        """Returns the predictions of each teacher for a batch, by tap, stored or computed now.

        Args:
            batch: the batch.
            constant: treat the weights as constants of the graph.

        Raises:
            RequestError: there are none, or those of another number of teachers.
        """
        if not self.terms:
            return []
        if batch.predictions is None:
            return self.teachers.predictions(batch, constant)
        expected = 1 + max(term.teacher for term in self.terms)
        if len(batch.predictions) != expected:
            raise RequestError(
                f"The batch holds the predictions of {len(batch.predictions)} teachers, and the Distiller was made for "
                f"{expected}; set teacher_shares to one number per teacher."
            )
        return batch.predictions

    def values(self, predictions: list[Any], outputs: Any, batch: Batch, training: bool) -> list[Any]:
        """Returns the weighted value of every term, loss by loss and teacher by teacher."""

        def value(term: Term) -> Any:
            context = {
                "labels": lambda: hard_labels(batch, outputs[LOGITS]),
                "index": lambda: batch.numbers(required=training and term.loss.counts_images),
            }
            return term.value(predictions[term.teacher], outputs, context, batch.sample_weight)

        with contextlib.nullcontext() if training else evaluation():
            return [value(term) for term in self.terms] if predictions else []

    def parts(self, label_loss: Any, distillation_loss: Any, values: list[Any]) -> dict[str, Any]:
        """Returns the parts of the loss, by their names in the logs."""
        parts = {} if label_loss is None else {"label_loss": label_loss}
        parts["distillation_loss"] = distillation_loss
        names = self.names if values else []
        teachers = len(values) // max(1, len(names))
        for number, name in enumerate(names):
            parts[name] = tf.add_n(values[number * teachers : (number + 1) * teachers])
        return parts
