"""Functions that read untrusted files run in a separate process: the caller always gets one line."""

import contextlib
import io
import json
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfkd.errors import MachineError, RequestError
from tfkd.progress import Progress
from tfkd.sandbox import ResourceLimits, Sandbox, begin_phase
from tfkd.sandbox.messages import Reader

FILE = Path("model.bin")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(RequestError) as started:
        yield started


@pytest.fixture(scope="module")
def hurried() -> Iterator[Sandbox]:
    """One second of processor time for each phase, independent of the load."""
    limits = ResourceLimits(phase_seconds=1.0, image_seconds=1.0, memory=1 << 30, by_the_clock=200.0)
    with Sandbox(RequestError, limits) as started:
        yield started


def sums(batches: Iterator[np.ndarray]) -> list[int]:
    return [int(batch.sum()) for batch in batches]


def keeps_a_semaphore() -> bool:
    lock: Any = multiprocessing.RLock()
    return lock._semlock.name is not None  # one that is unlinked has none


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave() -> None:
    raise SystemExit(5)


def recurse(depth: int) -> int:
    return 1 + recurse(depth + 1)


def spin(seconds: float) -> float:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return seconds


def spin_in_phases(phases: int) -> int:
    for _ in range(phases):
        spin(0.7)
        begin_phase()
    return phases


def spin_on_images(batches: Iterator[np.ndarray]) -> int:
    return sum(int(spin(0.7 * len(batch)) > 0) for batch in batches)


def sleep() -> None:
    time.sleep(60)


def allocate() -> int:
    return len(bytearray(4 << 30))


def full_disk() -> None:
    raise OSError(28, "No space left on device", "file.bin")


@dataclass
class Local:
    """A data class outside of tfkd."""

    number: int


def local() -> Local:
    return Local(1)


class Runs:
    """Calls a function where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


def report(count: int, progress: Progress) -> int:
    progress.say("begins")
    for name in ("first", "second"):
        with progress.task(name, count, "images") as advance:
            for _ in range(count):
                advance(2)
    return count


class Recorded:
    """Records the progress."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def say(self, text: str) -> None:
        self.shown.append(text)

    @contextlib.contextmanager
    def task(self, name: str, total: int | None, unit: str) -> Iterator[Any]:
        self.shown.append((name, total, unit))
        yield self.shown.append
        self.shown.append("end")


def harm() -> Runs:
    return Runs()


def test_a_killed_child_leaves_no_semaphore(sandbox: Sandbox) -> None:
    assert not sandbox.call(FILE, keeps_a_semaphore)


def test_results_batches_and_the_folder_pass_through(sandbox: Sandbox, tmp_path: Path, monkeypatch: Any) -> None:
    assert sandbox.call(FILE, json.loads, '{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
    batches = [np.full((2, 3), number) for number in range(500)]
    assert sandbox.call(FILE, sums, batches=batches) == [6 * number for number in range(500)]
    monkeypatch.chdir(tmp_path)
    assert sandbox.call(FILE, Path.cwd) == tmp_path


def test_progress_is_shown_by_the_caller(sandbox: Sandbox) -> None:
    recorded = Recorded()
    assert sandbox.call(FILE, report, 3, progress=recorded) == 3
    tasks = [[(name, 3, "images"), 2, 2, 2, "end"] for name in ("first", "second")]
    assert recorded.shown == ["begins", *tasks[0], *tasks[1]]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (crash, r"model\.bin: it crashes the runtime that loads it \(SIGSEGV\)"),
        (leave, r"model\.bin: cannot be run: 5"),
        (
            local,
            r"model\.bin: the process that read it sent an unreadable result \(it names tests\.test_sandbox\.Local",
        ),
        (harm, r"model\.bin: the process that read it sent an unreadable result \(it names posix\.system"),
    ],
)
def test_a_failure_is_one_line_and_the_next_call_works(
    sandbox: Sandbox, function: Any, message: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=message):
        sandbox.call(FILE, function)
    assert list(tmp_path.iterdir()) == []
    assert sandbox.call(FILE, json.loads, "1") == 1


def test_endless_recursion_is_one_line(sandbox: Sandbox) -> None:
    with pytest.raises(RequestError, match="cannot be run: maximum recursion depth exceeded"):
        sandbox.call(FILE, recurse, 0)


def test_an_error_of_the_machine_is_passed_on(sandbox: Sandbox) -> None:
    with pytest.raises(MachineError, match="No space left on device"):
        sandbox.call(FILE, full_disk)


def test_processor_time_is_limited_for_each_phase(hurried: Sandbox) -> None:
    assert hurried.call(FILE, spin_in_phases, 4) == 4
    with pytest.raises(RequestError, match="exceeded the processor time of a file"):
        hurried.call(FILE, spin, 30.0)


def test_processor_time_grows_with_the_images(hurried: Sandbox) -> None:
    assert hurried.call(FILE, spin_on_images, batches=[np.zeros(2), np.zeros(1)]) == 2


def test_a_blocked_child_is_ended() -> None:
    with (
        Sandbox(RequestError, ResourceLimits(phase_seconds=0.5)) as started,
        pytest.raises(RequestError, match="was blocked for more than 5 seconds"),
    ):
        started.call(FILE, sleep)


def test_memory_is_limited(hurried: Sandbox) -> None:
    with pytest.raises(RequestError, match="cannot be run: it needs more memory than a file may use"):
        hurried.call(FILE, allocate)


@pytest.mark.parametrize("value", [RequestError("what"), np.arange(3), {"a": (1, None)}, Path("a")])
def test_only_plain_data_is_read_from_a_child(value: Any) -> None:
    read = Reader(io.BytesIO(pickle.dumps(value))).load()
    assert str(read) == str(value)
    assert type(read) is type(value)
