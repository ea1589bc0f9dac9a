"""Starts the runner, here or over a connection, and turns what it says into results."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tfkd.benchmark import statistics
from tfkd.benchmark.options import RunnerOptions
from tfkd.benchmark.programs import spoken
from tfkd.benchmark.subject import BenchSubject
from tfkd.bundle.results import DURATIONS, Device, Result, Rung, Runtime, Skipped, possible
from tfkd.errors import MachineError, RequestError, counted, first_fault
from tfkd.formats.families import LITERT_KERNELS, XNNPACK
from tfkd.progress import SECONDS_BETWEEN_LINES, Say
from tfkd.records import Entry
from tfkd.verification import runtime_errors

RUNNER = Path(__file__).with_name("runner.py")


@dataclass(frozen=True)
class Listener:
    """Hears of what concerns more than a target.

    Attributes:
        on_device: called with the device before anything is measured on it, and with the numbers of threads where they
            are known; raises RequestError where the results could not be judged.
        on_skipped: called with what a delegate did not take.
        on_stored: called where the results were measured earlier and are read from a file: measuring again brings the
            same ones.
        limits: names of the limits that the results are judged by.
    """

    on_device: Callable[[Device, tuple[int, ...]], None] = field(default=lambda _device, _threads: None)
    on_skipped: Callable[[Skipped], None] = field(default=lambda _skipped: None)
    on_stored: Callable[[], None] = field(default=lambda: None)
    limits: frozenset[str] = frozenset()


DEAF = Listener()


class _RunnerResult(BaseModel):
    """What the runner measured of a file; a clock that jumps can make a duration no number."""

    model_config = ConfigDict(extra="forbid")

    artifact: str
    threads: int = Field(ge=1)
    warmup: int
    processes: int
    samples_ms: list[float] = Field(min_length=1)
    cpu_ms: list[float]
    yardstick_ms: list[float]
    init_ms: float
    first_inference_ms: float
    peak_memory_mb: float | None
    partitions: int
    answers: list[list[float]]


class _Failed(Entry):
    artifact: str | None
    reason: str


class _Event(Entry):
    doing: str | None = None
    busy: bool = False
    error: _Failed | None = None
    device: Device | None = None
    runtime: Runtime | None = None
    threads: list[int] = Field([])
    measured: list[_RunnerResult] | None = None


@dataclass(frozen=True)
class RunnerPlace:
    """Where the runner runs.

    Attributes:
        target: name in results.
        title: what people call it in an error.
        command: that starts the runner there.
        files: artifact name to its path there.
        golden: path of the golden images there; None where there are none.
        lock: a folder there whose lock keeps other runs out; None where they are kept out otherwise, or may run.
    """

    target: str
    title: str
    command: list[str]
    files: dict[str, str]
    golden: str | None
    lock: str | None = None


def run(
    place: RunnerPlace,
    subject: BenchSubject,
    options: RunnerOptions,
    progress: Say | None = None,
    listener: Listener = DEAF,
) -> list[Result]:
    """Measures a subject where its files lie already.

    Returns:
        For every file one result a number of threads.

    Raises:
        RequestError: a file cannot be run there, the listener refuses, or the runner says what it should not.
        MachineError: another run measures there, or the runner gave no sign of life for too long.
        ChildError: the runner could not be started, or died.
    """
    processes = min(options.processes, options.runs)
    job = {
        "files": place.files,
        "threads": list(options.threads),
        "processes": processes,
        "runs": math.ceil(options.runs / processes),
        "warmup": options.warmup,
        "golden": place.golden,
        "patience": options.patience,
        "lock": place.lock,
    }
    if progress is not None:
        files, shares = counted(len(place.files), "file"), counted(processes, "process", "es")
        runs = counted(math.ceil(options.runs / processes), "run")
        progress(f"timing {files} in turn on {place.title}, {shares} of {runs}")
    last, reported = _Event(), time.monotonic()
    # The runner ends a process that hangs and says so: it must have the time to.
    for line in spoken(place.command, json.dumps(job), options.patience + 10):
        last = _event(line, place.title)
        if last.doing and progress is not None and time.monotonic() - reported > SECONDS_BETWEEN_LINES:
            progress(last.doing)
            reported = time.monotonic()
        if last.busy:
            raise busy(place.title)
        if last.device is not None and last.measured is None:
            listener.on_device(last.device, tuple(last.threads))
        if last.error:
            named = last.error.artifact or "the files"
            raise RequestError(
                f"LiteRT cannot run {subject.paths.get(named, named)} on {place.title}: "
                f"{runtime_errors.reason(last.error.reason)}. Export the file again."
            )
    if last.device is None or last.runtime is None or last.measured is None:
        raise RequestError(f"{place.title} ended without results. Measure it again.")
    try:
        return [_result(place.target, subject, last.device, last.runtime, each) for each in last.measured]
    except (KeyError, ValueError) as error:
        raise _nonsense(place.title, error) from None


def counts(options: RunnerOptions, cores: int) -> tuple[int, ...]:
    """Returns the requested numbers of threads on a device with so many cores, the smallest first."""
    return tuple(sorted({count or max(1, cores) for count in options.threads}))


def busy(title: str) -> MachineError:
    """Returns the error that says that another run measures there."""
    return MachineError(f"{title} is being measured by another run of tfkd bench. Wait until that has ended.")


def evidence_level(abi: str) -> Rung:
    """Returns the evidence level of a machine that runs files natively."""
    return "x86" if abi.lower() in ("x86_64", "amd64", "i686", "i386") else "device"


def _event(line: str, title: str) -> _Event:
    """Reads a line of the runner; a shell's greeting on a board is none of its lines."""
    if not line.startswith("{"):
        return _Event()
    try:
        return _Event.model_validate_json(line)
    except ValidationError as error:
        raise _nonsense(title, error) from None


def _nonsense(title: str, error: Exception) -> RequestError:
    fault = first_fault(error) if isinstance(error, ValidationError) else repr(error)
    return RequestError(f"{title} answered what the runner never says: {fault}. Measure it again.")


def _result(target: str, subject: BenchSubject, device: Device, runtime: Runtime, measured: _RunnerResult) -> Result:
    expected = subject.expected.get(measured.artifact)
    durations, dropped = possible(measured.model_dump(include=set(DURATIONS)))
    # A graph of which XNNPACK takes nothing is run by LiteRT's own kernels.
    accepted = (XNNPACK,) if measured.partitions else (LITERT_KERNELS,)
    return Result(
        target=target,
        device=device,
        runtime=runtime,
        delegate="xnnpack",
        artifact=subject.artifacts[measured.artifact],
        threads=measured.threads,
        warmup=measured.warmup,
        runs=len(durations["samples_ms"]),
        processes=measured.processes,
        **durations,
        dropped=dropped,
        latency_ms=statistics.summary(durations["samples_ms"]),
        init_ms=measured.init_ms,
        first_inference_ms=measured.first_inference_ms,
        peak_memory_mb=measured.peak_memory_mb,
        partitions=measured.partitions,
        golden=expected.compare(np.asarray(measured.answers, np.float32), accepted) if expected else None,
        emulated=False,
        rung=evidence_level(device.abi),
    )
