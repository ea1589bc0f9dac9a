"""The temperature that is fitted on validation examples."""

import numpy as np
import pytest

from tfkd.distill.measures import calibration_error, calibration_error_of, logits_of, softmax
from tfkd.verification.calibration import HIGHEST, LOWEST, described, fitted


def drawn(examples: int, overconfident: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns logits that are too large by a factor, and labels drawn from the right ones."""
    rng = np.random.default_rng(4)
    logits = rng.normal(0, 2, (examples, 4))
    labels = (rng.gumbel(size=logits.shape) + logits).argmax(axis=1)
    return (overconfident * logits).astype(np.float32), labels


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_it_finds_the_factor_of_the_logits(factor: float) -> None:
    logits, labels = drawn(5000, factor)
    found = fitted(logits, labels)
    assert found.value == pytest.approx(factor, rel=0.06) and found.examples == 5000
    assert found.before == calibration_error(logits, labels) and found.after < 0.03
    assert f"temperature {found.value:g}: calibration error" in described(found)


def test_it_has_the_least_negative_log_likelihood() -> None:
    logits, labels = drawn(300, 2.0)

    def loss(temperature: float) -> float:
        return -float(np.log(softmax(logits / temperature)[np.arange(300), labels]).mean())

    value = fitted(logits, labels).value
    assert all(loss(value) <= loss(value * factor) for factor in (0.9, 0.99, 1.01, 1.1))


def test_predictions_without_an_error_end_at_the_bound() -> None:
    assert fitted(np.array([[3.0, 0.0], [0.0, 3.0]]), np.array([0, 1])).value == pytest.approx(LOWEST, rel=0.01)
    assert fitted(np.array([[3.0, 0.0], [0.0, 3.0]]), np.array([1, 0])).value == pytest.approx(HIGHEST, rel=0.01)


def test_the_calibration_error_is_of_probabilities_that_do_not_add_up_to_one() -> None:
    probabilities = np.array([[255, 0], [255, 2], [128, 127]]) / 256  # as an int8 file gives them
    assert calibration_error_of(probabilities, np.array([0, 1, 0])) == pytest.approx((2 * 255 / 256 - 1 + 0.5) / 3)
    np.testing.assert_allclose(softmax(logits_of(probabilities[2:])), probabilities[2:] * 256 / 255)
