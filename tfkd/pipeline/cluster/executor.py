"""Executes the long work of runs, sweeps and fits on the nodes of a cluster."""

from tfkd import machine
from tfkd.compress.job import CompressJob
from tfkd.compress.results import CompressResult
from tfkd.data import Dataset
from tfkd.pipeline.cluster.engine import Engine
from tfkd.pipeline.executor import Finished, LocalExecutor, threads_of
from tfkd.pipeline.filling import StoreJob, StoreResult
from tfkd.progress import Advance, Lines, Progress, Say
from tfkd.training import workers
from tfkd.training.children import Work
from tfkd.training.job import Job, StudentResult, TeacherJob, TeacherResult


class ClusterExecutor:
    """Does each piece of work on a node of a cluster, and trains students, controls and candidates at the same time.

    Every piece has the number of threads that it would have on this machine, so that the same weights come out of it.

    Args:
        engine: the connection to the cluster.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def prepare(self, job: TeacherJob, data: Dataset, progress: Progress) -> TeacherResult:
        """Prepares one teacher on a node; see `Executor.prepare`."""
        work = Work(_prepare, (job, data), f"The teacher {job.teacher.name}", job.folder, job.seed)
        result: TeacherResult = self._alone(work, progress)
        return result

    def train(
        self, jobs: list[Job], total: int, progress: Progress, finished: Finished = lambda place, result: None
    ) -> list[StudentResult]:
        """Runs each training on a node; see `Executor.train`."""
        threads = min(threads_of(total), self._engine.most_cores)
        works = [workers.training(job) for job in jobs]
        with progress.task("training", sum(job.steps for job in jobs), "steps") as advance:
            return self._engine.run(works, threads, advance, progress.say, finished)

    def compress(self, job: CompressJob, progress: Progress) -> CompressResult:
        """Compresses one student on a node; see `Executor.compress`."""
        training = job.training
        work = Work(_compress, (job,), f"The {job.title} of {training.kind}", training.folder, training.seed)
        result: CompressResult = self._alone(work, progress)
        return result

    def fill(self, job: StoreJob, data: Dataset, progress: Progress) -> StoreResult:
        """Fills one store on this machine; see `Executor.fill`."""
        return LocalExecutor().fill(job, data, progress)

    def _alone(self, work: Work, progress: Progress) -> object:
        threads = min(machine.cores(), self._engine.most_cores)
        (result,) = self._engine.run([work], threads, lambda steps: None, progress.say)
        return result


class _Told(Lines):
    """Progress of a process whose lines another one shows."""

    def __init__(self, say: Say) -> None:
        self.say = say  # type: ignore[method-assign]


def _prepare(job: TeacherJob, data: Dataset, advance: Advance, say: Say) -> TeacherResult:
    return LocalExecutor().prepare(job, data, _Told(say))


def _compress(job: CompressJob, advance: Advance, say: Say) -> CompressResult:
    return LocalExecutor().compress(job, _Told(say))
