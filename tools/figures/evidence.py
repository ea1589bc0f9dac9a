"""Reads files of docs/evidence, and writes their numbers as the documents do."""

import functools
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tfkd.report import units

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = ROOT / "docs" / "evidence"


@functools.cache
def read(name: str) -> Any:
    """Returns the content of docs/evidence/NAME.json."""
    return json.loads((EVIDENCE / f"{name}.json").read_text(encoding="utf-8"))


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 1) -> str:
    """Returns a Markdown table; the columns from `numbers` on are aligned to the right."""
    rule = "|" + "|".join(["---"] * numbers + ["---:"] * (len(titles) - numbers)) + "|"
    return "\n".join([_line(titles), rule, *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def spread(shares: Sequence[float]) -> str:
    """([0.8, 0.82]) -> '81.0 % ± 1.4': the mean and the standard deviation; of one value there is none."""
    return units.plus_minus(statistics.mean(shares), deviation(shares)) if len(shares) > 1 else units.percent(shares[0])


def listed(shares: Sequence[float]) -> str:
    """([0.8, 0.82]) -> '80.0, 82.0', in percent."""
    return ", ".join(f"{100 * share:.1f}" for share in shares)


def deviation(shares: Sequence[float]) -> float:
    """Returns the standard deviation over seeds."""
    return statistics.stdev(shares)


def gains(accuracies: Sequence[float], controls: Sequence[float]) -> list[float]:
    """Returns student minus control, seed by seed."""
    return [student - control for student, control in zip(accuracies, controls, strict=False)]


def gain(differences: Sequence[float]) -> str:
    """([0.03, 0.05]) -> '+4.0 ± 1.0': the mean in points and its standard error."""
    shown = units.signed(100 * statistics.mean(differences))
    return f"{shown} ± {100 * standard_error(differences):.1f}" if len(differences) > 1 else shown


def standard_error(differences: Sequence[float]) -> float:
    """Returns the standard error of a mean."""
    return statistics.stdev(differences) / math.sqrt(len(differences))


def whole(ratio: float) -> str:
    """23.14 -> '23'."""
    return f"{ratio:.0f}"
