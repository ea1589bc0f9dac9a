"""Metrics of a Distiller, which accept logits or probabilities, and labels of either form."""

from typing import Any

import keras

from tfkd.distill.labels import is_sparse
from tfkd.distill.losses.label import LabelLoss

CROSS_ENTROPIES = ("sparse_categorical_crossentropy", "categorical_crossentropy")
_metrics = keras.metrics
OF_PROBABILITIES = (
    *(_metrics.AUC, _metrics.Precision, _metrics.Recall, _metrics.FBetaScore, _metrics.BinaryAccuracy),
    *(_metrics.SensitivityAtSpecificity, _metrics.SpecificityAtSensitivity, _metrics.PrecisionAtRecall),
    *(_metrics.RecallAtPrecision, _metrics.TruePositives, _metrics.TrueNegatives, _metrics.FalsePositives),
    *(_metrics.FalseNegatives, _metrics.BinaryCrossentropy, _metrics.BinaryIoU, _metrics.KLDivergence),
)
"""Metrics of Keras that need probabilities; subclasses, such as F1Score, too."""


def metric_for(metric: Any, probabilities: bool) -> Any:
    """Returns a metric that accepts the student's output.

    Cross-entropies are created for logits or for probabilities. Metrics that compare probabilities with thresholds or
    with each other (see `OF_PROBABILITIES`) get probabilities, and labels as rows.

    Args:
        metric: a metric of `compile`, or a list or mapping of them.
        probabilities: the student outputs probabilities.
    """
    if isinstance(metric, dict):
        return {name: metric_for(each, probabilities) for name, each in metric.items()}
    if isinstance(metric, (list, tuple)):
        return [metric_for(each, probabilities) for each in metric]
    if metric in ("crossentropy", "ce", *CROSS_ENTROPIES, "SparseCategoricalCrossentropy", "CategoricalCrossentropy"):
        return CrossEntropy(str(metric), probabilities)
    if (known := _of_probabilities(metric)) is not None:
        return OfProbabilities(known, probabilities)
    config = config_of(metric)
    of_classes = isinstance(
        metric, (keras.metrics.SparseCategoricalCrossentropy, keras.metrics.CategoricalCrossentropy)
    )
    if of_classes and config.get("from_logits") is probabilities:
        return type(metric).from_config({**config, "from_logits": not probabilities})
    return metric


@keras.saving.register_keras_serializable("tfkd")
class CrossEntropy(keras.metrics.MeanMetricWrapper):
    """The cross-entropy with labels of either form, of logits or of probabilities.

    Args:
        name: name in logs.
        probabilities: whether its input is probabilities.
    """

    def __init__(self, name: str = "crossentropy", probabilities: bool = False, dtype: Any = None) -> None:
        super().__init__(self._of, name=name, dtype=dtype)
        self.probabilities = probabilities

    def _of(self, y_true: Any, y_pred: Any) -> Any:
        logits = keras.ops.log(keras.ops.maximum(y_pred, 1e-7)) if self.probabilities else y_pred
        return LabelLoss().call(y_true, logits)

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        return {"name": self.name, "probabilities": self.probabilities}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "CrossEntropy":
        """Returns the metric that `get_config` describes."""
        return cls(**config)


@keras.saving.register_keras_serializable("tfkd")
class OfProbabilities(keras.metrics.Metric):
    """A metric that receives the student's probabilities, and integer labels as one-hot rows.

    Args:
        metric: a metric of rows of labels and probabilities, [batch, classes].
        probabilities: the student outputs probabilities; otherwise they are the softmax of its logits.
    """

    def __init__(self, metric: keras.metrics.Metric, probabilities: bool = False) -> None:
        super().__init__(name=metric.name)
        self.metric, self.probabilities = metric, probabilities

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch: labels [batch] or [batch, classes], and the student's outputs, [batch, classes]."""
        y_true, y_pred = keras.ops.convert_to_tensor(y_true), keras.ops.convert_to_tensor(y_pred)
        probabilities = y_pred if self.probabilities else keras.ops.softmax(y_pred)
        if is_sparse(y_true, y_pred):
            y_true = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(y_true, [-1]), "int32"), y_pred.shape[-1])
        self.metric.update_state(y_true, probabilities, sample_weight=sample_weight)

    def result(self) -> Any:
        """Returns the metric so far."""
        return self.metric.result()

    def reset_state(self) -> None:
        """Resets the metric."""
        self.metric.reset_state()

    def get_config(self) -> dict[str, Any]:
        """Returns the config for `from_config`."""
        metric = keras.saving.serialize_keras_object(self.metric)
        return {"metric": metric, "probabilities": self.probabilities}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "OfProbabilities":
        """Returns the metric that `get_config` describes."""
        return cls(keras.saving.deserialize_keras_object(config["metric"]), config["probabilities"])


def _of_probabilities(metric: Any) -> keras.metrics.Metric | None:
    """Returns a metric of `OF_PROBABILITIES`, by name or instance, for probabilities; None for any other."""
    if isinstance(metric, str):
        try:
            found = keras.metrics.get(metric)
        except ValueError:
            return None  # Keras lists the known names
        if not isinstance(found, OF_PROBABILITIES):
            return None
        return type(found).from_config({**found.get_config(), "name": metric})
    if not isinstance(metric, OF_PROBABILITIES):
        return None
    config = config_of(metric)
    return type(metric).from_config({**config, "from_logits": False}) if config.get("from_logits") else metric


def config_of(value: Any) -> dict[str, Any]:
    """Returns the config of a loss or metric, or {}."""
    try:
        return dict(value.get_config())
    except (AttributeError, NotImplementedError, TypeError):
        return {}
