import itertools
import math

import numpy as np
import pytest

from tfkd.verification.truth import ALPHA, chance_test, paired_test, significant

NEGATIVES = np.repeat([0, 1], [95, 5])


def verdict(labels: np.ndarray, predictions: np.ndarray) -> str:
    test = chance_test(labels, predictions)
    if not significant(test.perfect_p_value):
        return "not judged"
    return "better" if significant(test.p_value) else "chance"


def wrong(labels: np.ndarray, *positions: int) -> np.ndarray:
    """Returns the labels with a wrong class at these positions."""
    predictions = labels.copy()
    predictions[list(positions)] = (labels[list(positions)] + 1) % (labels.max() + 1)
    return predictions


def test_guessing_is_chance() -> None:
    labels = np.arange(400) % 5
    assert verdict(labels, np.random.default_rng(1).permutation(labels)) == "chance"
    assert verdict(labels, (labels + 1) % 5) == "chance", "always wrong"


@pytest.mark.parametrize("classes", [3, 4, 5, 10])
def test_labels_in_another_order_are_chance(classes: int) -> None:
    labels = np.arange(12 * classes) % classes
    order = np.arange(classes)
    order[[0, 1]] = [1, 0]
    order[2:] = np.roll(order[2:], 1)
    test = chance_test(labels, order[labels])
    assert test.balanced_accuracy <= test.chance_level + 1e-9 and verdict(labels, order[labels]) == "chance"


def test_always_negative_is_chance_on_95_percent_negatives() -> None:
    test = chance_test(NEGATIVES, np.zeros(100, np.int64))
    assert (test.balanced_accuracy, test.chance_level, test.p_value) == (0.5, 0.5, 1.0)
    assert verdict(NEGATIVES, np.zeros(100, np.int64)) == "chance"


def test_a_good_model_is_better_than_chance_on_95_percent_negatives() -> None:
    predictions = NEGATIVES.copy()
    predictions[[0, 1, 2, 99]] = [1, 1, 1, 0]  # 96 % right: one point above always negative
    test = chance_test(NEGATIVES, predictions)
    assert (
        test.balanced_accuracy == pytest.approx((92 / 95 + 4 / 5) / 2) and verdict(NEGATIVES, predictions) == "better"
    )


@pytest.mark.parametrize("classes", [2, 3, 4, 6, 12])
def test_12_photos_that_are_all_right_are_better_than_chance(classes: int) -> None:
    labels = np.arange(12) % classes
    assert verdict(labels, labels) == "better"


def test_12_photos_of_which_some_are_wrong() -> None:
    of_two, of_three = np.arange(12) % 2, np.arange(12) % 3
    assert verdict(of_two, wrong(of_two, 0)) == "better"
    assert verdict(of_three, wrong(of_three, 0, 1, 2)) == "better"
    assert verdict(of_two, wrong(of_two, 0, 1, 2)) == "chance"
    assert verdict(of_three, wrong(of_three, *range(8))) == "chance"


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(3),
        np.array([0, 0, 1]),
        np.zeros(50, np.int64),
        np.repeat([0, 1], [19, 1]),
        np.repeat([0, 1], [4, 4]),
        np.repeat([0, 1], [98, 1]),
    ],
)
def test_a_split_on_which_even_perfect_predictions_prove_nothing_is_not_judged(labels: np.ndarray) -> None:
    assert verdict(labels, labels) == verdict(labels, np.zeros(len(labels), np.int64)) == "not judged"


@pytest.mark.parametrize("counts", [[99, 1], [5, 4], [3, 2, 2], [1, 1, 1, 1, 1], [6, 6]])
def test_the_smallest_splits_that_can_be_judged_pass_where_all_is_right(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    test = chance_test(labels, labels)
    assert test.p_value == pytest.approx(test.perfect_p_value) and test.perfect_p_value <= ALPHA + 1e-9


def test_small_splits_are_exact() -> None:
    labels, predictions = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 2, 2])
    weights = np.array([1 / 9, 1 / 6, 1 / 3])

    def balanced(order: tuple[int, ...]) -> float:
        return float(sum(weights[p] for truth, p in zip(order, predictions, strict=True) if truth == p))

    orders = list(itertools.permutations(labels.tolist()))
    reached = sum(balanced(order) >= balanced(tuple(labels)) - 1e-9 for order in orders)
    test = chance_test(labels, predictions)
    assert test.p_value == pytest.approx(reached / len(orders))
    assert test.perfect_p_value == pytest.approx(1 / (math.factorial(6) / (6 * 2)))
    assert test.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_drawn_p_values_agree_with_fishers_exact_test_and_repeat() -> None:
    from scipy.stats import hypergeom

    labels = np.repeat([0, 1], [30, 20])
    predictions = np.concatenate([np.repeat([0, 1], [19, 11]), np.repeat([0, 1], [8, 12])])
    test = chance_test(labels, predictions)
    assert test.p_value == pytest.approx(hypergeom.sf(18, 50, 30, 27), abs=0.01)
    assert test == chance_test(labels, predictions)


def test_the_smallest_p_value_is_that_of_the_labels_as_they_are() -> None:
    few, many = np.arange(200) % 10, np.arange(5000) % 10
    assert (chance_test(few, few).p_value, chance_test(many, many).p_value) == (1 / 10_000, 1 / 1_000)


def test_classes_without_test_images_are_wrong_predictions_and_not_counted() -> None:
    labels = np.array([3, 3, 3, 3, 7, 7, 7, 7, 7])
    test = chance_test(labels, np.array([3, 3, 3, 5, 7, 7, 7, 9, 0]))
    assert test.chance_level == 0.5 and test.balanced_accuracy == pytest.approx((3 / 4 + 3 / 5) / 2)


def test_a_student_that_is_much_worse_than_its_control_is_significantly_worse() -> None:
    from scipy.stats import binomtest

    labels = np.arange(100) % 4
    test = paired_test(labels, wrong(labels, *range(20)), wrong(labels, *range(19, 22)))
    assert (test.gained, test.lost) == (2, 19) and significant(test.p_value)
    assert test.p_value == pytest.approx(binomtest(19, 21, 0.5, alternative="greater").pvalue)


def test_a_student_that_equals_its_control_or_is_better_is_not_worse() -> None:
    labels = np.arange(100) % 4
    equal = paired_test(labels, wrong(labels, 1, 2), wrong(labels, 1, 2))
    assert (equal.gained, equal.lost, equal.p_value) == (0, 0, 1.0)
    better = paired_test(labels, labels, wrong(labels, *range(30)))
    assert (better.gained, better.lost, better.p_value) == (30, 0, 1.0)
    few_more_mistakes = paired_test(labels, wrong(labels, *range(5)), wrong(labels, 8, 9))
    assert not significant(few_more_mistakes.p_value)


@pytest.mark.parametrize(("images", "judged"), [(3, False), (6, False), (7, True)])
def test_few_images_cannot_show_that_a_student_is_worse(images: int, judged: bool) -> None:
    labels = np.arange(images) % 2
    test = paired_test(labels, 1 - labels, labels)
    assert significant(test.worst_p_value) is significant(test.p_value) is judged
