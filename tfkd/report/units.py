"""How numbers are written in every report."""

import math
from collections.abc import Callable
from typing import TypeVar

from tfkd.errors import counted as counted

Value = TypeVar("Value", int, float)


def known(value: Value | None, written: Callable[[Value], str]) -> str:
    """Writes a number that was measured; one that was not is a dash."""
    return "–" if value is None else written(value)


def seconds(value: float) -> str:
    """75.4 -> '75 s', 754.0 -> '12.6 min'."""
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.1f} min"


def duration(value: float) -> str:
    """Seconds in the unit that suits: 75.4 -> '75 s', 754.0 -> '12.6 min', 75400.0 -> '20.9 h', 1e6 -> '11.6 days'."""
    if value < 7200:
        return seconds(value)
    hours = value / 3600
    return f"{significant(hours)} h" if hours < 48 else f"{significant(hours / 24)} days"


def percent(fraction: float, digits: int = 1) -> str:
    """0.9123 -> '91.2 %'."""
    return f"{100 * fraction:.{digits}f} %"


def plus_minus(fraction: float, spread: float) -> str:
    """(0.9123, 0.0042) -> '91.2 % ± 0.4'."""
    return f"{percent(fraction)} ± {100 * spread:.1f}"


def points(difference: float) -> str:
    """A difference of two shares: -0.0123 -> '−1.2 points'."""
    return f"{signed(100 * difference)} points"


def signed(value: float) -> str:
    """-1.23 -> '−1.2'."""
    text = f"{abs(value):.1f}"
    return text if float(text) == 0 else f"{'−' if value < 0 else '+'}{text}"


def size(count: int) -> str:
    """Bytes in the decimal units of the app stores: 1_234_567 -> '1.23 MB'."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{significant(count / scale)} {unit}"
    return f"{count} B"


def megabytes(value: float) -> str:
    """12.34 -> '12.3 MB'."""
    return f"{significant(value)} MB"


def milliseconds(value: float) -> str:
    """1.4142 -> '1.41 ms'."""
    return f"{significant(value)} ms"


def significant(value: float) -> str:
    """Three significant digits, never in powers of ten: 0.01234 -> '0.0123', 1234.5 -> '1234'."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def rounded(value: float, digits: int = 3) -> str:
    """A number without a unit: 0.99444 -> '0.994', 12345.6 -> '12346', 3.14e-07 -> '3.14e-07'."""
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text else text


def rounded_limit(limit: float) -> str:
    """A limit that values are compared with: 0.9955 -> '0.9955'."""
    return rounded(limit, 4)


def rounded_beside(value: float, limit: float) -> str:
    """Rounds a value to the fewest digits, at least three, that leave it on its side of the written limit.

    (0.95993, 0.96) -> '0.9599': with three digits it would seem to reach the limit.
    """
    written = float(rounded_limit(limit))
    texts = [rounded(value, digits) for digits in range(3, 10)]
    return next((text for text in texts if _side(float(text), written) == _side(value, limit)), texts[-1])


def _side(value: float, limit: float) -> int:
    """Returns -1 below a limit, 1 above, and 0 for differences as small as rounding makes."""
    if math.isclose(value, limit, rel_tol=1e-6, abs_tol=1e-9):
        return 0
    return -1 if value < limit else 1


def times(ratio: float, more: str, less: str) -> str:
    """(11.4, 'smaller', 'larger') -> '11.4 times smaller'; a ratio below one turns the word round."""
    return f"{significant(ratio)} times {more}" if ratio >= 1 else f"{significant(1 / ratio)} times {less}"
