"""The temperature that makes probabilities honest, fitted on validation examples."""

from typing import Any

import numpy as np

from tfkd.distill.measures import calibration_error
from tfkd.verification.records import OutputTemperature

VERSION = 1  # of the choice; increase it when the code chooses other temperatures
LOWEST, HIGHEST = 0.1, 10.0  # where all predictions are right, the likelihood rises without end
_DIGITS = 4  # after the point, so that another processor chooses the same


def fitted(logits: Any, labels: Any) -> OutputTemperature:
    """Returns the temperature with the least negative log-likelihood, from 0.1 to 10.

    Reference: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599.

    Args:
        logits: float [n, classes], of validation examples, at least one.
        labels: int [n].
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    values, rows = np.asarray(logits, np.float64), np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(values / np.exp(log_temperature), axis=1)[rows, labels].mean())

    bounds = tuple(np.log([LOWEST, HIGHEST]))
    value = round(float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x)), _DIGITS)
    return OutputTemperature(
        value=value,
        examples=len(labels),
        before=calibration_error(values, labels),
        after=calibration_error(values / value, labels),
    )


def described(found: OutputTemperature) -> str:
    """Returns a line about the choice of a temperature."""
    return (
        f"temperature {found.value:g}: calibration error {100 * found.before:.1f} % without it, "
        f"{100 * found.after:.1f} % with it, on {found.examples:,} validation examples"
    )
