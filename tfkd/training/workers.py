"""Trains side by side: each job has a process, because small networks do not scale over cores."""

import multiprocessing.connection
from collections.abc import Callable

from tfkd.progress import Advance, Progress, Say
from tfkd.training.children import SAY, STEPS, Child, ChildCores, Work
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
    running: dict[int, Child] = {}
    places: dict[int, int] = {}
    with progress.task("training", sum(job.steps for job in jobs), "steps") as advance:
        try:
            while len(results) < len(jobs):
                while waiting and len(running) < at_a_time:
                    number, job = waiting.pop(0)
                    places[number] = min(set(range(at_a_time)) - {places[each] for each in running})
                    running[number] = Child(training(job), ChildCores(threads, places[number] * threads))
                number = _ready(running)
                kind, value = running[number].receive()
                if kind == STEPS:
                    advance(value)
                elif kind == SAY:
                    progress.say(value)
                else:
                    results[number] = value
                    finished(number, value)
                    del running[number]
        finally:
            for child in running.values():
                child.stop()
    return [results[number] for number in range(len(jobs))]


def training(job: Job) -> Work:
    """Returns the work of one training."""
    return Work(_train, (job,), f"The training of {job.kind} (seed {job.seed})", job.folder, job.seed)


def _ready(running: dict[int, Child]) -> int:
    """Waits until a training has sent a message or has ended, and returns its number."""
    ready = multiprocessing.connection.wait([child.messages for child in running.values()])
    return next(number for number, child in running.items() if child.messages is ready[0])


def _train(job: Job, advance: Advance, say: Say) -> StudentResult:
    from tfkd.training.preloaded import train_student

    return train_student(job, advance, say)
