"""A process of its own for the connection to a cluster, because Ray ends the process that holds it with the cluster."""

import contextlib
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from tfkd.errors import MachineError, TfkdError, of_the_machine
from tfkd.pipeline.cluster.head import address_of, require_head
from tfkd.pipeline.cluster.tasks import WorkFinished
from tfkd.processes import FORKSERVER, begin_child, server_address, start, start_server
from tfkd.progress import Advance, Say
from tfkd.training.children import RESULT, SAY, STEPS, Work

_READY, _DONE, _ERROR = "ready", "done", "error"  # kinds of messages beside those of work
_END = 30.0  # seconds for leaving the cluster


class ClusterConnection:
    """The connection to a Ray cluster, in a child process, which connects while this one checks the examples.

    After an error the next call connects again.

    Args:
        cluster: address of the cluster, or "auto".
        folder: folder of the run.
        say: receives lines about the cluster.

    Raises:
        RequestError: nothing that can be a cluster answers at the address. Other errors of
            `tfkd.pipeline.cluster.engine.connected` come with the first use.
    """

    def __init__(self, cluster: str, folder: Path, say: Say) -> None:
        self._address, self._folder, self._say = address_of(cluster), folder, say
        require_head(self._address)
        self._cores: list[int] = []
        self._process, self._pipe = self._start()

    def cores(self) -> list[int]:
        """Returns the number of cores of each node.

        Raises:
            RequestError: as `tfkd.pipeline.cluster.engine.connected`.
        """
        if not self._process.is_alive() and self._cores:
            self._cores = []
            self._process, self._pipe = self._start()
        if not self._cores:
            for kind, value in self._messages():
                if kind == SAY:
                    self._say(value)
                else:
                    self._cores = value
        return self._cores

    def most_cores(self) -> int:
        """Returns the number of cores of the largest node."""
        return max(self.cores())

    def places(self, threads: int) -> int:
        """Returns how many pieces of work with so many threads the nodes have room for at the same time."""
        return sum(cores // threads for cores in self.cores())

    def run(
        self,
        works: Sequence[Work],
        threads: int,
        advance: Advance,
        say: Say,
        finished: WorkFinished = lambda number, result: None,
    ) -> list[Any]:
        """Does some work on the cluster, and returns the results in order; see `Engine.run`.

        Raises:
            TfkdError: some work failed; the rest is stopped.
            MachineError: the cluster was lost, or several workers of the same work.
        """
        self.cores()
        try:
            self._pipe.send((works, threads))
            for kind, value in self._messages():
                if kind == STEPS:
                    advance(value)
                elif kind == SAY:
                    say(value)
                elif kind == RESULT:
                    finished(*value)
                else:
                    results: list[Any] = value
            return results
        except BaseException:
            self._process.kill()
            self._process.join()
            raise

    def close(self) -> None:
        """Leaves the cluster."""
        if self._cores:
            with contextlib.suppress(OSError):
                self._pipe.send(None)
            self._process.join(_END)
        self._process.kill()
        self._process.join()

    def _start(self) -> tuple[Any, Pipe]:
        start_server()
        pipe, theirs = FORKSERVER.Pipe()
        process = FORKSERVER.Process(target=_serve, args=(self._address, self._folder, theirs, server_address()))
        start(process)
        theirs.close()
        return process, pipe

    def _messages(self) -> Iterator[tuple[str, Any]]:
        """Yields the messages of the process up to the one that ends a call."""
        kind = ""
        while kind not in (_READY, _DONE):
            try:
                kind, value = self._pipe.recv()
            except (EOFError, OSError):
                self._process.join()
                raise MachineError(
                    "The cluster was lost. Start it again and run the same command: it continues from what is finished "
                    "and from the checkpoints."
                ) from None
            if kind == _ERROR:
                self._process.join()
                raise value
            yield kind, value


def _serve(address: str, folder: Path, pipe: Pipe, server: str | None) -> None:
    """Connects to a cluster and does the work that the parent asks for."""
    begin_child(server)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the parent ends this one

    def send(kind: str, value: Any) -> None:
        pipe.send((kind, value))

    try:
        from tfkd.pipeline.cluster.engine import connected

        with connected(address, folder, lambda line: send(SAY, line)) as engine:
            send(_READY, engine.cores)
            while request := pipe.recv():
                works, threads = request
                results = engine.run(
                    works,
                    threads,
                    lambda steps: send(STEPS, steps),
                    lambda line: send(SAY, line),
                    lambda number, result: send(RESULT, (number, result)),
                )
                send(_DONE, results)
    except TfkdError as error:
        send(_ERROR, error)
    except BaseException as error:
        send(_ERROR, of_the_machine(error) or TfkdError(f"The cluster: {type(error).__name__}: {error}"))
