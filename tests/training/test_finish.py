"""A training with balanced classes, a temperature from the store, two classifiers, and an end on labels alone."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.distill.test_control import CLASSES, EPOCHS, data, photos, recipe, store  # noqa: F401
from tfkd.data.dataset import Dataset
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.recipe import Finish, Recipe, SoftTargets
from tfkd.training import loop
from tfkd.training.job import Job, Store, StudentResult
from tfkd.training.student import train_student, transfer_set

LAST = 2


@dataclass(frozen=True)
class Trained:
    job: Job
    result: StudentResult
    weights: list[np.ndarray]
    steps: int
    said: list[str]


def trained(job: Job) -> Trained:
    done: list[int] = []
    said: list[str] = []
    result = train_student(job, done.append, said.append)
    weights = keras.saving.load_model(job.folder / "student.keras").get_weights()
    return Trained(job, result, weights, sum(done), said)


def same(first: Trained, second: Trained) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(first.weights, second.weights, strict=True))


@pytest.fixture(scope="module")
def jobs(
    recipe: Recipe,  # noqa: F811
    data: Dataset,  # noqa: F811
    store: Store,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Job]:
    balanced = {"class_weight": {"a": 2.0}, "sampling": "balanced"}
    changes = {
        "training": recipe.distill.training.model_copy(update=balanced),
        "losses": [SoftTargets(temperature="auto", weight=0.9)],
        "label_head": 0.5,
        "finish": Finish(epochs=LAST, learning_rate=1e-3),
    }
    changed = recipe.model_copy(update={"distill": recipe.distill.model_copy(update=changes)})
    folder = tmp_path_factory.mktemp("finish")
    every = {"seed": 1, "recipe": changed, "student": recipe.student, "rendering": "rgb", "checked": folder / "checked"}
    counts = {"images": len(transfer_set(data)), "labelled": len(data.train), "stores": (store,)}
    return {
        kind: Job(kind=kind, folder=tmp_path_factory.mktemp(kind), **every, **counts) for kind in ("student", "control")
    }


@pytest.fixture(scope="module")
def student(jobs: dict[str, Job]) -> Trained:
    return trained(jobs["student"])


def test_student_and_control_take_equal_steps(jobs: dict[str, Job], student: Trained, data: Dataset) -> None:  # noqa: F811
    control = trained(jobs["control"])
    per_epoch = len(transfer_set(data)) // 8
    for each in (student, control):
        assert each.steps == each.job.steps == EPOCHS * per_epoch + LAST * (len(data.train) // 8)
        assert each.result.epochs == EPOCHS and each.result.finish is not None
        assert each.result.validation_accuracy == max(each.result.finish)
        assert "on labels alone: validation" in each.said[-1]
    assert student.said[0] == "  student (seed 1): temperature 1, chosen from the stored predictions"
    assert (student.result.temperature, control.result.temperature) == (1.0, None)


def test_the_trained_student_has_one_classifier(student: Trained) -> None:
    built = build_student(student.job.student, signature(32), CLASSES, 1)
    assert [weight.shape for weight in student.weights] == [weight.shape for weight in built.get_weights()]


def test_what_is_not_worse_is_kept_and_what_is_worse_is_dropped(
    student: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints hold both parts of the training; only what validation says before the second one differs."""

    def again(name: str, job: Job, before: float) -> Trained:
        monkeypatch.setattr(loop.Validation, "accuracy", lambda self: before)
        shutil.copytree(student.job.folder, tmp_path / name)
        return trained(replace(job, folder=tmp_path / name))

    (_, after) = student.result.finish or (0.0, 0.0)
    distill = student.job.recipe.distill.model_copy(update={"finish": None})
    without = replace(student.job, recipe=student.job.recipe.model_copy(update={"distill": distill}))
    first_part = again("first part", without, 0.0)
    kept, dropped = again("kept", student.job, after), again("dropped", student.job, after + 0.01)
    assert same(dropped, first_part) and not same(kept, first_part)
    assert ("kept" in kept.said[-1], "dropped" in dropped.said[-1]) == (True, True)


def test_a_kill_in_the_last_part_changes_nothing(student: Trained, tmp_path: Path) -> None:
    job, done = replace(student.job, folder=tmp_path), [0]

    def advance(count: int) -> None:
        done[0] += count
        if done[0] == student.steps:  # in its last epoch
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train_student(job, advance, lambda text: None)
    assert len(json.loads((tmp_path / "curve.json").read_text())) == EPOCHS
    assert not (tmp_path / "student.keras").exists()
    resumed = trained(job)
    assert same(resumed, student) and resumed.result.finish == student.result.finish
