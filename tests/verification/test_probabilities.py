"""Predictions that are wrong at any tolerance."""

import numpy as np
import pytest

from tfkd.verification.probabilities import fault

RIGHT = np.float32([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
LEVEL = np.full((4, 1000), 1e-3, np.float32) + np.eye(4, 1000, dtype=np.float32) * 1e-4


def test_correct_predictions_have_no_fault() -> None:
    assert fault(RIGHT, RIGHT, None) is None
    assert fault(LEVEL / LEVEL.sum(axis=1, keepdims=True), LEVEL, None) is None
    assert fault(np.float32([[1, 0], [1, 0]]), np.float32([[1, 0], [1, 0]]), None) is None, "saturated, of one class"


def test_quantized_predictions_need_not_add_up_to_one() -> None:
    """Each of the three is 1.5/256 too low: the sum is 0.982."""
    rounded = RIGHT - np.float32(1.5 / 256) * np.float32([1, 1, 1])
    assert fault(rounded - 0.003, RIGHT, None) is not None
    assert fault(rounded, RIGHT, 1 / 256) is None


@pytest.mark.parametrize(
    ("answers", "right", "what"),
    [
        (np.zeros_like(RIGHT), RIGHT, "are all zero"),
        (np.zeros_like(LEVEL), LEVEL, "are all zero"),
        (np.where(RIGHT > 0.5, np.nan, RIGHT), RIGHT, "are not all numbers"),
        (np.where(RIGHT > 0.5, np.inf, RIGHT), RIGHT, "are not all numbers"),
        (np.log(RIGHT), RIGHT, "lie between"),
        (10 * RIGHT, RIGHT, "lie between"),
        (RIGHT / 2, RIGHT, "add up to 0.5"),
        (np.eye(3, dtype=np.float32)[:2] * 0, RIGHT, "are all zero"),
        (RIGHT[[0, 0]], RIGHT, "are the same for every example"),
        (np.full_like(RIGHT, 1 / 3), RIGHT, "are the same for every example"),
        (np.full((1, 3), 1 / 3, np.float32), RIGHT[:1], "are the same for every class"),
        (np.full((4, 1000), 1e-3, np.float32), LEVEL, "are the same for every example"),
    ],
)
def test_faults_are_named(answers: np.ndarray, right: np.ndarray, what: str) -> None:
    found = fault(answers, right, None)
    assert found is not None and found.startswith(what)
