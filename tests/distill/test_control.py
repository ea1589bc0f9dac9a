"""The control is the student without a teacher: equal steps, the same schedule, new views in every epoch."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.data.photos import fill
from tfkd.data import open_source
from tfkd.data.batches import plain_batches
from tfkd.data.dataset import Dataset, Split
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.recipe import Data, Distill, Recipe, Student, Teacher, Training
from tfkd.store.layout import Layout
from tfkd.store.soft_labels import write_soft_labels
from tfkd.training.job import Job, Store
from tfkd.training.student import _alone, distilled, train_student, transfer_set

EPOCHS, VIEWS, CLASSES = 4, 2, 2
TRAIN = {"student": distilled, "control": _alone}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = {"train/a": 10, "train/b": 10, "validation/a": 1, "validation/b": 4, "test/a": 4, "test/b": 1}
    return fill(tmp_path_factory.mktemp("photos"), counts)


@pytest.fixture(scope="module")
def recipe(photos: Path) -> Recipe:
    """A recipe in which half of the training images have no label for the control."""
    return Recipe(
        name="half",
        data=Data(source=f"folder:{photos}", image_size=32, fraction=0.5, unlabelled="rest"),
        teachers=[Teacher(model="resnet50")],
        student=Student(model="tests.tiny:build_student"),
        distill=Distill(views=VIEWS, training=Training(epochs=EPOCHS, batch_size=8, learning_rate=0.01)),
    )


@pytest.fixture(scope="module")
def data(recipe: Recipe) -> Dataset:
    return open_source(recipe.data, recipe.seed)


@pytest.fixture(scope="module")
def store(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Soft labels of a teacher that prefers the first class."""
    folder, layout = tmp_path_factory.mktemp("store"), Layout(CLASSES)
    header = {"fingerprint": "a", "images": len(transfer_set(data)), "views": VIEWS, "layout": layout.described()}

    def predict(images: np.ndarray, view: int) -> Iterator[dict[str, np.ndarray]]:
        return iter([{"logits": np.tile([1.0, 0.0], (len(images), 1)).astype(np.float32)}])

    write_soft_labels(folder, header, predict, lambda count: None)
    return Store(folder, header)


@pytest.fixture(params=TRAIN)
def job(request: pytest.FixtureRequest, recipe: Recipe, data: Dataset, store: Store, tmp_path: Path) -> Job:
    return Job(
        kind=request.param,
        seed=1,
        recipe=recipe,
        student=recipe.student,
        rendering=recipe.student.rendering,
        folder=tmp_path,
        checked=tmp_path / "checked",
        images=len(transfer_set(data)),
        labelled=len(data.train),
        stores=(store,),
    )


def test_both_train_for_all_steps_of_the_transfer_set(job: Job, data: Dataset) -> None:
    steps = EPOCHS * (len(transfer_set(data)) // 8)
    assert len(transfer_set(data)) > len(data.train) and job.steps == steps
    done: list[int] = []
    result = train_student(job, done.append, lambda text: None)
    assert sum(done) == steps and result.epochs == EPOCHS


def test_both_end_with_a_learning_rate_of_0_after_all_steps(job: Job, data: Dataset) -> None:
    student = build_student(job.student, signature(32), CLASSES, 1)
    model, batches, _ = TRAIN[job.kind](job, student, data, signature(32))
    for epoch in range(EPOCHS):
        model.fit(batches(epoch), verbose=0)
    rates = [float(model.optimizer._learning_rate(step)) for step in range(job.steps + 1)]
    assert int(model.optimizer.iterations) == job.steps
    assert min(rates[1:-1]) > 0 and rates[-1] == pytest.approx(0, abs=1e-9)


def test_the_control_sees_other_views_in_every_epoch_and_the_student_those_of_the_store(
    job: Job, data: Dataset
) -> None:
    student = keras.models.clone_model(build_student(job.student, signature(32), CLASSES, 1))
    _, batches, _ = TRAIN[job.kind](job, student, data, signature(32))

    def views_of(epoch: int) -> set[bytes]:
        images = [batch[0] if job.kind == "control" else batch[0].inputs for batch in batches(epoch)]
        return {image.tobytes() for batch in images for image in batch.numpy()}

    epochs = [views_of(epoch) for epoch in range(EPOCHS)]
    assert all(len(images) >= len(data.train) for images in epochs)
    for first, second in itertools.combinations(range(EPOCHS), 2):
        again = job.kind == "student" and (second - first) % VIEWS == 0
        assert bool(epochs[first] & epochs[second]) is again


def test_accuracies_are_those_of_their_splits(job: Job, data: Dataset) -> None:
    result = train_student(job, lambda count: None, lambda text: None)
    student = keras.saving.load_model(job.folder / "student.keras")

    def right(split: Split) -> float:
        logits = np.concatenate([student(images).numpy() for images, _ in plain_batches(split, signature(32), 8)])
        return float(np.mean(logits.argmax(axis=1) == split.labels))

    assert (result.accuracy, result.validation_accuracy) == (right(data.test), right(data.validation))
