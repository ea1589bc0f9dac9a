"""Outputs that changed places, found from predictions of the same images."""

import numpy as np
import pytest

from tfkd.releases.meaning import moved_classes, undecided

SWAP = [0, 2, 1, 3]


def probabilities(predicted: list[int], noise: float, seed: int, sure: float = 3.0) -> np.ndarray:
    logits = sure * np.eye(4)[predicted] + noise * np.random.default_rng(seed).normal(size=(len(predicted), 4))
    found: np.ndarray = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return found


def test_equal_and_similar_predictions_have_moved_nothing() -> None:
    old = probabilities([0, 1, 2, 3] * 5, 0.5, 1)
    assert moved_classes(old, old, {}) is None
    assert moved_classes(old, probabilities([0, 1, 2, 3] * 5, 0.5, 2), {}) is None


def test_one_image_shows_a_swap_of_the_same_network() -> None:
    old = probabilities([1], 0.5, 1)
    moved = moved_classes(old, old[:, SWAP], {})
    assert moved is not None and (moved.places, moved.certain) == ({1: 2, 2: 1}, True)


@pytest.mark.parametrize(("images", "certain"), [(4, True), (3, False)])
def test_another_network_needs_images_of_both_classes(images: int, certain: bool) -> None:
    old = probabilities([0, 1, 2, 3] * images, 0.3, 1)
    moved = moved_classes(old, probabilities([0, 1, 2, 3] * images, 0.3, 2)[:, SWAP], {})
    assert moved is not None and moved.places == {1: 2, 2: 1} and moved.images == 2 * images
    assert moved.certain == certain


def test_labels_of_the_images_that_moved_alike_make_it_certain() -> None:
    old, new = probabilities([1, 2], 0.3, 1), probabilities([2, 1], 0.3, 2)
    found = moved_classes(old, new, {1: 2, 2: 1})
    assert found is not None and found.certain


def test_one_class_that_swallows_another_is_no_swap() -> None:
    old, new = probabilities([1] * 40 + [2] * 4, 0.3, 1), probabilities([2] * 44, 0.3, 2)
    assert moved_classes(old, new, {}) is None
    assert moved_classes(old[:40], new[:40], {}) is None, "there is no image of the other class"


def test_a_rotation_of_three_is_found() -> None:
    old = probabilities([0, 1, 2] * 5, 0.3, 1)
    moved = moved_classes(old, probabilities([1, 2, 0] * 5, 0.3, 2), {})
    assert moved is not None and moved.places == {0: 1, 1: 2, 2: 0} and moved.certain


def test_no_images_and_numbers_that_are_none_show_nothing() -> None:
    assert moved_classes(np.zeros((0, 4)), np.zeros((0, 4)), {}) is None
    assert moved_classes(np.full((3, 4), np.nan), np.eye(4)[:3], {}) is None


def near(predicted: list[int], seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    return probabilities(predicted, 0.3, 1), probabilities(predicted, 0.3, seed)


@pytest.mark.parametrize(
    ("predictions", "reason"),
    [
        (near([0, 1]), "'c' and 'd' are predicted for 0 examples; 7, at least one of each, would show"),
        (near([0, 1, 2] * 9), "'d' and 'a' are predicted for 9 examples; 7, at least one of each, would show"),
        (near([0, 1, 2, 3] * 3), "'a' and 'b' are predicted for 6 examples; 7, at least one of each, would show"),
        (near([0, 1, 2, 3] * 3 + [1, 2, 3]), ""),
        (near([0, 1], 1), "'c' and 'd' are predicted for 0 examples; 1 would show"),
        (near([0, 1, 2], 1), ""),
        ((np.full((9, 4), 0.25), np.full((9, 4), 0.25)), "'a' and 'b' are predicted for 0 examples; 1 would show"),
        ((np.zeros((0, 4)), np.zeros((0, 4))), "'a' and 'b' are predicted for 0 examples; 7"),
    ],
)
def test_too_few_images_to_refute_a_swap(predictions: tuple[np.ndarray, np.ndarray], reason: str) -> None:
    found = undecided(*predictions, "abcd")
    assert found.startswith(reason) and bool(found) == bool(reason)
