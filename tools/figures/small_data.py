"""Rare classes, rescued students and small sets: docs/evidence of promises.py, rescue.py and small_sets.py."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tfkd.recipe import Gates
from tfkd.report import units
from tfkd.verification.class_gates import judge_scores
from tfkd.verification.interval_rule import images_needed
from tfkd.verification.records import Threshold
from tfkd.verification.scores import from_counts
from tools.figures import evidence

PROMISES = (0.8, 0.9, 0.95, 0.98, 0.99)


def images_of_promises() -> str:
    """Returns the table of the images of a class that a promised recall needs."""
    rows = [[f"{100 * promise:g} %", f"{images_needed(promise):,}"] for promise in PROMISES]
    return evidence.table(["promised recall", "test examples of the class"], rows)


def promises() -> str:
    """Returns the table of recall, precision and verdicts of a rare class, over the test photos of all seeds."""
    found = evidence.read("promises")
    rare = found["rare"]
    rows = [
        [f"{title}, {precision}, {way}", *_promised(together, _verdicts(trained["seeds"], precision, way, rare))]
        for title, trained in found["trainings"].items()
        for precision, ways in trained["files"].items()
        for way, together in ways.items()
    ]
    return evidence.table(["training, file", "recall", "95 % interval", "precision", "gate"], rows)


def _verdicts(seeds: Sequence[dict[str, Any]], precision: str, way: str, rare: dict[str, Any]) -> Iterator[str]:
    """Yields the verdicts of the present gate on the counts of each seed."""
    gates = Gates(min_recall={rare["class"]: rare["promise"]})
    for seed in seeds:
        found = seed["files"][precision][way]
        scores = from_counts({rare["class"]: (found["images"], found["predicted"], found["right"])})
        thresholds = {rare["class"]: Threshold(**seed["threshold"])} if way == "with threshold" else {}
        yield from (gate.verdict for gate in judge_scores(gates, scores, precision, thresholds))


def _promised(found: dict[str, Any], verdicts: Iterable[str]) -> list[str]:
    return [
        units.percent(found["recall"]),
        _interval(found["interval"]),
        units.known(found["precision"], units.percent),
        ", ".join(f"{count} {verdict}" for verdict, count in Counter(verdicts).items()),
    ]


def _interval(ends: Sequence[float], unit: str = " %") -> str:
    low, high = (f"{100 * end:.1f}".replace("-", "−") for end in ends)
    return f"{low} to {high}{unit}"


def rescues() -> str:
    """Returns the table of what a rescue gains, for each failure."""
    rows = [[name, *_rescued(found)] for name, found in evidence.read("rescue")["failures"].items()]
    return evidence.table(
        ["failure", "cause that was named first", "remedy that was kept", "student before", "after", "gain", "teacher"],
        rows,
    )


def _rescued(found: dict[str, Any]) -> list[str]:
    seeds = found["seeds"]
    before, after, teacher = (
        [seed[when][who] for seed in seeds]
        for when, who in (("before", "student"), ("after", "student"), ("before", "teacher"))
    )
    kept = [" ".join(each["overrides"]) for seed in seeds for each in _tries(seed) if each["kept"]]
    return [
        _counted([_present_name(name) if name else "none, it passed" for name in found["named_first"]], len(seeds)),
        _counted([f"`{name}`" for name in kept], len(seeds)) or "none",
        evidence.spread(before),
        evidence.spread(after),
        evidence.gain(evidence.gains(after, before)),
        units.percent(statistics.mean(teacher)),
    ]


def _present_name(cause: str) -> str:
    return cause.replace("memorised its images", "memorised its examples")  # as it was called before there were texts


def _tries(seed: dict[str, Any]) -> list[dict[str, Any]]:
    tries: list[dict[str, Any]] = (seed["rescue"] or {"tries": []})["tries"]
    return tries


def _counted(names: Sequence[str], of: int) -> str:
    """(["a", "a", "b"], 3) -> 'a (2 of 3), b (1 of 3)'."""
    return ", ".join(f"{name} ({count} of {of})" for name, count in Counter(names).most_common())


def small_sets() -> str:
    """Returns the table of what small sets show, split by split and draw by draw."""
    splits = evidence.read("small_sets")["splits"]
    rows = [_drawn(name, each) for name, split in splits.items() for each in split["draws"]]
    return evidence.table(
        [
            "split, draw",
            "photos that count",
            "accuracy",
            "of the other photos",
            "gain over the control",
            "p of no loss",
        ],
        rows,
    )


def _drawn(name: str, draw: dict[str, Any]) -> list[str]:
    return [
        f"{name}, {draw['draw']}",
        f"{draw['images']}",
        f"{units.percent(draw['accuracy'])} ({_interval(draw['interval'])})",
        f"{units.percent(draw['accuracy_on_others'])}",
        f"{units.signed(100 * draw['gain'])} ({_interval(draw['gain_interval'], '')})",
        f"{draw['p_value']:.2g}",
    ]


def widths() -> str:
    """Returns the table of the mean widths of the intervals, and of how well they hold."""
    rows = [
        [
            name,
            f"{split['width']:.0f}",
            f"{split['gain_width']:.0f}",
            f"{split['error']:.1f}",
            f"{split['holding']} of {len(split['draws'])}",
        ]
        for name, split in evidence.read("small_sets")["splits"].items()
    ]
    return evidence.table(
        ["mean of the draws", "width of the accuracy's interval", "of the gain's", "error", "intervals that hold"], rows
    )


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""
    return {
        "images of promises table": images_of_promises,
        "promises table": promises,
        "rescue table": rescues,
        "small sets table": small_sets,
        "widths of small sets table": widths,
    }
