"""Starts the runner, here or over a connection, and turns what it says into results."""

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tfkd.benchmark import statistics
from tfkd.benchmark.subject import Subject
from tfkd.bundle.results import DURATIONS, Device, Result, Rung, Runtime, Skipped, possible
from tfkd.errors import MachineError, RequestError, first_fault
from tfkd.progress import SECONDS_BETWEEN_LINES
from tfkd.records import Entry
from tfkd.verification import runtime_errors
from tfkd.verification.families import LITERT_KERNELS, XNNPACK

RUNNER = Path(__file__).with_name("runner.py")
# The runner counts its memory from when it starts: numpy's threads would come and go in it, and run beside LiteRT's.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
ALIVE = "tfkd-alive"
LONGEST_LINE = 1 << 26  # characters; a board may send anything
ALL_CORES = 0
DELEGATES = ("cpu", "gpu", "npu")

Say = Callable[[str], None]

TIMING = frozenset({"runs", "warmup", "processes", "threads", "patience"})
"""The fields of `Options` that every target reads which measures time with a runner of ours."""


@dataclass(frozen=True)
class Options:
    """How to measure, on every target.

    Attributes:
        runs: timed inferences of each file with each number of threads; rounded up to equal shares of the processes.
        warmup: untimed ones before them in each process, at least; more until the latency is steady.
        processes: take the runs one after the other.
        threads: numbers of threads, ALL_CORES among them.
        patience: seconds without a sign of life after which a wait ends.
        ssh_config: an OpenSSH configuration file in place of the user's own; `ssh` only.
        python: the interpreter on the board; `ssh` only.
        benchmark_model: a `benchmark_model` or `benchmark_litert_model` binary for android_arm64; `android` only, as
            are those below.
        profile: a folder for that binary's operator profiles, one CSV a file.
        delegates: what runs the graphs, each a name of DELEGATES; empty for the CPU with that binary, and for all that
            the device has with the app.
        cores: numbers of the cores to run on; empty for all but the slowest kind.
        cooling: seconds to wait for a device that is hot.
        keep: the files stay on the device, so that the next run need not copy them.
    """

    runs: int = 300
    warmup: int = 10
    processes: int = 10
    threads: tuple[int, ...] = (1, ALL_CORES)
    patience: float = 120.0
    ssh_config: Path | None = None
    python: str = "python3"
    benchmark_model: Path | None = None
    profile: Path | None = None
    delegates: tuple[str, ...] = ()
    cores: tuple[int, ...] = ()
    cooling: float = 300.0
    keep: bool = False

    def unread(self, names: Iterable[str]) -> list[str]:
        """Returns the fields that differ from their defaults and are none of these."""
        changed = [each.name for each in fields(self) if getattr(self, each.name) != each.default]
        return [name for name in changed if name not in names]


@dataclass(frozen=True)
class Listener:
    """Hears of what concerns more than a target.

    Attributes:
        on_device: called with the device before anything is measured on it, and with the numbers of threads where they
            are known; raises RequestError where the results could not be judged.
        on_skipped: called with what a delegate did not take.
        limits: names of the limits that the results are judged by.
    """

    on_device: Callable[[Device, tuple[int, ...]], None] = field(default=lambda _device, _threads: None)
    on_skipped: Callable[[Skipped], None] = field(default=lambda _skipped: None)
    limits: frozenset[str] = frozenset()


DEAF = Listener()


class ChildError(Exception):
    """The runner's process ended badly.

    Attributes:
        code: its exit code.
        log: what it wrote to stderr.
    """

    def __init__(self, code: int, log: str) -> None:
        super().__init__(code, log)
        self.code = code
        self.log = log

    @property
    def last_line(self) -> str:
        """The last line of the log, which names the error of a Python program and of ssh alike."""
        return next(iter(reversed(self.log.strip().splitlines())), "no message")[:300]


class _Measured(BaseModel):
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
    measured: list[_Measured] | None = None


@dataclass(frozen=True)
class Place:
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
    place: Place,
    subject: Subject,
    options: Options,
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
        progress(
            f"timing {len(place.files)} files in turn on {place.title}, {processes} processes of {job['runs']} runs"
        )
    last, said = _Event(), time.monotonic()
    # The runner ends a process that hangs and says so: it must have the time to.
    for line in spoken(place.command, json.dumps(job), options.patience + 10):
        last = _event(line, place.title)
        if last.doing and progress is not None and time.monotonic() - said > SECONDS_BETWEEN_LINES:
            progress(last.doing)
            said = time.monotonic()
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


def spoken(command: list[str], said: str, patience: float) -> Generator[str, None, None]:
    """Yields the lines that a program writes to stdout; leaves nothing of it running, however the caller ends.

    Args:
        command: program and arguments; no shell reads them.
        said: for its stdin.
        patience: seconds without a line after which it is ended.

    Raises:
        RequestError: it cannot be started.
        MachineError: it said nothing for so long.
        ChildError: it ended with another code than zero.
    """
    with tempfile.TemporaryFile("w+") as stdin, tempfile.TemporaryFile("w+", errors="replace") as log:
        stdin.write(said)
        stdin.seek(0)
        child = _started(command, stdin, log)
        try:
            yield from _lines(child, command[0], patience)
            code = child.wait(patience)
        finally:
            _end(child)
        if code != 0:
            log.seek(0)
            raise ChildError(code, log.read())


def living(command: list[str], patience: float) -> Iterator[str]:
    """Yields the lines of a program that tells about once a second, with a line of ALIVE, how far it is.

    Args:
        command: program and arguments; no shell reads them.
        patience: seconds without another line, or another ALIVE, after which it is ended.

    Raises:
        RequestError: it cannot be started.
        MachineError: it gave no sign of life for so long.
        ChildError: it ended with another code than zero.
    """
    last, since = "", time.monotonic()
    with contextlib.closing(spoken(command, "", patience)) as lines:
        for line in lines:
            if line != last:
                last, since = line, time.monotonic()
            elif time.monotonic() - since >= patience:
                raise _silent(command[0], patience)
            if not line.startswith(ALIVE):
                yield line


@contextlib.contextmanager
def standing(command: list[str], patience: float) -> Iterator[str]:
    """Lets a program that ends with its stdin stand beside a block.

    Args:
        command: program and arguments; no shell reads them.
        patience: seconds in which it must write a line, and in which it must end after the block.

    Yields:
        The first line of its stdout and stderr; empty if it ended without.

    Raises:
        RequestError: it cannot be started.
        MachineError: it wrote nothing in time.
    """
    child = _started(command, subprocess.PIPE, subprocess.STDOUT)
    try:
        yield next(_lines(child, command[0], patience), "").strip()
    finally:
        assert child.stdin is not None
        with contextlib.suppress(OSError):  # it has ended
            child.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)
        _end(child)


def counts(options: Options, cores: int) -> tuple[int, ...]:
    """Returns the numbers of threads that are asked for on a device with so many cores, the smallest first."""
    return tuple(sorted({count or max(1, cores) for count in options.threads}))


def busy(title: str) -> MachineError:
    """Returns the error that says that another run measures there."""
    return MachineError(f"{title} is being measured by another run of tfkd bench. Wait until that has ended.")


def rung(abi: str) -> Rung:
    """Returns the step of the verification ladder on which a machine that runs files natively stands."""
    return "x86" if abi.lower() in ("x86_64", "amd64", "i686", "i386") else "device"


def completed(command: list[str], limit: float) -> "subprocess.CompletedProcess[str]":
    """Runs a command without input and returns what it wrote, whatever its exit code.

    Raises:
        subprocess.TimeoutExpired: it did not end within `limit` seconds, and was killed.
        OSError: it cannot be started.
    """
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=limit,
        check=False,
    )


def _started(command: list[str], stdin: Any, log: Any) -> "subprocess.Popen[str]":
    try:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            errors="replace",
            env=os.environ | ENVIRONMENT,
            start_new_session=True,  # so that what it has forked ends with it
        )
    except OSError as error:
        raise RequestError(f"Cannot start {command[0]}: {error.strerror}. Install it or put it on the PATH.") from None


def _lines(child: "subprocess.Popen[str]", name: str, patience: float) -> Iterator[str]:
    """A thread reads, because a line cannot be waited for with a limit."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert child.stdout is not None
        with contextlib.suppress(ValueError):  # the stream was closed because nobody waits any more
            while line := child.stdout.readline(LONGEST_LINE):
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=patience)
        except queue.Empty:
            raise _silent(name, patience) from None
        if line is None:
            return
        yield line


def _silent(name: str, patience: float) -> MachineError:
    return MachineError(f"{name} gave no sign of life for {patience:g} seconds and was ended. Measure again.")


def _end(child: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


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


def _result(target: str, subject: Subject, device: Device, runtime: Runtime, measured: _Measured) -> Result:
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
        rung=rung(device.abi),
    )
