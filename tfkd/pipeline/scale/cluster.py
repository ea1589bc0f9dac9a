"""The machines of a plan."""

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from tfkd.errors import RequestError

GIGABIT = 1e9 / 8  # bytes
LINK = 10.0  # gigabits per second
SPREAD = 0.05
MOST_EXAMPLES = 10**12


@dataclass(frozen=True)
class MachineGroup:
    """Equal machines; several of them share the storage of examples, stores and trainings.

    Attributes:
        machines: number of machines.
        gpus: GPUs per machine; 0: the cores compute the networks too.
        cores: cores per machine.
        link: bytes per second between a machine and the shared storage.
        spread: standard deviation of the machines' times for the same work, as a fraction of their mean.
        per_hour: price of one machine; None: no money.
    """

    machines: int
    gpus: int
    cores: int
    link: float = LINK * GIGABIT
    spread: float = SPREAD
    per_hour: float | None = None


def examples_of(text: str) -> int:
    """Returns a number of examples as the command line takes it: 100000, 1e5.

    Raises:
        RequestError: it is no whole number from 1 to 10^12.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or not 1 <= value <= MOST_EXAMPLES or value != value.to_integral_value():
        raise RequestError(f"--images {text!r} must be a whole number from 1 to 1e12, such as 250000 or 100e6.")
    return int(value)


def within(flag: str, value: float, least: float, most: float) -> float:
    """Returns a number of the command line.

    Raises:
        RequestError: it is not between the limits, both included.
    """
    if not (math.isfinite(value) and least <= value <= most):
        raise RequestError(f"{flag} {value:g} must be a number from {least:g} to {most:g}.")
    return value
