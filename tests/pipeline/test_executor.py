"""Trainings and stores start through the executor of a run, and can be called without a run."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.data.photos import fill
from tests.pipeline.test_run import RECIPE
from tests.tiny import build_teacher
from tfkd.compress.job import CompressJob
from tfkd.compress.results import CompressResult
from tfkd.data import Dataset, open_source
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.pipeline.executor import Finished, LocalExecutor
from tfkd.pipeline.filling import StoreJob, StoreResult
from tfkd.pipeline.filling import fill as fill_store
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.run import open_run, run_stages
from tfkd.processes import FORKSERVER
from tfkd.progress import Lines, Progress
from tfkd.recipe import Data, Distill, Prune, Recipe, Student, Teacher
from tfkd.recipe.files import load
from tfkd.store.soft_labels import SoftLabels
from tfkd.teachers import PreparedTeacher
from tfkd.training.job import Job, StudentResult, TeacherJob, TeacherResult

CLASSES = {"blue": 20, "red": 20}


class Recording(LocalExecutor):
    """Does the work on this machine and records the requests."""

    def __init__(self) -> None:
        self.teachers: list[str] = []
        self.compressions: list[list[str]] = []
        self.stores: list[Path] = []
        self.trainings: list[tuple[str, int]] = []

    def prepare(self, job: TeacherJob, data: Dataset, progress: Progress) -> TeacherResult:
        self.teachers.append(job.teacher.model)
        return super().prepare(job, data, progress)

    def compress(self, job: CompressJob, progress: Progress) -> CompressResult:
        """Compresses nothing, which would take most of the test's time."""
        self.compressions.append([block.kind for block in job.blocks])
        return CompressResult((), accuracy=1.0, quantized=False, seconds=0.0)

    def train(
        self, jobs: list[Job], total: int, progress: Progress, finished: Finished = lambda place, result: None
    ) -> list[StudentResult]:
        self.trainings += [(job.kind, job.seed) for job in jobs]
        return super().train(jobs, total, progress, finished)

    def fill(self, job: StoreJob, data: Dataset, progress: Progress) -> StoreResult:
        self.stores.append(job.folder)
        return super().fill(job, data, progress)


def recorded(folder: Path) -> list[Recording]:
    """Runs a recipe twice and returns what each run asked its executor for.

    A run sets TensorFlow's threads, which a process that has computed already refuses.
    """
    changes = ["distill.training.epochs=1", "teachers.0.fine_tune=null", "distill.repeats=2"]
    changes += [f"student.weights={folder / 'start.weights.h5'}"]  # each training reads it in a process of its own
    off = ["gates.better_than_chance=false", "gates.diagnosis=false"]
    recipe = load(folder / "recipe.py", [f"data.source=folder:{folder / 'photos'}", *changes, *off])
    recipe = recipe.model_copy(update={"compress": [Prune()]})
    executors = [Recording(), Recording()]
    for executor in executors:
        run = open_run(recipe, RunFolder(folder / "run"), Lines(), executor)
        run_stages(run, "compress", folder / "bundle")
    return executors


@pytest.mark.slow
def test_a_run_trains_compresses_and_fills_stores_by_its_executor_only(tmp_path: Path) -> None:
    fill(tmp_path / "photos", CLASSES)
    (tmp_path / "recipe.py").write_text(RECIPE)
    student = Student(model="tests.tiny:build_student")
    build_student(student, signature(32), classes=2, seed=1).save_weights(tmp_path / "start.weights.h5")
    with ProcessPoolExecutor(1, mp_context=FORKSERVER) as pool:
        first, second = pool.submit(recorded, tmp_path).result()
    assert (first.teachers, first.compressions) == (["tests.tiny:build_teacher"], [["prune"]])
    (store,) = first.stores
    assert store.parent.name == "soft_labels" and store.is_relative_to(tmp_path / "run")
    assert first.trainings == [("control", 1), ("control", 2), ("student", 1), ("student", 2)]
    assert not any((second.teachers, second.compressions, second.trainings, second.stores))


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return open_source(Data(source=f"folder:{fill(tmp_path / 'photos', CLASSES)}", image_size=32), seed=1)


def store_job(data: Dataset, tmp_path: Path, classes: int) -> StoreJob:
    network = tmp_path / "teacher.keras"
    build_teacher(image_size=40, classes=classes).save(network)
    recipe = Recipe(
        name="alone",
        data=Data(source=data.source, image_size=32),
        teachers=[Teacher(model="tests.tiny:build_teacher")],
        student=Student(model="tests.tiny:build_student"),
        distill=Distill(views=3),
    )
    teacher = PreparedTeacher("network", network, recipe.teachers[0], data.classes)
    return StoreJob(teacher, "rgb", recipe.distill.views, recipe, "0123456789abcdef", tmp_path / "store")


def test_a_store_is_filled_without_a_run(data: Dataset, tmp_path: Path) -> None:
    job = store_job(data, tmp_path, classes=2)
    result = fill_store(job, data, Lines())
    images = len(data.train)
    assert result.views == 3 * images and result.layout.classes == 2
    header = {"fingerprint": job.fingerprint, "images": images, "views": 3, "layout": result.layout.described()}
    store = SoftLabels(job.folder, header)
    store.verify()
    first, second = (store.read(np.arange(images), view)["logits"] for view in (0, 1))
    assert first.shape == (images, 2) and not np.array_equal(first, second)


def test_a_network_of_other_classes_is_refused(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="3"):
        fill_store(store_job(data, tmp_path, classes=3), data, Lines())
