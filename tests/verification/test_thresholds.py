import numpy as np
import pytest

from tfkd.verification import thresholds
from tfkd.verification.records import Threshold

CLASSES = ("benign", "malignant")


def binary(*malignant: float) -> np.ndarray:
    probabilities = np.array(malignant, np.float32)
    return np.stack([1 - probabilities, probabilities], axis=1)


def test_without_thresholds_the_most_probable_class_is_predicted() -> None:
    assert thresholds.predicted(binary(0.2, 0.7), {}).tolist() == [0, 1]


def test_a_class_is_predicted_from_its_threshold() -> None:
    assert thresholds.predicted(binary(0.124, 0.125, 0.9), {1: 0.125}).tolist() == [0, 1, 1]
    assert thresholds.predicted(binary(0.6), {1: 0.75}).tolist() == [0], "also where it is the most probable one"


def test_of_several_the_largest_ratio_wins_and_else_the_most_probable_of_the_others() -> None:
    rows = np.array([[0.5, 0.3, 0.2], [0.45, 0.25, 0.3], [0.05, 0.15, 0.8], [0.7, 0.2, 0.1]], np.float32)
    assert thresholds.predicted(rows, {0: 0.4, 1: 0.2}).tolist() == [1, 1, 2, 0]


def test_where_every_class_has_a_threshold_and_none_is_reached_the_most_probable_is_predicted() -> None:
    assert thresholds.predicted(binary(0.4, 0.6), {0: 0.9, 1: 0.9}).tolist() == [0, 1]


def chosen(promise: float, malignant: tuple[float, ...], benign: tuple[float, ...] = (0.01,)):
    labels = np.array([1] * len(malignant) + [0] * len(benign))
    return thresholds.choose(labels, binary(*malignant, *benign), {"malignant": promise}, CLASSES)["malignant"]


def test_the_largest_step_of_int8_that_keeps_the_promise_is_chosen() -> None:
    found = chosen(0.75, (0.9, 0.3, 0.2, 0.05), benign=(0.25, 0.1))
    assert found.value == 51 / 256 and found.recall == 0.75 and found.precision == 0.75 and found.kept
    assert found.value <= 0.2 < found.value + 1 / 256


def test_recall_that_the_most_probable_class_has_is_not_given_up() -> None:
    found = chosen(0.5, (0.9, 0.8, 0.7, 0.2))
    assert found.recall == 0.75 and found.value == 179 / 256


def test_a_threshold_below_a_step_of_int8_stays_exact() -> None:
    found = chosen(1.0, (0.5, 0.001))
    assert found.value == pytest.approx(0.001) and found.recall == 1.0


@pytest.mark.parametrize("least", [0.0, 1e-30])
def test_a_probability_of_nearly_zero_gives_a_threshold_above_zero(least: float) -> None:
    found = chosen(1.0, (0.5, least))
    assert found.value is not None and found.value > 0
    assert found.kept is (least > 0)


def test_a_class_without_validation_images_has_none() -> None:
    found = chosen(0.9, ())
    assert (found.value, found.recall, found.images, found.kept) == (None, None, 0, False)
    assert "no example" in thresholds.described("malignant", found)


def test_a_threshold_of_few_images_is_shown_with_its_interval() -> None:
    few = Threshold(promise=0.98, value=0.25, images=6, recall=1.0, precision=0.5)
    found = thresholds.described("malignant", few)
    assert "recall 100.0% (95 % interval 61.0 to 100.0 % on 6 validation examples of it; 189 are needed to be" in found
    many = few.model_copy(update={"images": 189})
    assert "(95 % interval 98.0 to 100.0 % on 189 validation examples of it)" in thresholds.described("malignant", many)


def test_promises_that_exclude_each_other_get_the_nearest() -> None:
    rows = np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0.5, 0.5, 0], [0.5, 0.5, 0]], np.float32)
    found = thresholds.choose(np.array([0, 0, 1, 1]), rows, {"a": 1.0, "b": 1.0}, "abc")
    assert sum(each.kept for each in found.values()) == 1
    lost = next(name for name, each in found.items() if not each.kept)
    assert "none keeps 100.0%; the nearest" in thresholds.described(lost, found[lost])


def test_promises_of_several_classes_are_kept_together() -> None:
    draw = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [20, 20, 200])
    logits = draw.normal(0, 1, (240, 3))
    logits[np.arange(240), labels] += 1.5
    logits[:, 2] += 2
    rows = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    found = thresholds.choose(labels, rows, {"a": 0.8, "b": 0.8}, "abc")
    predicted = thresholds.predicted(rows, thresholds.values(found, "abc"))
    for number, name in enumerate("ab"):
        assert found[name].kept and found[name].recall == np.mean(predicted[labels == number] == number) < 0.96


def test_recall_beyond_a_promise_is_given_up_for_the_promise_of_another_class() -> None:
    rows = np.array([[0.5, 0.45, 0.05], [0.9, 0.08, 0.02], [0.6, 0.38, 0.02], [0.95, 0.03, 0.02]], np.float32)
    found = thresholds.choose(np.array([0, 0, 1, 1]), rows, {"b": 0.5, "a": 0.5}, "abc")
    assert {name: (each.kept, each.recall) for name, each in found.items()} == {"b": (True, 0.5), "a": (True, 0.5)}


def test_no_more_recall_is_given_up_than_the_other_promise_takes() -> None:
    sure = [[each, 0.98 - each, 0.02] for each in (0.95, 0.93, 0.91, 0.89, 0.87, 0.85, 0.83)]
    contested, rare, lost = [0.5, 0.45, 0.05], [0.6, 0.38, 0.02], [0.95, 0.03, 0.02]
    rows = np.array([*sure, contested, rare, lost], np.float32)
    found = thresholds.choose(np.array([0] * 8 + [1] * 2), rows, {"b": 0.5, "a": 0.25}, "abc")
    assert {name: (each.kept, each.recall) for name, each in found.items()} == {"b": (True, 0.5), "a": (True, 0.875)}
