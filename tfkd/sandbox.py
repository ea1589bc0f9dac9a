"""Runs functions on untrusted files in a process apart, with limits on memory, recursion and processor time.

A damaged or hostile file can crash the library that reads it, or never end. Here only the child process ends, and the
caller gets one line. The child's results are read without importing anything but data classes of tfkd and arrays.
"""

import contextlib
import io
import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import numpy as np

from tfkd import machine
from tfkd.errors import TfkdError, cause, of_the_machine
from tfkd.processes import die_with_parent
from tfkd.progress import Advance, Progress

BLOCKED = 10  # times the allowance of processor time: how long a child may take by the clock, as when a read blocks
_RECURSION = 1000  # Python calls within each other

_SPAWN = multiprocessing.get_context("spawn")
_ARRAYS = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("pathlib", "PosixPath"),
}


@dataclass(frozen=True)
class Limits:
    """What a child process may use.

    Attributes:
        phase_seconds: processor time of all threads for each phase, such as loading a file.
        image_seconds: processor time for each image of a batch.
        memory: bytes of writable memory.
    """

    phase_seconds: float = 300.0
    image_seconds: float = 10.0
    memory: int = machine.memory()

    def of_phase(self, images: int) -> float:
        """Returns the processor time of a phase that predicts so many images, seconds."""
        return self.phase_seconds + self.image_seconds * images


@dataclass(frozen=True)
class _Named:
    """Which of its named arguments a function takes."""

    batches: bool
    progress: bool


@dataclass(frozen=True)
class _Call:
    path: Path
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: _Named
    folder: Path


@dataclass(frozen=True)
class _Unexpected:
    """An exception that is not tfkd's own."""

    text: str


@dataclass(frozen=True)
class _Phase:
    """A child begins something that may take `seconds` of processor time."""

    seconds: float


@dataclass(frozen=True)
class _Line:
    text: str


@dataclass(frozen=True)
class _Task:
    name: str
    total: int | None
    unit: str


@dataclass(frozen=True)
class _Advance:
    units: int


@dataclass(frozen=True)
class _End:
    """The task is done."""


class Sandbox:
    """A child process that runs one function after the other; a new one takes the place of one that died.

    Args:
        error: the class of the errors that calls raise about a file.
        limits: of the child.
        context: how the child is started.
    """

    def __init__(self, error: type[TfkdError], limits: Limits | None = None, context: Any = _SPAWN) -> None:
        self._error = error
        self._limits = limits or Limits()
        self._context = context
        self._process: Any = None
        self._connection: Any = None
        self._was_blocked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def call(
        self,
        path: Path,
        function: Callable[..., Any],
        *arguments: Any,
        batches: Iterable[Any] | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Returns what a function returns that reads a file.

        Args:
            path: of the file, for messages.
            function: of a module. Its result is made of data classes of tfkd, arrays, and Python's own values.
            arguments: of the function.
            batches: arrays [b, ...] that the function takes, as an iterator, for its argument `batches`; they are sent
                one at a time.
            progress: shows what the function tells its argument `progress`; each sign of life begins a new phase.

        Raises:
            TfkdError: as the function raised it; of the class `error` where the function raised anything else, crashed
                the process, or used more than it may.
        """
        named = _Named(batches is not None, progress is not None)
        messages: Iterable[Any] = [_Call(path, function, arguments, named, Path.cwd())]
        if batches is not None:
            messages = itertools.chain(messages, map(np.asarray, batches), [None])
        answer = self._answer(path, messages, progress)
        if isinstance(answer, _Unexpected):
            raise self._error(f"{path}: cannot be run: {answer.text}")
        if isinstance(answer, TfkdError):
            raise answer
        return answer

    def _answer(self, path: Path, messages: Iterable[Any], progress: Progress | None) -> Any:
        self._start()
        try:
            for message in messages:
                seconds = self._limits.of_phase(len(message) if isinstance(message, np.ndarray) else 0)
                self._send(message, seconds)
            return self._received(seconds, progress)
        except (EOFError, OSError):
            raise self._error(f"{path}: {self._last_words()}") from None
        except (pickle.UnpicklingError, AttributeError, ImportError, TypeError, ValueError, IndexError) as error:
            self._end()
            raise self._error(f"{path}: the process that read it sent an unreadable result ({error}).") from None

    def _start(self) -> None:
        if self._process is None:
            self._connection, theirs = self._context.Pipe()
            self._was_blocked = False
            self._process = self._context.Process(target=_serve, args=(theirs, self._limits))
            self._process.start()
            theirs.close()

    def _end(self) -> None:
        if self._process is not None:
            self._kill()
            self._process.join()
            self._connection.close()
            self._process = None

    def _send(self, message: Any, seconds: float) -> None:
        """Sends a message; a child that does not take it in time is ended, which makes sending fail."""
        watchdog = threading.Timer(BLOCKED * seconds, self._end_blocked)
        watchdog.start()
        try:
            self._connection.send(message)
        finally:
            watchdog.cancel()

    def _received(self, seconds: float, progress: Progress | None) -> Any:
        """Returns the child's answer, and shows the signs of life before it."""
        with contextlib.ExitStack() as task:
            advance: Advance = _ignored
            while True:
                if not self._connection.poll(BLOCKED * seconds):
                    self._end_blocked()
                message = _Reader(io.BytesIO(self._connection.recv_bytes())).load()
                match message:
                    case _Phase():
                        seconds = message.seconds
                    case _Line() if progress:
                        progress.say(message.text)
                    case _Task() if progress:
                        task.close()
                        advance = task.enter_context(progress.task(message.name, message.total, message.unit))
                    case _Advance():
                        advance(message.units)
                    case _End():
                        task.close()
                    case _:
                        return message

    def _end_blocked(self) -> None:
        self._was_blocked = True
        self._kill()

    def _kill(self) -> None:
        """Kills the child and the processes that it started."""
        with contextlib.suppress(OSError):  # it has not made its group yet, or is gone
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def _last_words(self) -> str:
        self._process.join(1.0)
        code, was_blocked = self._process.exitcode, self._was_blocked
        self._end()
        if was_blocked:
            return (
                f"reading it was blocked for more than {BLOCKED * self._limits.phase_seconds:g} seconds and was ended."
            )
        if code == -signal.SIGXCPU:
            return "it took more processor time than a file may, and was ended."
        if code == -signal.SIGKILL:
            return "the process that read it was killed, usually because memory ran out."
        words = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return f"it crashes the runtime that loads it ({words}); the file is unusable."


class _Reader(pickle.Unpickler):
    """Reads what a child sent, which a hostile file may have taken over: no name of a function is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ARRAYS:
            return super().find_class(module, name)
        if module.startswith("tfkd."):
            found = super().find_class(module, name)
            if isinstance(found, type) and (
                issubclass(found, TfkdError) or hasattr(found, "__dataclass_fields__") or hasattr(found, "model_fields")
            ):
                return found
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def begin_phase(images: int = 0) -> None:
    """Grants a child process the processor time of another phase; does nothing in any other process.

    Args:
        images: how many the phase predicts, each of which gets further time.
    """
    if _child is not None:
        _child.begin_phase(images)


@dataclass
class _Child:
    """This process, where it is a child; as `Progress`, it shows things in the parent."""

    connection: Connection
    limits: Limits

    def begin_phase(self, images: int = 0) -> None:
        seconds = self.limits.of_phase(images)
        self.send(_Phase(seconds))
        _limit_processor_time(seconds)

    def send(self, message: Any) -> None:
        self.connection.send_bytes(pickle.dumps(message, protocol=5))

    def batches(self) -> Iterator[np.ndarray]:
        while (batch := self.connection.recv()) is not None:
            _limit_processor_time(self.limits.of_phase(len(batch)))
            yield batch

    def say(self, text: str) -> None:
        self.send(_Line(text))
        self.begin_phase()

    @contextlib.contextmanager
    def task(self, name: str, total: int | None, unit: str) -> Iterator[Advance]:
        self.send(_Task(name, total, unit))
        self.begin_phase()

        def advance(units: int) -> None:
            self.send(_Advance(units))
            self.begin_phase(units)

        yield advance
        self.send(_End())


_child: _Child | None = None


def _serve(connection: Connection, limits: Limits) -> None:
    """Answers every call with its result or its error, until the parent is gone."""
    global _child
    die_with_parent()
    os.setpgid(0, 0)
    _be_quiet()
    _limit(limits)
    _child = _Child(connection, limits)
    while True:
        try:
            call = connection.recv()
        except EOFError:
            return
        _limit_processor_time(limits.of_phase(0))
        batches = _child.batches() if call.named.batches else iter(())
        named: dict[str, Any] = {"batches": batches} if call.named.batches else {}
        named |= {"progress": _child} if call.named.progress else {}
        answer = _guarded(call, named)
        for _ in batches:  # what an error left unread
            pass
        _child.send(answer)


def _guarded(call: _Call, named: dict[str, Any]) -> Any:
    """Returns what a call returns, or the error that says why it cannot be done."""
    try:
        os.chdir(call.folder)
        return call.function(*call.arguments, **named)
    except TfkdError as error:
        return error
    except MemoryError:
        return _Unexpected("it needs more memory than a file may use.")
    except BaseException as error:
        return of_the_machine(error) or _Unexpected(cause(error))


def _ignored(_: int) -> None: ...


def _be_quiet() -> None:
    """Discards what runtimes write past Python's streams, last words of a crash included."""
    discarded = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(discarded, descriptor)


def _limit(limits: Limits) -> None:
    """Lets an allocation fail that a damaged file asks for, before the system ends other processes to make room."""
    import resource

    sys.setrecursionlimit(_RECURSION)
    resource.setrlimit(resource.RLIMIT_DATA, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_processor_time(seconds: float) -> None:
    """Ends this process by SIGXCPU once it has used so many more seconds; the system counts whole ones."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds) + 1, most))
