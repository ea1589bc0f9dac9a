"""Claims about distillation: docs/evidence of claims.py, and of distill_speed.py in mixed precision."""

import statistics
from collections.abc import Callable
from typing import Any

from scipy.stats import t as student_t

from tfkd.report import units
from tools.figures import evidence
from tools.figures.marks import FigureError

_CONFIDENCE = 0.95
_TITLES = ["claim", "compared", "result", "difference", "minutes"]

Record = dict[str, Any]
Row = dict[str, Any]


def table(claims: dict[str, Record]) -> str:
    """Returns the table of every claim: what was compared, its result, and the cost.

    Args:
        claims: the records by name.

    Raises:
        FigureError: a record is of a smoke form.
    """
    rows = []
    for name, record in claims.items():
        if record["smoke"]:
            raise FigureError(f"claims.json: {name} was tried with --smoke, so its numbers mean nothing.")
        cells = [[compared, *_CELLS[record["measure"]](row)] for compared, row in record["rows"].items()]
        first, *others = cells
        rows += [[f"`{name}`", *first, f"{record['seconds'] / 60:.0f}"], *(["", *each, ""] for each in others)]
    return evidence.table(_TITLES, rows, numbers=2)


def difference(gains: list[float]) -> str:
    """([0.04, 0.05, 0.045]) -> '+4.5 ± 0.3': see `evidence.gain`; says so where 0 is in the interval over seeds."""
    shown = evidence.gain(gains)
    if len(gains) < 2:
        return f"{shown}, one seed"
    reach = float(student_t.ppf((1 + _CONFIDENCE) / 2, len(gains) - 1)) * evidence.standard_error(gains)
    return shown if abs(statistics.mean(gains)) > reach else f"{shown}, not shown"


def _accuracy(row: Row) -> list[str]:
    return [evidence.spread(row["accuracies"]), "" if row["gains"] is None else difference(row["gains"])]


def _convergence(row: Row) -> list[str]:
    student, control = row["student"], row["control"]
    missed = sum(part is None for part in student["steps"])
    if missed:
        return [f"not reached with {missed} of {len(student['steps'])} seeds", ""]
    steps = 100 * (statistics.mean(student["steps"]) / statistics.mean(control["steps"]) - 1)
    return [f"{units.percent(statistics.mean(student['steps']), 0)} of the steps", f"{units.signed(steps)} % steps"]


def mixed_precision() -> str:
    """Returns the speed of training in mixed bfloat16 / in float32, and its range over the rounds."""
    ratio = evidence.read("mixed_precision")["ratios"]["stored_bfloat16 / stored"]
    return f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"


def _corruptions(row: Row) -> list[str]:
    clean, corrupted = row["accuracies"], row["corrupted_accuracies"]
    lost = [after - before for before, after in zip(clean, corrupted, strict=True)]
    return [f"{evidence.spread(clean)}, corrupted {evidence.spread(corrupted)}", evidence.gain(lost)]


def _memory(row: Row) -> list[str]:
    peak = units.known(row["peak_memory_mb"], units.megabytes)
    return [f"{peak} at the peak, a file of {units.size(row['bytes'])}, {units.percent(row['accuracy'])}", ""]


_CELLS: dict[str, Callable[[Row], list[str]]] = {
    "accuracy": _accuracy,
    "convergence": _convergence,
    "corruptions": _corruptions,
    "memory": _memory,
}


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""
    return {
        "claims table": lambda: table(evidence.read("claims")["claims"]),
        "speed of mixed precision": mixed_precision,
    }
