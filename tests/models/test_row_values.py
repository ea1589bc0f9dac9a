"""Logits and probabilities are told apart by their values."""

import numpy as np
import pytest

from tfkd.errors import RequestError
from tfkd.models.row_values import hold_probabilities, logits_of_rows

RNG = np.random.default_rng(0)
PROBABILITIES = RNG.dirichlet(np.ones(4), 50)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (PROBABILITIES, True),
        (PROBABILITIES.round(2), True),
        (np.eye(4), True),
        (RNG.normal(size=(50, 4)), False),
        (np.log(PROBABILITIES), False),
        (np.concatenate([PROBABILITIES[:1], 5 * RNG.normal(size=(50, 4))]), False),
        (np.zeros((3, 4)), False),
    ],
)
def test_values_tell_what_rows_are(rows: np.ndarray, expected: bool) -> None:
    assert hold_probabilities(rows, "it") is expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (RNG.uniform(size=(9, 4)), "sum to .* for row 1 and 8 more; give logits, or probabilities of one softmax"),
        (np.concatenate([PROBABILITIES, [[0.1, 0.1, 0.1, 0.1]]]), "sum to 0.4 for row 51; give"),
        (np.concatenate([PROBABILITIES, [[3.0, -1.0, 0.0, 0.0]]]), "for row 51; give"),
        (np.full((2, 4), np.inf), "gives NaN or infinity for row 1 and 1 more"),
        (np.ones((5, 1)), r"gives \[1\] numbers per image"),
    ],
)
def test_rows_that_are_neither_are_refused(rows: np.ndarray, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        hold_probabilities(rows, "it")


def test_logits_of_probabilities_are_finite() -> None:
    logits = logits_of_rows(np.array([[0.0, 1.0]]), probabilities=True)
    assert logits.dtype == np.float32 and np.isfinite(logits).all()
    np.testing.assert_allclose(np.exp(logits), [[0.0, 1.0]], atol=1e-30)
