"""Trains side by side: each job has a process, because small networks do not scale over cores."""

import multiprocessing.connection
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from tfkd import files, machine
from tfkd.errors import TfkdError, of_the_machine
from tfkd.processes import FORKSERVER, ReportedTime, begin_child, processor_seconds, start, start_server
from tfkd.progress import Progress
from tfkd.training.job import Job, StudentResult


def run_jobs(
    jobs: list[Job],
    at_a_time: int,
    threads: int,
    progress: Progress,
    finished: Callable[[int, StudentResult], None] = lambda number, result: None,
) -> list[StudentResult]:
    """Runs trainings in child processes and returns their results in order.

    Args:
        jobs: the trainings.
        at_a_time: number of trainings at the same time.
        threads: threads per training; another number can change the last digits of its weights.
        progress: shows progress.
        finished: called with a job's position in `jobs` and its result, as soon as it is done.

    Raises:
        TfkdError: a training failed; the others are stopped, and all can continue from their checkpoints.
    """
    results: dict[int, StudentResult] = {}
    waiting = list(enumerate(jobs))
    running: dict[int, _Running] = {}
    free_places = list(range(at_a_time))
    with progress.task("training", sum(job.steps for job in jobs), "steps") as advance:
        try:
            while len(results) < len(jobs):
                while waiting and free_places:
                    number, job = waiting.pop(0)
                    running[number] = _start(job, threads, free_places.pop(0))
                number, kind, value = _message(running, jobs)
                if kind == "steps":
                    advance(value)
                elif kind == "say":
                    progress.say(value)
                elif kind == "result":
                    results[number] = value
                    finished(number, value)
                    done = running.pop(number)
                    done.process.join()
                    free_places.append(done.place)
                else:
                    raise value
        finally:
            for number, each in running.items():
                each.process.kill()
                each.process.join()
                files.remove_partial(jobs[number].folder)
    return [results[number] for number in range(len(jobs))]


@dataclass(frozen=True)
class _Running:
    process: Any
    messages: Connection
    place: int
    time: ReportedTime


def _start(job: Job, threads: int, place: int) -> _Running:
    # Pipes instead of queues, because queues need semaphores, and these need /dev/shm.
    start_server()
    time = ReportedTime(job.folder)
    messages, theirs = FORKSERVER.Pipe(duplex=False)
    # No daemon, because a daemon may start no process, and weights files are read in one.
    process = FORKSERVER.Process(target=_work, args=(job, threads, place, theirs))
    start(process)
    theirs.close()
    return _Running(process, messages, place, time)


def _message(running: dict[int, _Running], jobs: list[Job]) -> tuple[int, str, Any]:
    """Returns the next message of any training: its number, the kind and the value.

    Raises:
        TfkdError: the process of a training ended without a result.
    """
    ready = multiprocessing.connection.wait([each.messages for each in running.values()])
    number = next(number for number, each in running.items() if each.messages is ready[0])
    try:
        kind, value, seconds = running[number].messages.recv()
    except EOFError:
        process, job = running[number].process, jobs[number]
        process.join()
        raise TfkdError(
            f"The training of {job.kind} (seed {job.seed}) ended with exit code {process.exitcode}; "
            f"{_meaning(process.exitcode)}. Run the recipe again to continue from its checkpoint."
        ) from None
    running[number].time.report(seconds)
    return number, kind, value


def _meaning(exitcode: int) -> str:
    if exitcode == -signal.SIGKILL:
        return "it was killed, usually by the system because memory ran out"
    if exitcode < 0:
        return f"it was ended by {signal.Signals(-exitcode).name}"
    return "see its output above"


def _work(job: Job, threads: int, place: int, messages: Connection) -> None:
    begin_child()

    def send(kind: str, value: Any) -> None:
        messages.send((kind, value, processor_seconds()))

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the parent ends this one
    machine.stay_on(place * threads, threads)
    try:
        from tfkd.training.preloaded import prepare_tensorflow, train_student

        prepare_tensorflow(threads, job.seed)
        result = train_student(
            job,
            lambda steps: send("steps", steps),
            lambda text: send("say", text),
        )
        send("result", result)
    except TfkdError as error:
        send("error", error)
    except BaseException as error:
        shown = of_the_machine(error) or TfkdError(f"{job.kind} (seed {job.seed}): {type(error).__name__}: {error}")
        send("error", shown)
