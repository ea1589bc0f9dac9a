"""Compilation of a Distiller, and its loss with the true labels."""

from typing import Any

import keras
import tensorflow as tf

from tfkd.distill.arguments import FunctionLoss, label_loss
from tfkd.distill.frozen import Hidden
from tfkd.distill.labels import check_label_form, without_unlabelled
from tfkd.distill.logs import Logged
from tfkd.distill.metrics import metric_for
from tfkd.distill.predictions import Batch
from tfkd.errors import RequestError
from tfkd.kernels import adam


class Compiled(Logged):
    """A model whose loss with the labels is computed from logits, whatever the student outputs.

    Attributes:
        label_weight: weight of the loss with the true labels.
    """

    label_weight: float

    def compile(
        self,
        optimizer: Any = "adamw",
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """Sets up training as `keras.Model.compile` does.

        Args:
            optimizer: any Keras optimizer.
            loss: loss with the true labels; by default the cross-entropy. Keras's cross-entropies, also by name, are
                computed from the student's logits; a function or a loss of your own gets logits.
            metrics: metrics of the labelled examples, from the student's output. Those that need probabilities, such as
                `keras.metrics.AUC`, `Precision` and `F1Score`, get them, and take labels of either form.
            weighted_metrics: the same, weighted by `sample_weight`.
            jit_compile: "auto" uses XLA if there is a GPU; on a CPU it slows convolutions down.
            **kwargs: the remaining arguments of `keras.Model.compile`.

        Raises:
            RequestError: the loss is not of logits, or the optimizer accumulates gradients on several
                replicas, which Keras does not support.
        """
        if jit_compile == "auto":
            jit_compile = bool(tf.config.list_physical_devices("GPU"))
        if "loss_weights" in kwargs:
            raise RequestError("compile: loss_weights is not supported; set label_weight of the Distiller.")
        self._label_loss = Hidden([label_loss(loss)])
        super().compile(
            optimizer=optimizer,
            loss=self._label_loss.items[0],
            loss_weights=float(self.label_weight),
            metrics=metric_for(metrics, self._gives_probabilities),
            weighted_metrics=metric_for(weighted_metrics, self._gives_probabilities),
            jit_compile=jit_compile,
            **kwargs,
        )
        _check_accumulation(self.optimizer, self.distribute_strategy.num_replicas_in_sync)
        adam.fuse(self.optimizer)
        # Built before the first step, so that the optimizer's state can be loaded, and the step is traced only once.
        if not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def get_compile_config(self) -> dict[str, Any]:
        """Returns the arguments of `compile`, or {} if the loss is a function."""
        if self.compiled and isinstance(self._label_loss.items[0], FunctionLoss):
            return {}
        config: dict[str, Any] = super().get_compile_config()
        config.pop("loss_weights", None)
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles with the result of `get_compile_config`."""
        if config:
            self.compile(**keras.saving.deserialize_keras_object(config))

    def _own_loss(self, batch: Batch, logits: Any) -> tuple[Any, Any]:
        """Returns the student's loss without a teacher on this replica, and its part from the labels."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        kind = keras.config.floatx()
        regularisers = tf.add_n([tf.zeros((), kind), *[tf.cast(loss, kind) for loss in self.losses]]) / replicas
        if batch.labels is None:
            return regularisers, None
        check_label_form(self._label_loss.items[0], batch.labels, logits)
        y, weight = without_unlabelled(batch.labels, logits, batch.sample_weight)
        loss = self.compute_loss(x=batch.inputs, y=y, y_pred=logits, sample_weight=weight)
        return loss, loss - tf.cast(regularisers, loss.dtype)

    def _unweighted_label_loss(self, batch: Batch, logits: Any) -> Any:
        """Returns the loss with the labels alone, which is comparable between trainings of the student."""
        y, weight = without_unlabelled(batch.labels, logits, batch.sample_weight)
        return self._label_loss.items[0](y, logits, sample_weight=weight)


def _check_accumulation(optimizer: Any, replicas: int) -> None:
    steps = getattr(optimizer, "inner_optimizer", optimizer).gradient_accumulation_steps
    if steps and replicas > 1:
        raise RequestError(
            f"gradient_accumulation_steps = {steps} does not work on {replicas} replicas: Keras accumulates on one "
            "alone; leave it out and take a larger batch, of which each replica gets a part."
        )
