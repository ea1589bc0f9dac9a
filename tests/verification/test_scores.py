import numpy as np
import pytest

from tfkd.verification.intervals import proportion
from tfkd.verification.scores import by_class, from_counts, recall_changes, scores

CLASSES = ("cat", "dog", "fox", "owl")
LABELS = np.array([0, 0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 0, 3])


def test_recall_precision_and_f1_of_a_class() -> None:
    cat = scores(LABELS, PREDICTED, CLASSES).classes["cat"]
    assert (cat.images, cat.predicted, cat.right) == (4, 4, 3)
    assert cat.recall and cat.precision and cat.recall.value == cat.precision.value == cat.f1 == 0.75
    assert (cat.recall.low, cat.recall.high) == pytest.approx(proportion(3, 4), abs=1e-6)


def test_what_does_not_occur_has_no_fraction() -> None:
    found = scores(LABELS, PREDICTED, CLASSES).classes
    fox, owl = found["fox"], found["owl"]
    assert fox.recall and fox.recall.value == 0 and fox.precision is None and fox.f1 == 0
    assert owl.recall is None and owl.precision and owl.precision.value == 0
    never = from_counts({"a": (1, 1, 1), "b": (0, 0, 0)}).classes["b"]
    assert never.recall is never.precision is never.f1 is None


def test_means_are_over_the_classes_with_images() -> None:
    found = scores(LABELS, PREDICTED, CLASSES)
    assert found.balanced_accuracy.value == pytest.approx((0.75 + 0.5 + 0) / 3, abs=1e-6)
    assert found.macro_f1.value == pytest.approx((0.75 + 0.5 + 0) / 3, abs=1e-6)
    perfect = scores(LABELS, LABELS, CLASSES)
    assert perfect.balanced_accuracy.value == perfect.macro_f1.high == 1.0 and perfect.macro_f1.low < 0.9


def test_the_interval_of_the_macro_f1_holds_the_true_one_at_least_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    cells = np.array([[60, 6, 4], [5, 20, 5], [1, 2, 7]])
    labels, predicted = (np.repeat(index.ravel(), cells.ravel()) for index in np.indices(cells.shape))
    truth = scores(labels, predicted, "abc").macro_f1.value
    held = 0
    for _ in range(300):
        drawn = draw.integers(0, len(labels), len(labels))
        found = scores(labels[drawn], predicted[drawn], "abc").macro_f1
        held += found.low <= truth <= found.high
    assert held >= 280


def test_only_classes_where_two_classifiers_differ_are_listed() -> None:
    others = np.array([0, 0, 1, 0, 1, 0, 2])
    found = recall_changes(LABELS, PREDICTED, None, others, CLASSES)
    assert found is not None and found.reference == "control"
    assert {name: (each.lost, each.gained) for name, each in found.classes.items()} == {"cat": (1, 1), "fox": (1, 0)}
    taught = recall_changes(LABELS, PREDICTED, PREDICTED, others, CLASSES)
    assert taught is not None and (taught.reference, taught.classes) == ("teacher", {})
    assert recall_changes(LABELS, PREDICTED, None, None, CLASSES) is None


def test_scores_of_networks_and_files_are_of_the_same_predictions_as_the_accuracy() -> None:
    level = np.full((7, 4), 0.25, np.float32)  # logits may differ where probabilities do not
    plain = by_class(LABELS, PREDICTED, level, {}, CLASSES, LABELS)
    assert plain["scores"] == scores(LABELS, PREDICTED, CLASSES) and plain["scores_with_thresholds"] is None
    assert plain["recall_changes"] == recall_changes(LABELS, PREDICTED, LABELS, None, CLASSES)
    always = np.full(7, 3)
    shipped = by_class(LABELS, PREDICTED, level, {3: 0.2}, CLASSES, LABELS)
    assert shipped["scores"] == plain["scores"]
    assert shipped["scores_with_thresholds"] == scores(LABELS, always, CLASSES)
    assert shipped["recall_changes"] == recall_changes(LABELS, always, LABELS, None, CLASSES)
