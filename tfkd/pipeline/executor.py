"""Where the long work of runs and sweeps is done: today on this machine."""

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
    """Does trainings and fills stores. Jobs are plain values that name every file, so that any process can do them.

    An exception that leaves a call, such as KeyboardInterrupt, ends all work that the call started; what is finished
    stays in the jobs' folders, and unfinished work goes on from its checkpoints the next time.
    """

    def train(
        self, jobs: list[Job], in_all: int, progress: Progress, finished: Finished = lambda place, result: None
    ) -> list[StudentResult]:
        """Does trainings and returns their results in order.

        Args:
            jobs: what to train.
            in_all: how many there are with those that earlier calls finished, so that each has the threads it had.
            progress: shows what is going on.
            finished: called with a job's place among `jobs` and its result, as soon as it is done.

        Raises:
            TfkdError: a training failed; the others are stopped.
        """

    def fill(self, job: StoreJob, data: Dataset, progress: Progress) -> StoreResult:
        """Fills one soft-label store, or goes on filling it.

        Args:
            job: what to fill.
            data: the images, as this process has opened them.
            progress: shows what is going on.

        Raises:
            RequestError: the network does not fit the data, or a photo is gone.
        """


class LocalExecutor:
    """Trains in processes of this machine, as many side by side as there are cores, and fills stores in this one."""

    def train(
        self, jobs: list[Job], in_all: int, progress: Progress, finished: Finished = lambda place, result: None
    ) -> list[StudentResult]:
        """Does trainings in child processes; see `Executor.train`."""
        from tfkd.training import loop, workers

        side_by_side = 1 if loop.has_gpu() else min(machine.cores(), in_all)
        threads = max(1, machine.cores() // side_by_side)
        return workers.run_jobs(jobs, side_by_side, threads, progress, finished)

    def fill(self, job: StoreJob, data: Dataset, progress: Progress) -> StoreResult:
        """Fills one store with all cores; see `Executor.fill`."""
        return filling.fill(job, data, progress)
