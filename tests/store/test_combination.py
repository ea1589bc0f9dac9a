"""Several stores as one: for each example the teachers that know it."""

from pathlib import Path

import numpy as np
import pytest

from tfkd.distill.measures import softmax
from tfkd.store.combination import Combination
from tfkd.store.layout import LOGITS, Layout
from tfkd.store.soft_labels import SoftLabels, write_soft_labels

IMAGES, CLASSES = 6, 3
MEMBERSHIP = np.array([[1, 1, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 1]], bool)
WEIGHTS = (1.0, 3.0, 2.0)


def logits(teacher: int, view: int) -> np.ndarray:
    return np.random.default_rng([teacher, view]).integers(-3, 4, (IMAGES, CLASSES)).astype(np.float32)


@pytest.fixture(scope="module")
def combination(tmp_path_factory: pytest.TempPathFactory) -> Combination:
    root = tmp_path_factory.mktemp("stores")
    return Combination([store(root, number) for number in range(3)], WEIGHTS, list(MEMBERSHIP))


def store(root: Path, teacher: int) -> SoftLabels:
    views = 1 if teacher == 2 else 2  # as a file of predictions has
    layout = Layout(CLASSES)
    header = {"fingerprint": str(teacher), "images": IMAGES, "views": views, "layout": layout.described()}
    write_soft_labels(
        root / str(teacher), header, lambda places, view: [{LOGITS: logits(teacher, view)[places]}], lambda done: None
    )
    return SoftLabels(root / str(teacher), header)


def test_the_only_teacher_of_an_example_is_unchanged(combination: Combination) -> None:
    read = combination.read(np.array([3, 0]), 1)[LOGITS]
    np.testing.assert_array_equal(read, [logits(1, 1)[3], logits(0, 1)[0]])
    assert combination.shapes == {LOGITS: (CLASSES,)}


def test_the_weights_of_the_teachers_of_an_example_sum_to_one(combination: Combination) -> None:
    two, three = np.exp(combination.read(np.array([4, 5]), 0)[LOGITS])
    each = [softmax(logits(teacher, 0)) for teacher in range(3)]
    np.testing.assert_allclose(two, (each[0][4] + 3 * each[1][4]) / 4, rtol=1e-5)
    np.testing.assert_allclose(three, (each[0][5] + 3 * each[1][5] + 2 * each[2][5]) / 6, rtol=1e-5)


def test_the_mean_over_views_is_that_of_the_teachers_of_an_example(combination: Combination) -> None:
    np.testing.assert_allclose(
        combination.mean(np.array([2]))[LOGITS][0], (logits(1, 0)[2] + logits(1, 1)[2]) / 2, rtol=1e-6
    )
