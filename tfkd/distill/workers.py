"""Trainings side by side: small networks use one core well and two badly, so each job gets its own process."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading
from collections.abc import Callable
from typing import Any

from tfkd import machine
from tfkd.distill.job import Job, StudentResult
from tfkd.errors import TfkdError
from tfkd.progress import Progress

# Importing TensorFlow takes longer than a short training; a fork has it already.
_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["tfkd.distill.preloaded"])
SECONDS_BETWEEN_CHECKS = 1.0


def run_jobs(
    jobs: list[Job],
    at_a_time: int,
    threads: int,
    progress: Progress,
    finished: Callable[[int, StudentResult], None] = lambda number, result: None,
) -> list[StudentResult]:
    """Runs trainings in child processes and returns their results in order.

    Args:
        jobs: what to train.
        at_a_time: how many trainings run side by side.
        threads: of each training; another number can give other last digits in its weights.
        progress: shows what is going on.
        finished: called with a job's place among `jobs` and its result, as soon as it is done.

    Raises:
        TfkdError: a training failed; the others are stopped, and all go on from their checkpoints the next time.
    """
    results: dict[int, StudentResult] = {}
    waiting = list(enumerate(jobs))
    running: dict[int, Any] = {}
    free_places = list(range(at_a_time))
    places: dict[int, int] = {}
    messages = _FORKSERVER.Queue()
    with progress.task("training", sum(job.steps for job in jobs), "steps") as advance:
        try:
            while len(results) < len(jobs):
                while waiting and free_places:
                    number, job = waiting.pop(0)
                    places[number] = free_places.pop(0)
                    running[number] = _start(number, job, threads, places[number], messages)
                with contextlib.suppress(queue.Empty):
                    number, kind, value = messages.get(timeout=SECONDS_BETWEEN_CHECKS)
                    if kind == "steps":
                        advance(value)
                    elif kind == "say":
                        progress.say(value)
                    elif kind == "result":
                        results[number] = value
                        finished(number, value)
                        running.pop(number).join()
                        free_places.append(places.pop(number))
                    else:
                        raise value
                    continue
                _check_alive(running, jobs)
        finally:
            for process in running.values():
                process.kill()
    return [results[number] for number in range(len(jobs))]


def _start(number: int, job: Job, threads: int, place: int, messages: Any) -> Any:
    process = _FORKSERVER.Process(target=_work, args=(number, job, threads, place, messages), daemon=True)
    process.start()
    return process


def _check_alive(running: dict[int, Any], jobs: list[Job]) -> None:
    for number, process in running.items():
        if process.exitcode not in (None, 0):
            job = jobs[number]
            raise TfkdError(
                f"The training of {job.kind} (seed {job.seed}) ended with exit code {process.exitcode}; "
                f"{_meaning(process.exitcode)}. Run the recipe again to go on from its checkpoint."
            )


def _meaning(exitcode: int) -> str:
    if exitcode == -signal.SIGKILL:
        return "something killed it, usually the system because memory ran out"
    if exitcode < 0:
        return f"it was ended by {signal.Signals(-exitcode).name}"
    return 'what it printed above says why; a script that trains does so under `if __name__ == "__main__":`'


def _work(number: int, job: Job, threads: int, place: int, messages: Any) -> None:
    _die_with_parent()
    machine.stay_on(place * threads, threads)
    try:
        from tfkd.distill.preloaded import prepare_tensorflow, train_student

        prepare_tensorflow(threads, job.seed)
        result = train_student(
            job,
            lambda steps: messages.put((number, "steps", steps)),
            lambda text: messages.put((number, "say", text)),
        )
        messages.put((number, "result", result))
    except TfkdError as error:
        messages.put((number, "error", error))
    except Exception as error:
        messages.put((number, "error", TfkdError(f"{job.kind} (seed {job.seed}): {type(error).__name__}: {error}")))


def _die_with_parent() -> None:
    """Ends this process when its parent is gone, even by SIGKILL, so that no orphan writes into the run."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
