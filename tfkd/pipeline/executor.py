"""Executes the long work of runs and sweeps, on this machine."""

from collections.abc import Callable
from typing import Protocol

from tfkd import machine
from tfkd.data import Dataset
from tfkd.pipeline import filling
from tfkd.pipeline.filling import StoreJob, StoreResult
from tfkd.progress import Progress
from tfkd.training.job import Job, StudentResult

Finished = Callable[[int, StudentResult], None]


class Executor(Protocol):
    """Runs trainings and fills stores. Jobs are plain values that name every file, so that any process can run them.

    An exception such as KeyboardInterrupt ends all work of a call; finished results remain in the jobs' folders, and
    unfinished work can continue from its checkpoints.
    """

    def train(
        self, jobs: list[Job], total: int, progress: Progress, finished: Finished = lambda place, result: None
    ) -> list[StudentResult]:
        """Runs trainings and returns their results in order.

        Args:
            jobs: the trainings.
            total: number of trainings including finished ones, which determines the threads per training.
            progress: shows progress.
            finished: called with a job's position in `jobs` and its result, as soon as it is done.

        Raises:
            TfkdError: a training failed; the others are stopped.
        """

    def fill(self, job: StoreJob, data: Dataset, progress: Progress) -> StoreResult:
        """Fills one soft-label store, or continues to fill it.

        Args:
            job: the store to fill.
            data: the images, opened in this process.
            progress: shows progress.

        Raises:
            RequestError: the network does not fit the data, or an image is missing.
        """


class LocalExecutor:
    """Trains in processes of this machine, one per core at a time, and fills stores in this process."""

    def train(
        self, jobs: list[Job], total: int, progress: Progress, finished: Finished = lambda place, result: None
    ) -> list[StudentResult]:
        """Runs trainings in child processes; see `Executor.train`."""
        from tfkd.training import loop, workers

        side_by_side = 1 if loop.has_gpu() else min(machine.cores(), total)
        threads = max(1, machine.cores() // side_by_side)
        return workers.run_jobs(jobs, side_by_side, threads, progress, finished)

    def fill(self, job: StoreJob, data: Dataset, progress: Progress) -> StoreResult:
        """Fills one store with all cores; see `Executor.fill`."""
        return filling.fill(job, data, progress)
