"""Metrics that need probabilities get them, for any output of the student and any form of labels."""

from typing import Any

import keras
import numpy as np
import pytest

from tfkd.distill.metrics import OF_PROBABILITIES, OfProbabilities, metric_for

LOGITS = np.random.default_rng(1).normal(0, 2, (24, 3)).astype(np.float32)
LABELS = np.random.default_rng(2).integers(0, 3, 24)
ROWS = np.eye(3, dtype=np.float32)[LABELS]
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def fresh(metric: Any) -> keras.metrics.Metric:
    return keras.metrics.get(metric) if isinstance(metric, str) else metric()


METRICS: list[Any] = [
    "AUC",
    "precision",
    lambda: keras.metrics.AUC(multi_label=True, num_labels=3),
    lambda: keras.metrics.Precision(class_id=1, name="of_one"),
    lambda: keras.metrics.Recall(thresholds=0.4),
    lambda: keras.metrics.F1Score(),
    lambda: keras.metrics.PrecisionAtRecall(0.5),
    lambda: keras.metrics.BinaryAccuracy(),
    lambda: keras.metrics.KLDivergence(),
]


@pytest.mark.parametrize("metric", METRICS)
def test_probabilities_and_rows_are_what_a_metric_gets(metric: Any) -> None:
    plain = fresh(metric)
    plain.update_state(ROWS, PROBABILITIES)
    instance = metric if isinstance(metric, str) else metric()
    for probabilities, values in ((False, LOGITS), (True, PROBABILITIES)):
        for labels in (LABELS, LABELS[:, None], ROWS):
            found = metric_for([instance], probabilities)[0]
            found.reset_state()
            found.update_state(labels, values)
            np.testing.assert_allclose(found.result(), plain.result(), rtol=1e-5)
            assert found.name == (metric if isinstance(metric, str) else instance.name)


def test_a_metric_of_logits_by_sigmoids_is_one_of_probabilities_too() -> None:
    found = metric_for(keras.metrics.AUC(multi_label=True, num_labels=3, from_logits=True), probabilities=False)
    plain = keras.metrics.AUC(multi_label=True, num_labels=3)
    plain.update_state(ROWS, PROBABILITIES)
    found.update_state(ROWS, LOGITS)
    np.testing.assert_allclose(found.result(), plain.result(), rtol=1e-5)


def test_other_metrics_do_not_change() -> None:
    for metric in ("accuracy", keras.metrics.TopKCategoricalAccuracy(2), keras.metrics.MeanSquaredError(), None):
        assert metric_for(metric, probabilities=False) is metric
    assert not issubclass(keras.metrics.SparseCategoricalAccuracy, OF_PROBABILITIES)


def test_a_metric_of_probabilities_comes_back_from_its_config() -> None:
    first = metric_for("AUC", probabilities=False)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(first))
    assert isinstance(again, OfProbabilities) and again.get_config() == first.get_config()
    for metric in (first, again):
        metric.update_state(ROWS, LOGITS, sample_weight=np.linspace(0, 1, 24))
    assert float(again.result()) == float(first.result()) > 0
    first.reset_state()
    assert all(not np.asarray(variable).any() for variable in first.variables)
