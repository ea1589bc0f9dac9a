"""The logs of a Distiller: means of its losses, and metrics of what the student gives."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfkd.data.dataset import UNLABELLED
from tfkd.distill.frozen import Hidden
from tfkd.distill.labels import is_sparse
from tfkd.distill.means import Means
from tfkd.distill.predictions import Batch
from tfkd.distill.replicas import spans_workers
from tfkd.kernels.keras_private import compiled_metrics

TOTAL = "total_loss"


class Logged(keras.Model):
    """A model that counts its losses by name, beside the metrics of `compile`.

    Attributes:
        part_names: what the loss is made of, by the names of the logs.
    """

    part_names: list[str]
    _gives_probabilities: bool

    def _begin_logs(self, part_names: Sequence[str]) -> None:
        self.part_names = list(part_names)
        self._total = keras.metrics.Mean(name="loss")
        self._means = Means([*self.part_names, TOTAL])
        self._evaluating = False
        self._shown: Hidden = Hidden([{}])  # names of the logs, of trainings (False) and evaluations (True)

    @property
    def metrics(self) -> list[Any]:
        """The metrics that Keras resets at the start of an epoch."""
        own = [self._total, self._means]
        # Metrics that have not seen a label have no result.
        of_labels = compiled_metrics(self)
        unseen = [of_labels] if of_labels and not of_labels.built else []
        compiled = [each for each in super().metrics if each.name != "loss" and each not in [*own, *unseen]]
        return [self._total, *compiled, self._means]

    def get_metrics_result(self) -> dict[str, Any]:
        """Returns the logs by name: of an evaluation, or of the training."""
        names = self._shown.items[0].get(self._evaluating)
        results: dict[str, Any] = super().get_metrics_result()
        return results if names is None else {name: results[name] for name in names}

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluates as `keras.Model.evaluate` does."""
        self._evaluating = True
        try:
            return super().evaluate(x, y, *args, **kwargs)
        finally:
            self._evaluating = False

    def _logs(self, losses: dict[str, Any], batch: Batch, logits: Any, evaluating: bool) -> dict[str, Any]:
        """Counts the losses of a batch and what the metrics say of it, and returns the means so far."""
        # Keras divides a loss instance by the replicas; what people read is the loss of the whole batch.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        whole = {name: value * replicas for name, value in losses.items()}
        self._total.update_state(whole["loss"], sample_weight=batch.rows)
        self._means.update_state(whole, batch.rows)
        found = self._metrics_of(batch, logits) if batch.labels is not None else {}
        found |= {"loss": self._total.result(), **self._means.result()}
        unknown = {*self.part_names, TOTAL} - losses.keys()
        logs = {name: value for name, value in found.items() if name not in unknown}
        self._shown.items[0][evaluating] = list(logs)
        if spans_workers(tf.distribute.get_strategy()):
            # Keras averages what the workers return along its first axis, which a scalar has not.
            return {name: value[None] for name, value in logs.items()}
        return logs

    def _metrics_of(self, batch: Batch, logits: Any) -> dict[str, Any]:
        y, weight, predictions = batch.labels, batch.sample_weight, logits
        if is_sparse(y, logits):
            labelled = tf.reshape(y, [-1]) != UNLABELLED
            y, predictions = tf.boolean_mask(y, labelled), tf.boolean_mask(logits, labelled)
            weight = None if weight is None else tf.boolean_mask(weight, labelled)
        predictions = tf.nn.softmax(predictions) if self._gives_probabilities else predictions
        metrics = compiled_metrics(self)
        if metrics is None:
            return {}
        metrics.update_state(y, predictions, sample_weight=weight)
        return dict(metrics.result())
