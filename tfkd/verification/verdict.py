"""The verdict on one gate."""

import math

from tfkd.verification.records import Gate

ROUNDING = 1e-9  # of differences between fractions: 0.768 - 0.763 is a little more than 0.005


def decided(name: str, value: float, limit: float, passed: bool, reason: str = "") -> Gate:
    """Returns the verdict passed or failed."""
    return Gate(
        name=name,
        value=value if math.isfinite(value) else None,  # JSON has no other numbers
        limit=limit,
        passed=bool(passed),
        verdict="passed" if passed else "failed",
        reason=reason,
    )


def failed(name: str, reason: str) -> Gate:
    """Returns the verdict on something that does not exist."""
    return Gate(name=name, value=None, limit=None, passed=False, verdict="failed", reason=reason)


def not_judged(name: str, reason: str, value: float | None = None) -> Gate:
    """Returns the verdict not judged."""
    return Gate(name=name, value=value, limit=None, passed=False, verdict="not judged", reason=reason)


def file_name(path: str) -> str:
    """Returns the name of a file as gates have it."""
    return path.rpartition("/")[2]


def percent(fraction: float) -> str:
    """Returns a fraction as reasons have it."""
    return f"{100 * fraction:.1f} %"
