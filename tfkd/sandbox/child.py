"""The child process of a sandbox: it runs functions within limits, and sends their results."""

import contextlib
import os
import pickle
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from tfkd.errors import TfkdError, cause, of_the_machine
from tfkd.processes import begin_child, processor_seconds
from tfkd.progress import Advance
from tfkd.sandbox.messages import Advanced, Call, End, Line, Phase, ProcessorTime, ResourceLimits, Task, Unexpected

_RECURSION = 1000  # depth of nested Python calls


@dataclass
class _Child:
    """This process, if it is a child; as `Progress`, it shows progress in the parent."""

    connection: Connection
    limits: ResourceLimits

    def begin_phase(self, images: int = 0) -> None:
        seconds = self.limits.of_phase(images)
        self.send(Phase(seconds))
        _limit_processor_time(seconds)

    def send(self, message: Any) -> None:
        self.connection.send_bytes(pickle.dumps(message, protocol=5))

    def batches(self) -> Iterator[np.ndarray]:
        while (batch := self.connection.recv()) is not None:
            _limit_processor_time(self.limits.of_phase(len(batch)))
            yield batch

    def say(self, text: str) -> None:
        self.send(Line(text))
        self.begin_phase()

    @contextlib.contextmanager
    def task(self, name: str, total: int | None, unit: str) -> Iterator[Advance]:
        self.send(Task(name, total, unit))
        self.begin_phase()

        def advance(units: int) -> None:
            self.send(Advanced(units))
            self.begin_phase(units)

        yield advance
        self.send(End())


_child: _Child | None = None


def begin_phase(images: int = 0) -> None:
    """Grants a child process the processor time of another phase; has no effect in other processes.

    Args:
        images: number of images that the phase predicts, each with further time.
    """
    if _child is not None:
        _child.begin_phase(images)


def serve(connection: Connection, limits: ResourceLimits, server: str | None = None) -> None:
    """Sends the result or the error of every call, until the parent ends.

    Args:
        connection: connection to the parent.
        limits: limits of each call.
        server: the parent's fork server, for processes that the functions start.
    """
    global _child
    begin_child(server)
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
        result = _guarded(call, named)
        for _ in batches:  # unread after an error
            pass
        _child.send(ProcessorTime(processor_seconds()))
        _child.send(result)


def _guarded(call: Call, named: dict[str, Any]) -> Any:
    """Returns the result of a call, or its error."""
    try:
        os.chdir(call.folder)
        return call.function(*call.arguments, **named)
    except TfkdError as error:
        return error
    except MemoryError:
        return Unexpected("it needs more memory than a file may use.")
    except BaseException as error:
        return of_the_machine(error) or Unexpected(cause(error))


def _be_quiet() -> None:
    """Discards output of runtimes to the file descriptors, also that of a crash."""
    discarded = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(discarded, descriptor)


def _limit(limits: ResourceLimits) -> None:
    """Limits memory, so that a huge allocation for a damaged file fails before the system kills other processes."""
    import resource

    sys.setrecursionlimit(_RECURSION)
    resource.setrlimit(resource.RLIMIT_DATA, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_processor_time(seconds: float) -> None:
    """Ends this process by SIGXCPU after so many more seconds of processor time; the system counts whole seconds."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds) + 1, most))
