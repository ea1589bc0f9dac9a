"""Latency and instructions of two files, from measurements of both on the same device."""

from collections.abc import Iterator
from dataclasses import dataclass

from tfkd.benchmark import statistics
from tfkd.bundle.results import BenchEntry, Latency, Result
from tfkd.releases.pairing import FilePair, ReleasePair
from tfkd.releases.reading import Release
from tfkd.releases.records import CostChange

Key = tuple[str, str, str | None, str | None, int | None]  # target, device, processor, delegate, threads

_ANY_LIMIT = 0.05  # of `statistics.regression`, whose verdict is not used


@dataclass(frozen=True)
class _Measurement:
    """One measurement of a file; `result` is None where its samples were not kept."""

    key: Key
    emulated: bool
    latency: Latency | None
    instructions: int | None
    result: Result | None


def cost_changes(releases: ReleasePair, pair: FilePair) -> list[CostChange]:
    """Returns the change of every quantity that was measured of both files on the same device, the latest each."""
    before, after = _latest(releases.old, pair.old.path), _latest(releases.new, pair.new.path)
    return [change for key in before if key in after for change in _changes(before[key], after[key])]


def _latest(release: Release, path: str) -> dict[Key, _Measurement]:
    return {each.key: each for each in _measurements(release, path)}


def _measurements(release: Release, path: str) -> Iterator[_Measurement]:
    """Yields the measurements of a file, the latest last."""
    for entry in release.manifest.bench:
        if entry.artifact == path:
            yield _of_entry(entry)
    for result in release.results:
        if result.artifact.path == path:
            yield _of_result(result)


def _of_entry(entry: BenchEntry) -> _Measurement:
    key = entry.target, entry.device, entry.soc, entry.delegate, entry.threads
    instructions = None if entry.instructions is None else entry.instructions.get("total")
    return _Measurement(key, entry.emulated, entry.latency_ms, instructions, None)


def _of_result(result: Result) -> _Measurement:
    device = result.device
    key = result.target, device.name, device.soc, result.delegate, result.threads
    return _Measurement(key, result.emulated, result.latency_ms, result.counted, result)


def _changes(old: _Measurement, new: _Measurement) -> Iterator[CostChange]:
    if old.instructions is not None and new.instructions is not None:
        ratio = new.instructions / max(1, old.instructions)
        yield _change(old, "instructions", old.instructions, new.instructions, ratio, (ratio, ratio))
    if old.latency is not None and new.latency is not None and old.latency.median > 0:
        ratio, interval = _latency_ratio(old, new, old.latency, new.latency)
        yield _change(old, "latency", old.latency.median, new.latency.median, ratio, interval)


def _latency_ratio(
    old: _Measurement, new: _Measurement, before: Latency, after: Latency
) -> tuple[float, tuple[float, float] | None]:
    """Returns new / old and its interval: by the samples of both, else by the intervals of the medians."""
    if old.result is not None and new.result is not None and old.result.samples_ms and new.result.samples_ms:
        change = statistics.regression(_timed(old.result), _timed(new.result), _ANY_LIMIT)
        low, high = change.interval
        return change.ratio, (low, high) if high < float("inf") else None
    ratio = after.median / before.median
    if before.interval is None or after.interval is None or before.interval[0] <= 0:
        return ratio, None
    return ratio, (after.interval[0] / before.interval[1], after.interval[1] / before.interval[0])


def _timed(result: Result) -> Result:
    """Returns a result without its instructions, in place of which durations are compared."""
    return result.model_copy(update={"instructions": None})


def _change(
    measured: _Measurement,
    quantity: str,
    old: float,
    new: float,
    ratio: float,
    interval: tuple[float, float] | None,
) -> CostChange:
    target, device, processor, delegate, threads = measured.key
    return CostChange.model_validate(
        {
            "target": target,
            "device": f"{device} ({processor})" if processor and processor != device else device,
            "delegate": delegate,
            "threads": threads,
            "emulated": measured.emulated,
            "quantity": quantity,
            "old": old,
            "new": new,
            "ratio": ratio,
            "interval": interval,
        }
    )
