import numpy as np
import pytest
from scipy.stats import binomtest

from tfkd.verification.flips import SHOWN, FlippedImage, flipped_images, negative_flips
from tfkd.verification.records import NegativeFlips

CLASSES = ("cat", "dog", "fox")
LABELS = np.array([0, 0, 0, 1, 1, 2, 2])
TEACHER = np.array([0, 0, 0, 1, 0, 1, 0])  # one dog and no fox
STUDENT = np.array([0, 1, 2, 0, 1, 2, 1])


def sure(predictions: np.ndarray, confidence: float | np.ndarray = 0.8) -> np.ndarray:
    """Returns probabilities of three classes with this confidence in each prediction."""
    confidence = np.broadcast_to(confidence, len(predictions))[:, None]
    return np.where(np.arange(3) == predictions[:, None], confidence, (1 - confidence) / 2)


def counted(flips: NegativeFlips) -> dict[str, tuple[int, int]]:
    return {each.label: (each.flips, each.right) for each in flips.per_class}


def test_flips_are_counted_per_class_of_the_images_that_the_reference_has_right() -> None:
    flips = negative_flips(LABELS, sure(STUDENT), sure(TEACHER), CLASSES)
    assert counted(flips) == {"cat": (2, 3), "dog": (1, 1)}, "no fox: the teacher never has one right"
    assert (flips.right, flips.test.lost, flips.test.gained, flips.fraction) == (4, 3, 2, 3 / 4)
    assert flips.test.p_value == pytest.approx(binomtest(3, 5, alternative="greater").pvalue)


def test_exchanged_arguments_count_positive_flips() -> None:
    flips = negative_flips(LABELS, sure(TEACHER), sure(STUDENT), CLASSES)
    assert counted(flips) == {"dog": (1, 1), "fox": (1, 1)} and flips.test.gained == 3


def test_equal_predictions_have_no_flips_and_a_reference_that_is_never_right_has_no_fraction() -> None:
    assert negative_flips(LABELS, sure(TEACHER), sure(TEACHER), CLASSES).fraction == 0
    never = negative_flips(LABELS, sure(LABELS), sure((LABELS + 1) % 3), CLASSES)
    assert (never.right, never.fraction, never.per_class) == (0, None, [])


def test_a_row_with_a_nan_predicts_no_class() -> None:
    broken = sure(LABELS)
    broken[3, 0] = np.nan
    assert counted(negative_flips(LABELS, broken, sure(LABELS), CLASSES)) == {"dog": (1, 2)}
    assert negative_flips(LABELS, sure(STUDENT), broken, CLASSES).right == 6


def test_images_begin_where_the_reference_is_most_confident() -> None:
    taught = sure(TEACHER, np.array([0.9, 0.5, 0.7, 0.6, 0.9, 0.9, 0.9]))
    found = flipped_images(LABELS, sure(STUDENT), taught)
    assert found == (FlippedImage(2, 2, 0.8), FlippedImage(3, 0, 0.8), FlippedImage(1, 1, 0.8))
    assert flipped_images(LABELS, sure(TEACHER), taught) == ()


def test_only_so_many_images_are_kept() -> None:
    labels = np.arange(50) % 3
    found = flipped_images(labels, sure((labels + 1) % 3), sure(labels, np.linspace(0.5, 0.9, 50)))
    assert [each.position for each in found] == list(range(49, 49 - SHOWN, -1))


@pytest.mark.parametrize("change", [{"right": 2}, {"per_class": []}])
def test_counts_that_contradict_each_other_are_refused(change: dict[str, object]) -> None:
    flips = negative_flips(LABELS, sure(STUDENT), sure(TEACHER), CLASSES)
    with pytest.raises(ValueError, match="counts 3 negative flips"):
        NegativeFlips.model_validate(flips.model_dump() | change)
