"""After the release: docs/evidence of rejection.py and drift.py, and the cost of recorded runs."""

import statistics
from collections.abc import Callable
from typing import Any

from tfkd.report import units
from tools.figures import evidence

_DATA = {"clothing": "clothing photos", "cifar10": "CIFAR-10"}
_COSTS = ("cost_quickstart", "cost_clothing")
_STRENGTHS = ("1", "2", "3", "4", "5")
_PROMISES = {
    "max_error": ("at most {} wrong labels", "error"),
    "coverage": ("at least {} with a label", "coverage"),
}

Record = dict[str, Any]


def _drift(data: str) -> Record:
    found: Record = evidence.read(f"drift_{data}")
    return found


def rejections() -> str:
    """Returns the table of every promise through the int8 files, beside the band of its mean."""
    rows = []
    for bundle, promises in evidence.read("rejection")["bundles"].items():
        for each in promises:
            ((promise, limit),) = each["promise"].items()
            text, measured = _PROMISES[promise]
            low, high = each["band"]
            rows.append(
                [
                    bundle,
                    text.format(units.percent(limit, 0)),
                    f"{each['validation']}, {each['test']}",
                    units.percent(each["mean"], 2),
                    f"{units.percent(low, 2)} to {units.percent(high, 2)}{'' if each['within'] else ': outside'}",
                    units.percent(each["coverage"] if measured == "error" else each["error"]),
                ]
            )
    titles = ["bundle", "promise", "validation, test", "mean of ten splits", "99 % band", "with a label, or wrong"]
    return evidence.table(titles, rows, numbers=2)


def false_alarms() -> str:
    """Returns the table of false alarms over clean drawings by number of predictions."""
    rows = []
    for data, title in _DATA.items():
        for size, each in _drift(data)["false_alarms"].items():
            low, high = each["band"]
            rows.append(
                [
                    title,
                    f"{int(size):,}",
                    f"{each['alarms']} of {each['drawings']:,}",
                    f"{low} to {high}{'' if each['within'] else ': outside'}",
                ]
            )
    return evidence.table(["", "predictions", "false alarms", "99 % band of a rate of 1 %"], rows)


def detections(data: str) -> str:
    """Returns the table of detections by change and strength, over the numbers of predictions."""
    found = _drift(data)["detections"]
    rows = [
        [f"{name}, {strength}", *(units.known(rate, _whole_percent) for rate in found[name][strength].values())]
        for name in found
        for strength in _STRENGTHS
    ]
    sizes = found["noise"]["1"]
    return evidence.table(["change, strength", *(f"{int(size):,} predictions" for size in sizes)], rows)


def _whole_percent(fraction: float) -> str:
    return units.percent(fraction, 0)


def robustness() -> str:
    """Returns the table of accuracies, as they are and corrupted, of every network."""
    rows = []
    for data, title in _DATA.items():
        for network, accuracies in _drift(data)["accuracies"].items():
            corrupted = [value for change, value in accuracies.items() if change != "clean"]
            by_strength = [_mean(accuracies, strength) for strength in ("1", "3", "5")]
            clean = accuracies["clean"]
            mean = statistics.mean(corrupted)
            rows.append([title, network, *map(units.percent, (clean, *by_strength, mean)), units.percent(mean / clean)])
            title = ""
    titles = ["", "network", "as they are", "strength 1", "3", "5", "all corruptions", "of its clean accuracy"]
    return evidence.table(titles, rows, numbers=2)


def _mean(accuracies: dict[str, float], strength: str) -> float:
    return statistics.mean(value for change, value in accuracies.items() if change.endswith(f" {strength}"))


def estimates() -> str:
    """Returns the table of true and estimated accuracies of the int8 student, by strength."""
    rows = []
    for data, title in _DATA.items():
        found = _drift(data)["estimates"]
        for change in ("clean", *(f"{name} {strength}" for name in ("fog", "class frequencies") for strength in "135")):
            each = found[change]
            rows.append(
                [
                    title,
                    change,
                    units.percent(each["true"]),
                    units.known(each["by confidence"], units.percent),
                    units.known(each["by class frequencies"], units.percent),
                ]
            )
            title = ""
    return evidence.table(["", "change", "true", "by confidence", "by class frequencies"], rows, numbers=2)


def costs() -> str:
    """Returns the table of processor seconds of one student, and its ratios."""
    rows = []
    for name in _COSTS:
        run = evidence.read(name)["run"]
        cost = run["cost"]
        rows.append(
            [
                f"`{run['command']}`",
                *(units.seconds(cost[field]) for field in ("teacher", "soft_labels", "student", "control")),
                f"{cost['to_control']:.2f}",
                f"{cost['to_teacher']:.2f}",
            ]
        )
    titles = ["run", "teacher", "soft labels", "student", "control", "to the control", "to the teacher"]
    return evidence.table(titles, rows)


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""
    return {
        "rejection table": rejections,
        "false alarms table": false_alarms,
        "detections clothing table": lambda: detections("clothing"),
        "detections cifar10 table": lambda: detections("cifar10"),
        "robustness table": robustness,
        "drift estimates table": estimates,
        "cost table": costs,
    }
