"""Reads and runs files in a process of its own: a damaged one can crash the runtime that loads it, or never end."""

import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import TfkdError, cause
from tfkd.export import Card
from tfkd.export.manifest import InputOutput
from tfkd.verify import NotVerifiedError, VerifyError
from tfkd.verify.requirements import Requirements

SECONDS = 300.0  # for loading a file and a first batch; each further one has as long

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Answered:
    """What a file says of itself, what it needs, and what it answers: float32 [n, classes] probabilities."""

    io: InputOutput
    requirements: Requirements
    probabilities: np.ndarray


@dataclass(frozen=True)
class _Task:
    path: Path
    format: str
    card: Card
    size: int
    family: str | None


@dataclass(frozen=True)
class _Call:
    path: Path
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class _Refused:
    text: str


class Apart:
    """A child process that reads, checks and runs one file after the other; a new one takes the place of one that died.

    Args:
        seconds: how long a file may take for loading and for each batch.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._process: Any = None
        self._connection: Any = None

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(
        self, path: Path, format: str, card: Card, size: int, batches: Iterable[Any], family: str | None = None
    ) -> Answered:
        """Checks a file against a card and runs it on images.

        Args:
            path: of the file or package.
            format: a name of `artifacts.RUNTIMES`.
            card: what must stand in the file.
            size: side of the square image that it must take, pixels.
            batches: uint8 or float32 [b, S, S, 3] raw RGB 0..255, anything that NumPy can read.
            family: a name of `families.FAMILIES` to compute as; default: the format's reference.

        Raises:
            NotVerifiedError: nothing here can run the file although it may be right.
            VerifyError: the file is not what the card says, cannot be run, crashes its runtime or takes too long.
        """
        task = _Task(path, format, card, size, family)
        return Answered(*self._answer(path, itertools.chain([task], map(np.asarray, batches), [None])))

    def call(self, path: Path, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns what a function returns that reads a file.

        Args:
            path: of the file, for messages.
            function: of a module; its arguments and its result are pickled.
            arguments: of the function.

        Raises:
            VerifyError: the function raised an error, crashed the process or took too long.
        """
        return self._answer(path, [_Call(path, function, arguments)])

    def _answer(self, path: Path, messages: Iterable[Any]) -> Any:
        """Sends messages to the child and returns its answer."""
        self._start()
        try:
            for message in messages:
                self._send(message)
            answer = self._watched(self._connection.recv)
        except (EOFError, OSError):
            raise VerifyError(f"{path}: {self._last_words()}") from None
        if isinstance(answer, NotVerifiedError):
            raise answer
        if isinstance(answer, _Refused):
            raise VerifyError(answer.text)
        return answer

    def _start(self) -> None:
        if self._process is None:
            self._connection, theirs = _SPAWN.Pipe()
            self._process = _SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
            self._process = None

    def _send(self, message: Any) -> None:
        self._watched(lambda: self._connection.send(message))

    def _watched(self, step: Any) -> Any:
        """Does one step of the conversation; a child that does not answer in time is ended, which fails the step."""
        watchdog = threading.Timer(self._seconds, self._process.kill)
        watchdog.start()
        try:
            return step()
        finally:
            watchdog.cancel()

    def _last_words(self) -> str:
        self._process.join(1.0)
        code = self._process.exitcode
        self._end()
        if code == -9:
            return f"it took more than {self._seconds:g} seconds or all memory, and was ended."
        return f"it crashes the runtime that loads it (exit code {code}); the file is unusable."


def _serve(connection: Connection) -> None:
    """Answers every task and every call with its result, or with the text of an error."""
    _be_quiet()
    _limit_memory()
    while True:
        try:
            task = connection.recv()
        except EOFError:  # the parent is gone
            return
        if isinstance(task, _Call):
            connection.send(_guarded(task.path, lambda: task.function(*task.arguments)))  # noqa: B023
            continue
        batches = _batches(connection)
        answer = _guarded(task.path, lambda: _checked(task, batches))  # noqa: B023
        for _ in batches:  # what an error left unread
            pass
        connection.send(answer)


def _batches(connection: Connection) -> Iterator[np.ndarray]:
    while (batch := connection.recv()) is not None:
        yield batch


def _checked(task: _Task, batches: Iterator[Any]) -> tuple[InputOutput, Requirements, np.ndarray]:
    from tfkd.verify import artifacts, requirements

    io = artifacts.check(task.path, task.format, task.card, task.size)
    needed = requirements.of(task.path, task.format)
    return io, needed, artifacts.predict(task.path, task.format, batches, task.family)


def _guarded(path: Path, work: Callable[[], Any]) -> Any:
    """Returns what some work returns, or why it cannot be done."""
    try:
        return work()
    except NotVerifiedError as error:
        return error
    except TfkdError as error:
        return _Refused(str(error))
    except (Exception, MemoryError) as error:
        return _Refused(f"{path}: cannot be run: {cause(error)}")


def _be_quiet() -> None:
    """Discards what runtimes write past Python's streams, last words of a crash included."""
    discarded = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(discarded, descriptor)


def _limit_memory() -> None:
    """Lets an allocation fail that a damaged file asks for, before the system ends other processes to make room."""
    import resource

    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    resource.setrlimit(resource.RLIMIT_DATA, (total, total))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
