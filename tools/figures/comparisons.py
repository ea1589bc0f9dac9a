"""The two headline tables of README.md, and the numbers in its text."""

import functools
import math
import statistics
from collections.abc import Callable
from typing import Any

from tfkd.report import units
from tools.figures import evidence

_TITLES = {
    "efficientnet_lite0": "EfficientNet-Lite0",
    "efficientnet_lite1": "EfficientNet-Lite1",
    "efficientnet_lite2": "EfficientNet-Lite2",
    "mobilenet_v3_small": "MobileNetV3-Small",
    "mobilenet_v3_large": "MobileNetV3-Large",
    "squeezenet_1_1": "SqueezeNet 1.1",
    "minilm_l6": "MiniLM-L6",
    "word_average": "mean of word vectors",
}
_NAMED = ("teacher fp32", "student fp32")  # rows that name the network
_HEADLINE = "student int8"
_COLUMNS = ("variant", "size", "deflated", "latency, one thread", "accuracy", "against the teacher")


def comparison(name: str) -> str:
    """Returns the table of a run's variants; the control follows the teacher."""
    found = evidence.read(name)["run"]
    rows = []
    for row in found["comparison"]:
        variant = row["variant"]
        title = f"{variant} ({_network(found[variant.split()[0]])})" if variant in _NAMED else variant
        cells = [
            title,
            units.size(row["bytes"]),
            units.size(row["compressed_bytes"]),
            units.milliseconds(row["latency_ms"]),
            *_accuracy(row["accuracy"], found),
        ]
        rows.append([f"**{cell}**" for cell in cells] if variant == _HEADLINE else cells)
    if found.get("control_accuracy") is not None and not any(row[0].startswith("control") for row in rows):
        rows.insert(1, ["control (not exported)", "", "", "", *_accuracy(found["control_accuracy"], found)])
    return evidence.table(_COLUMNS, rows)


def _network(network: dict[str, Any]) -> str:
    width = f" {network['width']:g}" if network.get("width", 1.0) != 1.0 else ""
    side = f", {network['image_size']} px" if network["image_size"] else ""
    return f"{_TITLES.get(network['model'], network['model'])}{width}{side}"


def _accuracy(accuracy: float, found: dict[str, Any]) -> list[str]:
    error = math.sqrt(accuracy * (1 - accuracy) / found["test_images"])
    difference = accuracy - found["comparison"][0]["accuracy"]
    return [units.plus_minus(accuracy, error), units.points(difference)]


def _row(name: str, variant: str) -> dict[str, Any]:
    rows = evidence.read(name)["run"]["comparison"]
    row: dict[str, Any] = next(row for row in rows if row["variant"] == variant)
    return row


def ratio(name: str, field: str, upper: str, lower: str) -> float:
    """Returns a field of one variant of a run, divided by that of another."""
    found: float = _row(name, upper)[field] / _row(name, lower)[field]
    return found


def smaller() -> float:
    """How many times smaller the int8 student of clothing.py is than its teacher."""
    return ratio("clothing", "bytes", "teacher fp32", _HEADLINE)


def faster() -> float:
    """How many times faster it is."""
    return ratio("clothing", "latency_ms", "teacher fp32", _HEADLINE)


def kept() -> float:
    """Its accuracy as a fraction of the teacher's."""
    return ratio("clothing", "accuracy", _HEADLINE, "teacher fp32")


def smaller_clustered() -> float:
    """How many times smaller the clustered student's download is."""
    return ratio("clothing", "compressed_bytes", "teacher fp32", "student clustered int8")


def _machine(name: str) -> str:
    machine = evidence.read(name)["run"]["machine"]
    return f"{machine['cores']} cores of an {machine['processor']}"


def _seeds(name: str) -> dict[str, Any]:
    seeds: dict[str, Any] = evidence.read(name)["seeds"]
    return seeds


def _spread(name: str, field: str) -> str:
    shares = _seeds(name)[field]
    return f"{evidence.spread(shares)} ({evidence.listed(shares)})"


def _gains(name: str) -> list[float]:
    return evidence.gains(_seeds(name)["accuracies"], _seeds(name)["control_accuracies"])


def _of_run(name: str) -> dict[str, Callable[[], str]]:
    """Returns the figures that both recipes have, by name."""
    run = evidence.read(name)["run"]
    return {
        f"{name} table": lambda: comparison(name),
        f"{name} machine": lambda: _machine(name),
        f"{name} seed": lambda: str(run["seed"]),
        f"{name} test images": lambda: f"{run['test_images']:,}",
        f"{name} student": lambda: _spread(name, "accuracies"),
        f"{name} control": lambda: _spread(name, "control_accuracies"),
        f"{name} gain": lambda: units.points(statistics.mean(_gains(name))),
        f"{name} gain error": lambda: f"{100 * evidence.standard_error(_gains(name)):.1f}",
    }


def _validation(field: str) -> str:
    return units.percent(statistics.mean(_seeds("clothing")[field]))


def _of_few_photos() -> dict[str, Callable[[], str]]:
    """Returns the figures of README's recipe with 200 photos to learn from, by name."""
    found = evidence.read("few_photos")
    accuracies, tested = found["accuracy"], found["images"]["test"]
    error = math.sqrt(accuracies["student"] * (1 - accuracies["student"]) / tested)
    return {
        **{f"recipe {name}": functools.partial(units.percent, share) for name, share in accuracies.items()},
        "recipe learnt": lambda: str(found["images"]["train"] + found["images"]["validation"]),
        "recipe test images": lambda: str(tested),
        "recipe error": lambda: f"{100 * error:.1f}",
    }


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""
    clothing = evidence.read("clothing")
    return {
        **_of_few_photos(),
        **_of_run("quickstart"),
        **_of_run("clothing"),
        "quickstart labelled": lambda: f"{evidence.read('quickstart')['run']['splits']['train']:,}",
        "quickstart unlabelled": lambda: f"{evidence.read('quickstart')['run']['unlabelled']:,}",
        "clothing student mean": lambda: evidence.spread(_seeds("clothing")["accuracies"]),
        "clothing control mean": lambda: evidence.spread(_seeds("clothing")["control_accuracies"]),
        "clothing smaller": lambda: evidence.whole(smaller()),
        "clothing faster": lambda: evidence.whole(faster()),
        "clothing kept": lambda: units.percent(kept()),
        "clothing clustered smaller": lambda: evidence.whole(smaller_clustered()),
        "clothing gates": lambda: str(clothing["run"]["gates_passed"]),
        "clothing validation student": lambda: _validation("validation_accuracies"),
        "clothing validation control": lambda: _validation("control_validation_accuracies"),
        "clothing validation images": lambda: str(clothing["run"]["splits"]["validation"]),
        "clothing 79 px": lambda: units.percent(clothing["at_79_px"]["accuracy"]),
        "clothing 79 px faster": lambda: evidence.whole(clothing["at_79_px"]["faster"]),
        "clothing earlier student": lambda: units.percent(clothing["earlier_run"]["student"]),
        "clothing earlier control": lambda: units.percent(clothing["earlier_run"]["control"]),
    }
