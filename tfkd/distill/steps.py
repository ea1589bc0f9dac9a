"""The steps of a Distiller: one update of the student, and one batch of an evaluation."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd.distill.compiled import Compiled
from tfkd.distill.frozen import Hidden
from tfkd.distill.labels import asserted_in_range, label_errors, require_in_range
from tfkd.distill.logs import TOTAL
from tfkd.distill.losses.base import LOGITS
from tfkd.distill.objective import Objective
from tfkd.distill.predictions import LABEL, Batch, Form, TeacherPredictions, inputs_of, numbered, unpacked
from tfkd.distill.replicas import BuiltOnReplicas
from tfkd.errors import RequestError
from tfkd.kernels.keras_private import is_validation_of_fit
from tfkd.quiet import retracing_silenced


class DistillationSteps(Compiled, BuiltOnReplicas):
    """A model that learns from labels and an objective."""

    _objective: Objective
    _takes: Hidden
    _form: Form
    _images: int | None
    _classes: int
    _label_tap: str

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains as `keras.Model.fit` does."""
        self._require_compiled("fit")
        self._require_fitting(x, y)
        match kwargs.get("validation_data"):
            case (validation_x, validation_y, *_):
                self._require_fitting(validation_x, validation_y)
        self._read_teachers()
        with retracing_silenced(), label_errors(self._classes):
            return super().fit(self._numbered(x), y, *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluates as `keras.Model.evaluate` does."""
        if is_validation_of_fit(kwargs):
            return super().evaluate(x, y, *args, **kwargs)
        self._require_compiled("evaluate")
        self._require_fitting(x, y)
        self._read_teachers()
        with retracing_silenced(), label_errors(self._classes):
            return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Predicts as `keras.Model.predict` does."""
        self._require_fitting(x)
        with retracing_silenced():
            return super().predict(x, *args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Trains on one batch as `keras.Model.train_on_batch` does."""
        self._require_compiled("train_on_batch")
        with retracing_silenced(), label_errors(self._classes):
            return super().train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluates one batch as `keras.Model.test_on_batch` does."""
        self._require_compiled("test_on_batch")
        with retracing_silenced(), label_errors(self._classes):
            return super().test_on_batch(*args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Updates the student once and returns the logs so far."""
        batch, objective = self._unpacked(data), self._objective
        predictions = objective.predictions(batch, constant=not self.jit_compile)
        if batch.labels is None and not predictions:
            raise RequestError(
                "The data have no labels and the Distiller has no losses with a teacher; add labels or losses."
            )
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            outputs = objective.network(batch.inputs, training=True)
            logits = outputs[LOGITS]
            own_loss, label_loss = self._own_loss(batch, outputs[self._label_tap])
            values = objective.values(predictions, outputs, batch, training=True)
            distillation_loss = tf.add_n(values) if values else tf.zeros(())
            loss = own_loss + tf.cast(distillation_loss, own_loss.dtype)
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        losses = {"loss": loss, **objective.parts(label_loss, distillation_loss, values)}
        return self._logs(losses, batch, logits, evaluating=False)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluates the student: the loss with the labels, and the training's loss if there are predictions."""
        batch, objective = self._unpacked(data), self._objective
        outputs = objective.network(batch.inputs, training=False)
        logits = outputs[LOGITS]
        has_predictions = objective.has_predictions(batch)
        if batch.labels is None and not has_predictions:
            raise RequestError("The data have neither labels nor teacher predictions; add one of them to evaluate.")
        losses = {}
        if batch.labels is not None:
            losses["loss"] = self._unweighted_label_loss(batch, logits)
        if has_predictions:
            predictions = objective.predictions(batch, constant=not self.jit_compile)
            values = objective.values(predictions, outputs, batch, training=False)
            distillation_loss = tf.add_n(values)
            own_loss, label_loss = self._own_loss(batch, outputs[self._label_tap])
            losses[TOTAL] = own_loss + tf.cast(distillation_loss, own_loss.dtype)
            losses |= objective.parts(label_loss, distillation_loss, values)
            losses.setdefault("loss", losses[TOTAL])
        return self._logs(losses, batch, logits, evaluating=True)

    def _read_teachers(self) -> None:
        """Lets the steps be traced again if the weights of a teacher, which are constants there, have changed."""
        if self._objective.teachers.changed():
            self.train_function = self.test_function = None

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise RequestError(f"Call compile before {method}: distiller.compile(keras.optimizers.AdamW(2e-3)).")

    def _require_fitting(self, x: Any, y: Any = None) -> None:
        """Checks the shapes of inputs, and the labels in arrays, once for the whole training."""
        if isinstance(x, tf.data.Dataset):
            inputs_of(keras.utils.unpack_x_y_sample_weight(x.element_spec)[0], self._takes.items[0])
            return
        if isinstance(x, Mapping | TeacherPredictions) or hasattr(x, "shape"):
            inputs_of(x, self._takes.items[0])
        require_in_range(x.get(LABEL) if y is None and isinstance(x, Mapping) else y, self._classes)

    def _unpacked(self, data: Any) -> Batch:
        # Without a graph, train_on_batch passes arrays unchanged.
        tensors = keras.tree.map_structure(
            lambda each: tf.convert_to_tensor(each) if isinstance(each, np.ndarray) else each, data
        )
        batch = unpacked(tensors, self._takes.items[0], self._form)
        if self.jit_compile:  # XLA has no assertions
            return batch
        return dataclasses.replace(batch, labels=asserted_in_range(batch.labels, self._classes))

    def _numbered(self, x: Any) -> Any:
        """Numbers the rows of arrays for losses that need to recognise examples."""
        if not self._objective.needs_numbers:
            return x
        arrays = keras.tree.flatten(x)
        if not arrays or not all(hasattr(each, "shape") and hasattr(each, "dtype") for each in arrays):
            return x
        rows = len(arrays[0])
        if self._images is not None and rows > self._images:
            raise RequestError(
                f"fit got {rows} examples, more than the Distiller's images={self._images}; increase it."
            )
        return numbered(x, rows)
