"""Child processes for long work: forked with TensorFlow loaded, ended with this process, and heard through a pipe."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tfkd import files, machine
from tfkd.errors import TfkdError, of_the_machine
from tfkd.processes import FORKSERVER, ReportedTime, begin_child, processor_seconds, start, start_server

STEPS, SAY, RESULT = "steps", "say", "result"  # kinds of messages
_ERROR = "error"


@dataclass(frozen=True)
class Work:
    """Long work, as a plain value that any process can do.

    Attributes:
        function: called with `arguments`, a function that takes the number of steps done, and one that takes a line to
            show. It imports TensorFlow itself, so that no other process has to.
        arguments: its first arguments.
        title: of the work in messages.
        folder: that it works in.
        seed: of TensorFlow and Keras.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    title: str
    folder: Path
    seed: int


@dataclass(frozen=True)
class ChildCores:
    """The cores of a process.

    Attributes:
        threads: threads of TensorFlow; another number can change the last digits of weights.
        first: number of the first core that the process is pinned to; None: it is not pinned.
    """

    threads: int
    first: int | None = None


class LostError(TfkdError):
    """A process ended without a result, such as one that the system killed because memory ran out."""


class Child:
    """A running child process.

    Args:
        work: what it does.
        cores: where it does it.

    Attributes:
        messages: readable when a message has come, or the process has ended.
    """

    def __init__(self, work: Work, cores: ChildCores) -> None:
        # Pipes instead of queues, because queues need semaphores, and these need /dev/shm.
        start_server()
        self._work, self._time = work, ReportedTime(work.folder)
        self.messages, theirs = FORKSERVER.Pipe(duplex=False)
        # No daemon, because a daemon may start no process, and weights files are read in one.
        self._process = FORKSERVER.Process(target=_do, args=(work, cores, theirs))
        start(self._process)
        theirs.close()

    def receive(self) -> tuple[str, Any]:
        """Waits for the next message and returns its kind and value: steps done, a line to show, or the result.

        Raises:
            TfkdError: the work failed.
            LostError: the process ended without a result.
        """
        try:
            kind, value, seconds = self.messages.recv()
        except EOFError:
            self._process.join()
            raise LostError(
                f"{self._work.title} ended with exit code {self._process.exitcode}; "
                f"{_meaning(self._process.exitcode)}. Run the recipe again to continue from its checkpoint."
            ) from None
        self._time.report(seconds)
        if kind == _ERROR:
            raise value
        if kind == RESULT:
            self._process.join()
        return kind, value

    @property
    def processor_seconds(self) -> float:
        """Processor time of the process so far, as it reported it."""
        return self._time.seconds

    def stop(self) -> None:
        """Kills the process and removes what it was writing."""
        self._process.kill()
        self._process.join()
        files.remove_partial(self._work.folder)


def _meaning(exitcode: int | None) -> str:
    if exitcode == -signal.SIGKILL:
        return "it was killed, usually by the system because memory ran out"
    if exitcode is not None and exitcode < 0:
        return f"it was ended by {signal.Signals(-exitcode).name}"
    return "see its output above"


def _do(work: Work, cores: ChildCores, messages: Connection) -> None:
    begin_child()

    def send(kind: str, value: Any) -> None:
        messages.send((kind, value, processor_seconds()))

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the parent ends this one
    if cores.first is not None:
        machine.stay_on(cores.first, cores.threads)
    try:
        from tfkd.training.preloaded import prepare_tensorflow

        prepare_tensorflow(cores.threads, work.seed)
        send(RESULT, work.function(*work.arguments, lambda steps: send(STEPS, steps), lambda text: send(SAY, text)))
    except TfkdError as error:
        send(_ERROR, error)
    except BaseException as error:
        send(_ERROR, of_the_machine(error) or TfkdError(f"{work.title}: {type(error).__name__}: {error}"))
