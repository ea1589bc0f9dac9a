"""Tasks on a cluster: gives out work, hears its messages, and gives lost work out again."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfkd import files
from tfkd.errors import MachineError, cause, counted
from tfkd.pipeline.cluster.head import HeadWatch
from tfkd.pipeline.cluster.performing import ERROR, NODE
from tfkd.processes import ReportedTime
from tfkd.progress import Advance, Say
from tfkd.training.children import RESULT, SAY, STEPS, LostError, Work

_MOST_TRIES = 4  # of one piece of work, where workers are lost
_WAIT = 1.0  # seconds for a message, before a look at the head
_SILENT = 60.0  # seconds without a node at work
_END = 20.0  # seconds for the end of a cancelled task

WorkFinished = Callable[[int, Any], None]


@dataclass
class _Attempt:
    """A task that does piece `number` of the work for the `tries`-th time."""

    number: int
    work: Work
    tries: int
    node: str = ""
    steps: int = 0
    time: ReportedTime = field(init=False)

    def __post_init__(self) -> None:
        self.time = ReportedTime(self.work.folder)


class Tasks:
    """The tasks of one call.

    Args:
        ray: the module.
        address: address of the head.
        start: starts the task of some work, and returns the generator of its messages.
        advance: called with the number of steps done; with a negative number where steps are done again.
        say: receives lines.
    """

    def __init__(self, ray: Any, address: str, start: Callable[[Work], Any], advance: Advance, say: Say) -> None:
        self._ray, self._start, self._advance, self._say = ray, start, advance, say
        self._head, self._heard = HeadWatch(address), time.monotonic()
        self._running: dict[Any, _Attempt] = {}
        self._results: dict[int, Any] = {}

    def run(self, works: Sequence[Work], finished: WorkFinished) -> list[Any]:
        """Does some work and returns its results in order.

        Work whose worker is lost is done again, from its checkpoint, wherever there is room.

        Args:
            works: the work.
            finished: called with the position of a piece in `works` and its result.

        Raises:
            TfkdError: some work failed; the rest is stopped.
            MachineError: the head was lost, or several workers of the same work.
        """
        try:
            for number, work in enumerate(works):
                self._give_out(_Attempt(number, work, tries=1))
            while self._running:
                ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=_WAIT, fetch_local=False)
                self._head.require_answer()
                for task in ready:
                    self._hear(task, finished)
                self._say_waiting(bool(ready))
        finally:
            self._stop()
        return [self._results[number] for number in range(len(works))]

    def _say_waiting(self, heard: bool) -> None:
        """Says once in a while that no node has room for any of the work."""
        now = time.monotonic()
        if heard or any(attempt.node for attempt in self._running.values()):
            self._heard = now
        elif now - self._heard > _SILENT:
            self._heard = now
            self._say(f"waiting for a node with room for {counted(len(self._running), 'task')}")

    def _give_out(self, attempt: _Attempt) -> None:
        self._running[self._start(attempt.work)] = attempt

    def _hear(self, task: Any, finished: WorkFinished) -> None:
        """Takes the next message of a task."""
        attempt = self._running[task]
        try:
            kind, value, seconds = self._ray.get(next(task))
        except StopIteration:
            del self._running[task]
            return
        except self._ray.exceptions.RayError as error:
            self._repeat(task, cause(error))
            return
        attempt.time.report(seconds)
        if kind == NODE:
            attempt.node = value
        elif kind == STEPS:
            attempt.steps += value
            self._advance(value)
        elif kind == SAY:
            self._say(value)
        elif kind == RESULT:
            self._results[attempt.number] = value
            finished(attempt.number, value)
        elif kind == ERROR and isinstance(value, LostError):
            self._repeat(task, str(value))
        else:
            raise value

    def _repeat(self, task: Any, why: str) -> None:
        """Gives lost work out again."""
        attempt = self._running.pop(task)
        if attempt.number in self._results:
            return
        where = f" on node {attempt.node}" if attempt.node else ""
        if attempt.tries == _MOST_TRIES:
            raise MachineError(
                f"{attempt.work.title} lost {counted(attempt.tries, 'worker')}, the last one{where}: {why} Look at the "
                "memory of the nodes, and run the same command again to continue from its checkpoint."
            )
        self._say(f"{attempt.work.title}: its worker{where} was lost; done again from its checkpoint")
        self._advance(-attempt.steps)
        self._give_out(_Attempt(attempt.number, attempt.work, attempt.tries + 1))

    def _stop(self) -> None:
        """Ends the tasks that still run, and removes what they were writing."""
        for task in self._running:
            self._ray.cancel(task, force=True)
        for task, attempt in self._running.items():
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.wait([task.completed()], timeout=_END)
            files.remove_partial(attempt.work.folder)
