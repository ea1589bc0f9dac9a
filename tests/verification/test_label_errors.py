"""Suspected wrong labels."""

import numpy as np
import pytest

from tfkd.verification.label_errors import SuspectedLabel, is_graded, suspected_labels

CLASSES = 4


def drawn(noise: float, examples: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns true labels, and probabilities of a classifier that sees them through noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, examples)
    logits = 6 * np.eye(CLASSES)[labels] + noise * rng.normal(size=(examples, CLASSES))
    exponentials = np.exp(logits)
    return labels, exponentials / exponentials.sum(axis=1, keepdims=True)


def flipped(labels: np.ndarray, count: int) -> tuple[np.ndarray, set[int]]:
    """Returns labels of which some are replaced by the next class, and their positions."""
    chosen = np.random.default_rng(1).choice(len(labels), count, replace=False)
    changed = labels.copy()
    changed[chosen] = (changed[chosen] + 1) % CLASSES
    return changed, set(chosen.tolist())


@pytest.mark.parametrize(("noise", "found_of_40"), [(1.0, 40), (2.0, 39)])
def test_flipped_labels_are_found_and_ranked_first(noise: float, found_of_40: int) -> None:
    labels, probabilities = drawn(noise)
    changed, wrong = flipped(labels, 40)
    found = suspected_labels(changed, probabilities)
    assert len(wrong & {each.position for each in found}) >= found_of_40
    assert {each.position for each in found[:30]} <= wrong
    assert all(each.suggested == labels[each.position] for each in found[:30])
    assert len(found) <= 42
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True) and 0 < scores[-1] <= scores[0] <= 1


def test_a_clean_set_has_few_suspects() -> None:
    labels, probabilities = drawn(2.0)
    assert np.sum(probabilities.argmax(axis=1) != labels) == 21, "mistakes of the classifier, of which it is not sure"
    assert suspected_labels(labels, probabilities) == ()
    labels, probabilities = drawn(2.5)
    assert len(suspected_labels(labels, probabilities)) == 16, "of 52 mistakes: the classifier limits the precision"


def test_a_class_is_judged_by_how_sure_the_classifier_usually_is_of_it() -> None:
    # Of class 1 the classifier is never sure: 0.6 for class 0 is usual there, and 0.9 is not.
    labels = np.array([0] * 10 + [1] * 10)
    first = np.array([0.9] * 10 + [0.4] * 9 + [0.95])
    (found,) = suspected_labels(labels, np.stack([first, 1 - first], axis=1))
    assert found == SuspectedLabel(19, 0, 0.95, pytest.approx(0.9))


def test_a_class_without_examples_is_never_suggested_and_one_class_alone_has_no_suspects() -> None:
    labels, probabilities = drawn(2.5)
    changed, _ = flipped(labels, 40)
    known = changed != 3
    assert all(each.suggested != 3 for each in suspected_labels(changed[known], probabilities[known]))
    only = changed == 2
    assert suspected_labels(changed[only], probabilities[only]) == ()
    assert suspected_labels(np.array([1]), np.array([[0.9, 0.1]])) == ()


def test_an_example_alone_in_its_class_is_kept_where_nothing_else_is_confident() -> None:
    labels = np.array([0, 0, 0, 1])
    first = np.array([0.9, 0.8, 0.9, 0.6])
    assert suspected_labels(labels, np.stack([first, 1 - first], axis=1)) == ()


def test_a_class_keeps_an_example_where_all_look_like_another_class() -> None:
    first = np.array([0.9] * 6 + [0.95, 0.92])
    (found,) = suspected_labels(np.array([0] * 6 + [1] * 2), np.stack([first, 1 - first], axis=1))
    assert found.position == 6


def test_an_example_of_which_the_classifier_predicts_the_label_is_no_suspect() -> None:
    labels = np.array([0] * 10 + [1] * 10)
    first = np.array([0.99, 0.05] + [0.505] * 8 + [0.1] * 10)  # two are confident, one of them wrong
    assert [each.position for each in suspected_labels(labels, np.stack([first, 1 - first], axis=1))] == [1]


def test_equal_probabilities_reach_their_mean() -> None:
    labels = np.array([0] * 6 + [1] * 6)
    first = np.array([0.7] * 6 + [0.3] * 5 + [0.7])
    assert [each.position for each in suspected_labels(labels, np.stack([first, 1 - first], axis=1))] == [11]


def test_classes_without_probabilities_rank_nothing() -> None:
    assert not is_graded(np.eye(CLASSES)[[0, 1, 1, 2]]) and not is_graded(np.empty((0, CLASSES)))
    assert is_graded(np.array([[1.0, 0.0], [0.8, 0.2]])), "votes of five"
