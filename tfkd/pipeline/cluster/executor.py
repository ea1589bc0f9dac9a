"""Executes the long work of runs, sweeps and fits on the nodes of a cluster."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tfkd import machine
from tfkd.compress.job import CompressJob
from tfkd.compress.results import CompressResult
from tfkd.data import Dataset
from tfkd.pipeline import filling
from tfkd.pipeline.cluster.connection import ClusterConnection
from tfkd.pipeline.executor import Finished, LocalExecutor, threads_of
from tfkd.pipeline.filling import StoreJob, StoreResult
from tfkd.progress import Advance, Lines, Progress, Say, Silent
from tfkd.store.soft_labels import PARTS, StorePart, join, most_parts, rows
from tfkd.training import workers
from tfkd.training.children import Work
from tfkd.training.job import Job, StudentResult, TeacherJob, TeacherResult

_PARTS_A_PLACE = 3  # so that a slow node holds up a small part


class ClusterExecutor:
    """Does each piece of work on a node of a cluster, and trains students, controls and candidates at the same time.

    Every piece has the number of threads that it would have on this machine, so that the same weights come out of it.

    Args:
        connection: the connection to the cluster.
    """

    def __init__(self, connection: ClusterConnection) -> None:
        self._connection = connection

    def prepare(self, job: TeacherJob, data: Dataset, progress: Progress) -> TeacherResult:
        """Prepares one teacher on a node; see `Executor.prepare`."""
        work = Work(_prepare, (job, data), f"The teacher {job.teacher.name}", job.folder, job.seed)
        result: TeacherResult = self._alone(work, progress)
        return result

    def train(
        self, jobs: list[Job], total: int, progress: Progress, finished: Finished = lambda place, result: None
    ) -> list[StudentResult]:
        """Runs each training on a node; see `Executor.train`."""
        threads = min(threads_of(total), self._connection.most_cores())
        works = [workers.training(job) for job in jobs]
        with progress.task("training", sum(job.steps for job in jobs), "steps") as advance:
            return self._connection.run(works, threads, advance, progress.say, finished)

    def compress(self, job: CompressJob, progress: Progress) -> CompressResult:
        """Compresses one student on a node; see `Executor.compress`."""
        training = job.training
        work = Work(_compress, (job,), f"The {job.title} of {training.kind}", training.folder, training.seed)
        result: CompressResult = self._alone(work, progress)
        return result

    def fill(self, job: StoreJob, data: Dataset, progress: Progress) -> StoreResult:
        """Fills the parts of one store on the nodes, and joins them; see `Executor.fill`."""
        start = time.perf_counter()
        threads = min(machine.cores(), self._connection.most_cores())
        places = self._connection.places(threads)
        if places == 1:
            return self._alone(Work(_fill, (job, data, None), "The store", job.folder, job.recipe.seed), progress)
        header = self._alone(Work(_opened, (job, data), "The store", job.folder, job.recipe.seed), progress)
        of = min(most_parts(header), _PARTS_A_PLACE * places)
        works = [self._part(job, data, StorePart(number + 1, of)) for number in range(of)]
        with progress.task("teacher predictions", rows(header), "views") as advance:
            first, *_ = self._connection.run(works, threads, advance, progress.say)
        join(job.folder, header)
        shutil.rmtree(job.folder / PARTS)
        return replace(first, views=rows(header), seconds=time.perf_counter() - start)

    @staticmethod
    def _part(job: StoreJob, data: Dataset, part: StorePart) -> Work:
        folder = job.folder / PARTS / f"{part.number}-of-{part.of}"
        return Work(_fill, (job, data, part), f"Part {part} of the store", folder, job.recipe.seed)

    def _alone(self, work: Work, progress: Progress) -> Any:
        threads = min(machine.cores(), self._connection.most_cores())
        (result,) = self._connection.run([work], threads, lambda steps: None, progress.say)
        return result


class _Counted(Silent):
    """Progress of a process whose steps another one counts; lines are left out, since every part would say them."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    @contextlib.contextmanager
    def task(self, name: str, total: int | None, unit: str) -> Iterator[Advance]:
        """Passes units on."""
        yield self._advance


class _Told(Lines):
    """Progress of a process whose lines another one shows."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def say(self, text: str) -> None:
        """Passes a line on."""
        self._say(text)


def _prepare(job: TeacherJob, data: Dataset, advance: Advance, say: Say) -> TeacherResult:
    return LocalExecutor().prepare(job, data, _Told(say))


def _opened(job: StoreJob, data: Dataset, advance: Advance, say: Say) -> dict[str, Any]:
    """Makes the decisions that all parts share, such as the dtype of the predictions, and returns the header."""
    return filling.header_of(job, data, _Told(say))


def _fill(job: StoreJob, data: Dataset, part: StorePart | None, advance: Advance, say: Say) -> StoreResult:
    return filling.fill(job, data, _Counted(advance) if part else _Told(say), part)


def _compress(job: CompressJob, advance: Advance, say: Say) -> CompressResult:
    return LocalExecutor().compress(job, _Told(say))
