"""Executes the long work of runs and sweeps, on this machine."""

from collections.abc import Callable
from typing import Protocol

from tfkd import machine
from tfkd.compress.job import CompressJob
from tfkd.compress.results import CompressResult
from tfkd.data import Dataset
from tfkd.pipeline import filling
from tfkd.pipeline.filling import StoreJob, StoreResult
from tfkd.progress import Progress
from tfkd.training.job import Job, StudentResult, TeacherJob, TeacherResult

Finished = Callable[[int, StudentResult], None]


class Executor(Protocol):
    """Trains, compresses and fills stores. Jobs are plain values that name every file, so that any process can run one.

    An exception such as KeyboardInterrupt ends all work of a call; finished results remain in the jobs' folders, and
    unfinished work can continue from its checkpoints.
    """

    def prepare(self, job: TeacherJob, data: Dataset, progress: Progress) -> TeacherResult:
        """Fine-tunes and measures one teacher.

        Args:
            job: the teacher to prepare.
            data: the images in its rendering, opened in this process.
            progress: shows progress.

        Raises:
            RequestError: the teacher does not fit the data, or its training diverged.
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

    def compress(self, job: CompressJob, progress: Progress) -> CompressResult:
        """Compresses one trained student.

        Args:
            job: the student and its compressions.
            progress: shows progress.

        Raises:
            RequestError: a layer cannot be compressed, a store does not fit, or a training diverged.
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


def threads_of(total: int) -> int:
    """Returns the number of threads of each of `total` trainings, which share the cores of this machine."""
    return machine.cores() // min(machine.cores(), total)


class LocalExecutor:
    """Trains students in processes of this machine, one per core at a time, and does all else in this process.

    Teachers, compressions and stores run one at a time with all cores. A process of its own would load TensorFlow
    once more for each.
    """

    def prepare(self, job: TeacherJob, data: Dataset, progress: Progress) -> TeacherResult:
        """Prepares one teacher with all cores; see `Executor.prepare`."""
        from tfkd.teachers import kind_of

        return kind_of(job.teacher, len(data.classes)).prepare(job, data, progress)

    def train(
        self, jobs: list[Job], total: int, progress: Progress, finished: Finished = lambda place, result: None
    ) -> list[StudentResult]:
        """Runs trainings in child processes; see `Executor.train`."""
        from tfkd.training import loop, workers

        if loop.has_gpu():
            return workers.run_jobs(jobs, 1, machine.cores(), progress, finished)
        return workers.run_jobs(jobs, min(machine.cores(), total), threads_of(total), progress, finished)

    def compress(self, job: CompressJob, progress: Progress) -> CompressResult:
        """Compresses one student with all cores; see `Executor.compress`."""
        from tfkd.compress.student import compress_student, steps

        folder = job.training.folder
        with progress.task(job.title, steps(job.training, job.blocks), "steps") as advance:
            return compress_student(job.training, job.trained, job.blocks, folder, advance, progress.say)

    def fill(self, job: StoreJob, data: Dataset, progress: Progress) -> StoreResult:
        """Fills one store with all cores; see `Executor.fill`."""
        return filling.fill(job, data, progress)
