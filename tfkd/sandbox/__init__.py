"""Runs functions on untrusted files in a separate process, with limits on memory, recursion and processor time.

A damaged or hostile file can crash or hang the library that reads it. Then only the child process ends, and the caller
gets an error of one line. The child's results are read without importing anything but data classes of tfkd and arrays.
"""

import contextlib
import io
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np

from tfkd.errors import TfkdError
from tfkd.processes import FORKSERVER, ReportedTime, server_address, start, start_server
from tfkd.progress import Advance, Progress
from tfkd.sandbox.child import begin_phase, serve
from tfkd.sandbox.messages import (
    Advanced,
    Call,
    End,
    Line,
    Named,
    Phase,
    ProcessorTime,
    Reader,
    ResourceLimits,
    Task,
    Unexpected,
)

__all__ = ["ResourceLimits", "Sandbox", "begin_phase"]

_SPAWN = multiprocessing.get_context("spawn")


class Sandbox:
    """A child process that runs functions one after another; if it dies, a new one replaces it.

    Args:
        error: class of the errors that calls raise about a file.
        limits: limits of the child.
        context: multiprocessing context that starts the child.
        blocked: what a function did that neither ended nor began another phase in time; default: it read a file.
    """

    def __init__(
        self,
        error: type[TfkdError],
        limits: ResourceLimits | None = None,
        context: Any = _SPAWN,
        blocked: str | None = None,
    ) -> None:
        self._error = error
        self._limits, self._blocked = limits or ResourceLimits(), blocked
        self._context = context
        self._process: Any = None
        self._connection: Any = None
        self._was_blocked = False
        self._time = ReportedTime()

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
        """Returns the result of a function that reads a file.

        Args:
            path: path of the file, for messages.
            function: a module's function. Its result consists of data classes of tfkd, arrays, and Python's own values.
            arguments: arguments of the function.
            batches: arrays [b, ...] for the function's argument `batches`, an iterator; they are sent one at a time.
            progress: shows what the function reports to its argument `progress`; each report begins a new phase.

        Raises:
            TfkdError: raised by the function; of the class `error` if the function raised another exception, crashed
                the process, or exceeded a limit.
        """
        named = Named(batches is not None, progress is not None)
        messages: Iterable[Any] = [Call(path, function, arguments, named, Path.cwd())]
        if batches is not None:
            messages = itertools.chain(messages, map(np.asarray, batches), [None])
        outcome = self._answer(path, messages, progress)
        if isinstance(outcome, Unexpected):
            raise self._error(f"{path}: cannot be run: {outcome.text}")
        if isinstance(outcome, TfkdError):
            raise outcome
        return outcome

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
            server = None
            if self._context is FORKSERVER:
                start_server()
                server = server_address()
            self._connection, theirs = self._context.Pipe()
            self._was_blocked, self._time = False, ReportedTime()
            process = self._context.Process(target=serve, args=(theirs, self._limits, server))
            start(process)  # before a signal can end it
            self._process = process
            theirs.close()

    def _end(self) -> None:
        if self._process is not None:
            self._kill()
            self._process.join()
            self._connection.close()
            self._process = None

    def _send(self, message: Any, seconds: float) -> None:
        """Sends a message; kills a child that does not read it in time, so that sending fails."""
        watchdog = threading.Timer(self._limits.by_the_clock * seconds, self._end_blocked)
        watchdog.start()
        try:
            self._connection.send(message)
        finally:
            watchdog.cancel()

    def _received(self, seconds: float, progress: Progress | None) -> Any:
        """Returns the child's result, and shows its progress reports."""
        with contextlib.ExitStack() as task:
            advance: Advance = _ignored
            while True:
                if not self._connection.poll(self._limits.by_the_clock * seconds):
                    self._end_blocked()
                message = Reader(io.BytesIO(self._connection.recv_bytes())).load()
                match message:
                    case Phase():
                        seconds = message.seconds
                    case Line() if progress:
                        progress.say(message.text)
                    case Task() if progress:
                        task.close()
                        advance = task.enter_context(progress.task(message.name, message.total, message.unit))
                    case Advanced():
                        advance(message.units)
                    case End():
                        task.close()
                    case ProcessorTime():
                        if self._context is FORKSERVER:  # the time of others is known when they were waited for
                            self._time.report(message.seconds)
                    case _:
                        return message

    def _end_blocked(self) -> None:
        self._was_blocked = True
        self._kill()

    def _kill(self) -> None:
        """Kills the child and the processes that it started."""
        with contextlib.suppress(OSError):  # it has not created its group yet, or has ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def _last_words(self) -> str:
        self._process.join(1.0)
        code, was_blocked = self._process.exitcode, self._was_blocked
        self._end()
        if was_blocked:
            seconds = self._limits.by_the_clock * self._limits.phase_seconds
            return self._blocked or f"reading it was blocked for more than {seconds:g} seconds and was ended."
        return _cause_of_death(code)


def _cause_of_death(code: int | None) -> str:
    """Returns why a child ended, from its exit code."""
    if code == -signal.SIGXCPU:
        return "it exceeded the processor time of a file and was ended."
    if code == -signal.SIGKILL:
        return "the process that read it was killed, usually because memory ran out."
    words = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
    return f"it crashes the runtime that loads it ({words}); the file is unusable."


def _ignored(_: int) -> None: ...
