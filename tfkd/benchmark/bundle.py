"""Measures a bundle or a single file on a target, records the results, and judges them."""

import glob
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tfkd.benchmark import gates, statistics, subject
from tfkd.benchmark.driver import Listener
from tfkd.benchmark.gates import Limits
from tfkd.benchmark.options import flag, names
from tfkd.benchmark.selecting import SelectedTarget, select_target, targets_with
from tfkd.benchmark.subject import BenchSubject
from tfkd.bundle import measurements, results
from tfkd.bundle.layout import MANIFEST, MEASUREMENTS
from tfkd.bundle.manifest import read_manifest
from tfkd.bundle.publishing import opened
from tfkd.bundle.results import Device, Result, Skipped
from tfkd.errors import RequestError, enumerated
from tfkd.progress import Say
from tfkd.verification.records import Gate

MORE = 4  # times that an unclear change is measured again


@dataclass(frozen=True)
class BenchOutcome:
    """What a benchmark found, before it is judged.

    Attributes:
        results: for every file and number of threads.
        skipped: what the target's delegates did not take.
        record: the file in the bundle's `measurements`; None if none was requested, or there is no bundle.
        limits: what is to be kept.
        earlier: the results in `limits.baseline`.
    """

    results: list[Result]
    skipped: list[Skipped]
    record: Path | None
    limits: Limits
    earlier: list[Result]

    def judged(self) -> list[Gate]:
        """Returns the verdicts; none without limits and without golden predictions.

        Raises:
            MachineError: the noise is too large to detect a change.
            RequestError: a limit needs what was not measured.
        """
        return gates.judge(self.limits, self.results, self.earlier)


@dataclass(frozen=True)
class BenchRequest:
    """What to measure, and where.

    Attributes:
        path: folder of a bundle, or a .tflite file.
        target: name, or name:address.
        options: how to measure, by name: those that the target's record in `benchmark.options` has.
        limits: what to keep.
        only: pattern of the files' paths in the bundle.
        golden: golden predictions for a single file (see `subject.of_file`).
        record: whether a bundle keeps the results.
    """

    path: Path
    target: str
    options: Mapping[str, object] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    only: str = "*"
    golden: Path | None = None
    record: bool = True


def measure(request: BenchRequest, progress: Say | None = None) -> BenchOutcome:
    """Measures files and records the results, whether or not they keep the limits.

    A change against the baseline that is lost in noise is measured up to four times more, until it is clear.

    Args:
        request: what to measure, and where.
        progress: receives a line about what is being done.

    Raises:
        RequestError: the request is wrong, or its results could not be judged: nothing was measured then.
        MachineError: the device or the machine did not let it be measured.
    """
    others = {*names(Limits), *names(BenchRequest)} - {"path", "target", "options", "limits"}
    target = select_target(request.target, request.options, others)
    _require_judged(target, request.limits)
    earlier = results.read(request.limits.baseline) if request.limits.baseline else []
    bundle, only = _bundle(request)
    if bundle is None:
        files = subject.of_file(request.path, target.module.FORMATS, request.golden)
        return _measured(request, target, files, earlier, progress)
    if request.golden is not None:
        raise RequestError(f"--golden is for a file in no bundle; {bundle} holds golden predictions. Leave it out.")
    with opened(bundle) as here:
        files = subject.of_bundle(here, target.module.FORMATS, only)
        return _measured(replace(request, path=bundle), target, files, earlier, progress)


def bench(request: BenchRequest, progress: Say | None = None) -> tuple[BenchOutcome, list[Gate]]:
    """Measures (see `measure`) and judges; raises what both raise."""
    measured = measure(request, progress)
    return measured, measured.judged()


def _bundle(request: BenchRequest) -> tuple[Path | None, str]:
    """Returns the bundle that is meant, and the pattern of its files; a file inside a bundle gives both."""
    if not request.path.is_file():
        return request.path, request.only
    if request.only != "*":
        raise RequestError(f"--only chooses among the files of a bundle; {request.path} is a file. Leave it out.")
    for folder in request.path.absolute().parents:
        if (folder / MANIFEST).is_file():
            inside = request.path.absolute().relative_to(folder).as_posix()
            if any(each.path == inside for each in read_manifest(folder).artifacts):
                return folder, glob.escape(inside)
    return None, "*"


def _measured(
    request: BenchRequest, target: SelectedTarget, files: BenchSubject, earlier: list[Result], progress: Say | None
) -> BenchOutcome:
    limits, name = request.limits, target.name
    gates.require_baseline(limits, earlier, name, files.paths)
    bundle = request.path if request.record and request.path.is_dir() else None
    if bundle is not None:
        measurements.require_writable(bundle)
    skipped: dict[tuple[str, str], Skipped] = {}
    stored: list[bool] = []
    record = measurements.new_name(name)

    def on_device(device: Device, threads: tuple[int, ...]) -> None:
        gates.require_baseline(limits, earlier, name, files.paths, device, threads)

    def on_skipped(each: Skipped) -> None:
        skipped[each.path, each.delegate] = each
        if progress is not None:
            progress(f"{each.path} is not measured on {each.delegate}: {each.reason}")

    listener = Listener(on_device, on_skipped, lambda: stored.append(True), frozenset(limits.set_names))

    def once() -> list[Result]:
        found: list[Result] = target.module.bench(target.address, files, target.options, progress, listener)
        return found

    def keep(found: list[Result]) -> None:
        if bundle is not None:
            measurements.write(bundle, record, results.now(found, list(skipped.values())))

    found = until_clear(once, limits, earlier, progress, keep, lambda: not stored)
    path = None if bundle is None else bundle / MEASUREMENTS / record
    return BenchOutcome(found, list(skipped.values()), path, limits, earlier)


def until_clear(
    measure: Callable[[], list[Result]],
    limits: Limits,
    earlier: list[Result],
    progress: Say | None = None,
    keep: Callable[[list[Result]], None] = lambda _: None,
    repeatable: Callable[[], bool] = lambda: True,
) -> list[Result]:
    """Measures, and up to four times more while a change against the earlier results is lost in noise.

    Args:
        measure: measures once.
        limits: what is to be kept.
        earlier: the results of the baseline.
        progress: receives a line about what is being done.
        keep: called with all results so far, before any are judged.
        repeatable: called after the first time; returns whether measuring again gives other samples.
    """
    found = measure()
    keep(found)
    for _ in range(MORE):
        if not repeatable() or not gates.unclear(limits, found, earlier):
            break
        if progress is not None:
            progress("the change is lost in noise; measuring more")
        found = [statistics.summarised(each) for each in statistics.joined(found, measure())]
        keep(found)
    return found


def _require_judged(target: SelectedTarget, limits: Limits) -> None:
    """Refuses limits on what a target does not measure."""
    for limit in limits.set_names:
        if limit not in target.module.LIMITS:
            others = enumerated(targets_with(limit))
            raise RequestError(
                f"{flag(limit)} is for {others}; the target {target.name} does not measure that. Leave it out."
            )
