"""Starts programs, here or over a connection, and reads what they write while they run; none outlives its caller."""

import contextlib
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

from tfkd.errors import MachineError, RequestError

# The runner counts its memory from when it starts: numpy's threads would come and go in it, and run beside LiteRT's.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
ALIVE = "tfkd-alive"
LONGEST_LINE = 1 << 26  # characters; a board may send anything


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


def spoken(command: list[str], text: str, patience: float) -> Generator[str, None, None]:
    """Yields the lines that a program writes to stdout; leaves nothing of it running, however the caller ends.

    Args:
        command: program and arguments; no shell reads them.
        text: for its stdin.
        patience: seconds without a line after which it is ended.

    Raises:
        RequestError: it cannot be started.
        MachineError: it said nothing for so long.
        ChildError: it ended with another code than zero.
    """
    with tempfile.TemporaryFile("w+") as stdin, tempfile.TemporaryFile("w+", errors="replace") as log:
        stdin.write(text)
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
    """Yields the lines of a program that reports its progress about once per second with a line of ALIVE.

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
    """Runs a program beside a block, and ends it by closing its stdin when the block is left.

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
