"""Students of texts: docs/evidence of text_accuracy.py and of pipelines/intents.py."""

import statistics
from collections.abc import Callable
from typing import Any

from tfkd.report import units
from tools.figures import comparisons, evidence

_SMALL = "student dynamic"
_STUDENT = "word average"
_OWN_VECTORS = "word average, own word vectors"
_TRANSFORMERS = ("transformer", "transformer, hidden states")
_OF_TEACHER = "of the teacher's accuracy"

Row = dict[str, Any]


def _rows() -> dict[str, Row]:
    rows: dict[str, Row] = evidence.read("text_accuracy")["rows"]
    return rows


def accuracies() -> str:
    """Returns the table of every student, its control, and what it reaches of its teacher's accuracy."""
    rows = [
        [
            name,
            units.percent(row["teacher_accuracy"]),
            evidence.spread(row["control_accuracies"]),
            evidence.spread(row["accuracies"]),
            units.percent(_kept(row)),
            evidence.gain(evidence.gains(row["accuracies"], row["control_accuracies"])),
        ]
        for name, row in _rows().items()
    ]
    titles = ["student", "teacher", "control", "student's accuracy", "of the teacher's", "gain over the control"]
    return evidence.table(titles, rows)


def _kept(row: Row) -> float:
    kept: float = statistics.mean(row["accuracies"]) / row["teacher_accuracy"]
    return kept


def gain_over_the_better_control() -> float:
    """Returns the gain of the mean of word vectors, in points, over the better of the controls with either start."""
    rows = _rows()
    controls = [statistics.mean(rows[name]["control_accuracies"]) for name in (_STUDENT, _OWN_VECTORS)]
    return 100 * (statistics.mean(rows[_STUDENT]["accuracies"]) - max(controls))


def goals() -> str:
    """Returns the table of what students of texts reach, beside its goals."""
    rows = _rows()
    measured = [
        (f"text_accuracy.json: the mean of word vectors, {_OF_TEACHER}", 100 * _kept(rows[_STUDENT]), "%", 97),
        ("its gain over the better control", gain_over_the_better_control(), "points", 8),
        *((f"{name}, {_OF_TEACHER}", 100 * _kept(rows[name]), "%", 95) for name in _TRANSFORMERS),
        ("intents.json: smaller than the teacher's fp32 file", smaller("teacher fp32"), "times", 100),
        ("smaller than the teacher's dynamic file", smaller("teacher dynamic"), "times", 25),
        ("faster than the teacher's fp32 file, one thread", faster("teacher fp32"), "times", 50),
        ("faster than the teacher's dynamic file", faster("teacher dynamic"), "times", 50),
    ]
    shown = [
        [title, f"{value:,.1f} {unit}{'' if value >= goal else ': missed'}", f"{goal} {unit}"]
        for title, value, unit, goal in measured
    ]
    return evidence.table(["Banking77, ten labels per class", "", "goal"], shown)


def smaller(variant: str) -> float:
    """Returns how many times smaller the student's small file is than a file of the teacher."""
    return comparisons.ratio("intents", "bytes", variant, _SMALL)


def faster(variant: str) -> float:
    """Returns how many times faster the student's small file is than a file of the teacher."""
    return comparisons.ratio("intents", "latency_ms", variant, _SMALL)


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""
    return {
        "text accuracy table": accuracies,
        "text goals table": goals,
        "text student": lambda: evidence.spread(_rows()[_STUDENT]["accuracies"]),
        "text control": lambda: evidence.spread(_rows()[_STUDENT]["control_accuracies"]),
        "text teacher": lambda: units.percent(_rows()[_STUDENT]["teacher_accuracy"]),
        "intents table": lambda: comparisons.comparison("intents"),
        "intents smaller": lambda: evidence.whole(smaller("teacher fp32")),
        "intents faster": lambda: evidence.whole(faster("teacher fp32")),
    }
