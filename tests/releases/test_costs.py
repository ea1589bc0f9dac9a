"""Latency and instructions of two bundles on the same device."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.releases.bundles import release
from tfkd.bundle.results import Device, File, Latency, Result, Runtime
from tfkd.releases.costs import cost_changes
from tfkd.releases.pairing import paired
from tfkd.releases.reading import Release
from tfkd.releases.records import CostChange

BARE = dataclasses.replace(release(), manifest=release().manifest.model_copy(update={"bench": []}))
INT8 = BARE.manifest.artifacts[3]


def measured(milliseconds: float, device: str = "Phone", **fields: Any) -> Result:
    samples = (milliseconds * np.random.default_rng(1).uniform(1, 1.02, 60)).tolist()
    values = {
        "device": Device(model=device, os="Android 15", abi="arm64-v8a"),
        "runtime": Runtime(name="LiteRT", version="2"),
        "artifact": File(path=INT8.path, sha256=INT8.sha256),
        "target": "android",
        "threads": 1,
        "runs": 60,
        "processes": 6,
        "samples_ms": samples,
        "latency_ms": Latency(
            median=float(np.median(samples)), min=min(samples), interval=(min(samples), max(samples))
        ),
        "emulated": False,
        "rung": "device",
    }
    return Result.model_validate(values | fields)


def having(*results: Result, bench: tuple[Any, ...] = ()) -> Release:
    return dataclasses.replace(BARE, results=results, manifest=BARE.manifest.model_copy(update={"bench": list(bench)}))


def changes(old: Release, new: Release) -> list[CostChange]:
    releases = paired(old, new)
    (pair,) = [pair for pair in releases.files if pair.old == INT8]
    return cost_changes(releases, pair)


def test_the_latest_measurements_on_the_same_device_are_compared() -> None:
    (change,) = changes(having(measured(9), measured(1)), having(measured(1.5), measured(2, "Tablet")))
    assert (change.device, change.quantity) == ("Phone", "latency")
    assert change.ratio == pytest.approx(1.5) and change.interval is not None
    assert change.interval[0] == pytest.approx(1.5, rel=0.02)


def test_other_devices_threads_and_delegates_are_not() -> None:
    old = having(measured(1))
    for other in (
        measured(1, "Tablet"),
        measured(1, threads=2),
        measured(1, delegate="gpu"),
        measured(1, target="host"),
    ):
        assert changes(old, having(other)) == []


def test_a_summary_is_compared_by_the_intervals_of_the_medians() -> None:
    from tfkd.bundle.results import BenchEntry

    entry = BenchEntry.of(measured(1))
    (change,) = changes(having(bench=(entry,)), having(measured(2)))
    assert change.ratio == pytest.approx(2) and change.interval is not None
    low, high = change.interval
    assert 1.9 < low < 2 < high < 2.1
    assert entry.latency_ms is not None
    bare = entry.model_copy(update={"latency_ms": entry.latency_ms.model_copy(update={"interval": None})})
    (change,) = changes(having(bench=(bare,)), having(measured(2)))
    assert change.interval is None


def test_instructions_are_exact() -> None:
    fields: dict[str, Any] = {"samples_ms": [], "latency_ms": None, "emulated": True, "rung": "arm64 emulated"}
    old, new = (measured(1, **fields, instructions={"total": count}) for count in (1000, 1100))
    (change,) = changes(having(old), having(new))
    assert (change.quantity, change.ratio, change.interval) == ("instructions", 1.1, (1.1, 1.1))
