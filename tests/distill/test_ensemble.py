"""Several teachers as one."""

import numpy as np

from tfkd.distill.ensemble import placed, together
from tfkd.distill.measures import softmax


def test_one_teacher_keeps_its_logits() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (5, 4)).astype(np.float32)
    np.testing.assert_array_equal(together([logits], [2.0]), logits)


def test_several_predict_their_weighted_mean_probability() -> None:
    first, second = np.random.default_rng(1).normal(0, 3, (2, 6, 4))
    expected = 0.75 * softmax(first) + 0.25 * softmax(second)
    np.testing.assert_allclose(softmax(together([first, second], [3.0, 1.0])), expected, rtol=1e-5)


def test_a_certain_prediction_has_finite_logits() -> None:
    sure = np.array([[1000.0, 0.0]])
    assert np.isfinite(together([sure, sure], [1.0, 1.0])).all()


def test_rows_of_the_members_are_placed_among_all() -> None:
    rows = np.arange(1, 5, dtype=np.float32).reshape(2, 2)
    found = placed(rows, np.array([False, True, False, True]))
    np.testing.assert_array_equal(found, [[0, 0], [1, 2], [0, 0], [3, 4]])
