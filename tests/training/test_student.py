from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.data.photos import READING, fill
from tfkd.data import folder
from tfkd.data.batches import numbered_views
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.progress import Silent
from tfkd.recipe import Augment, Data, Recipe, Student, Teacher
from tfkd.store.layout import Layout
from tfkd.store.soft_labels import SoftLabels, write_soft_labels
from tfkd.training import student
from tfkd.training.job import Job, TrainingKind
from tfkd.training.student import with_mean_predictions, with_predictions

CLASSES, VIEWS, IMAGES = 3, 4, 11
LAYOUT = Layout(CLASSES, features={"pooled": (5,)})


def predict(images: np.ndarray, view: int) -> dict[str, np.ndarray]:
    first = 8.0 * np.asarray(images)[:, None] + view
    return {"logits": first + np.arange(CLASSES) / 4, "pooled": -first + np.arange(5) / 4}


def a_store(path: Path) -> SoftLabels:
    header = {"fingerprint": "abc", "images": IMAGES, "views": VIEWS, "layout": LAYOUT.described()}
    write_soft_labels(path, header, lambda images, view: iter([predict(images, view)]), lambda count: None)
    return SoftLabels(path, header)


def test_every_teacher_predicts_the_view(tmp_path: Path) -> None:
    stores = [a_store(tmp_path / "first"), a_store(tmp_path / "second")]
    split = folder.listing(str(fill(tmp_path / "photos", {"a": 4, "b": 7})), READING).splits["train"]
    order = np.array([7, 3, 0, 10])
    (batch,) = numbered_views(split, Augment(), 1, 2, order, signature(16), 4)
    x = with_predictions(batch, stores, 2)
    np.testing.assert_array_equal(x.inputs, batch["inputs"])
    np.testing.assert_array_equal(x.index, order)
    assert len(x.predictions) == 2
    for answers in x.predictions:
        for name, values in predict(order, 2).items():
            np.testing.assert_array_equal(answers[name], values)


def test_targets_of_new_views_are_means_and_mixed_as_the_views_are(tmp_path: Path) -> None:
    store = a_store(tmp_path / "store")
    split = folder.listing(str(fill(tmp_path / "photos", {"a": 4, "b": 7})), READING).splits["train"]
    order = np.arange(IMAGES)
    (batch,) = numbered_views(split, Augment(mix="cutmix"), 1, 9, order, signature(16), IMAGES)
    (answers,) = with_mean_predictions(batch, [store]).predictions
    share = batch["share"].numpy()[:, None]
    assert 0 < (share < 1).sum() < IMAGES
    assert answers["pooled"].dtype == tf.float32
    for name, values in predict(order, 0).items():
        mean = values + np.sign(values[-1, 0]) * (VIEWS - 1) / 2
        np.testing.assert_allclose(answers[name], share * mean + (1 - share) * mean[batch["partner"]], rtol=1e-6)


def test_the_control_starts_from_the_weights_of_the_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the comparison would measure the start and not the teacher."""
    tiny = Student(model="tests.tiny:build_student", weights=str(tmp_path / "start.keras"))
    build_student(tiny.model_copy(update={"weights": "none"}), signature(32), 2, seed=5).save(tiny.weights)
    source = Data(source=f"folder:{fill(tmp_path / 'photos', {'a': 12, 'b': 12})}", image_size=32)
    starts: dict[str, list[np.ndarray]] = {}

    def fit(model: Any, network: Any, *arguments: Any) -> None:
        starts[job.kind] = network.get_weights()
        raise KeyboardInterrupt

    for name in ("distilled", "_alone"):
        monkeypatch.setattr(student, name, lambda *arguments: (None, None, None))
    monkeypatch.setattr(student.loop, "fit", fit)
    recipe = Recipe(name="r", data=source, teachers=[Teacher(model="a:b")], student=tiny)
    kinds: tuple[TrainingKind, ...] = ("student", "control")
    for kind in kinds:
        job = Job(
            kind=kind,
            student=tiny,
            seed=1,
            recipe=recipe,
            rendering="rgb",
            folder=tmp_path / kind,
            checked=tmp_path / "data",
            images=24,
            labelled=24,
            stores=(),
        )
        with pytest.raises(KeyboardInterrupt):
            student.train_student(job, lambda units: None, Silent().say)
    assert all(map(np.array_equal, starts["student"], starts["control"]))
    assert all(map(np.array_equal, starts["student"], build_student(tiny, signature(32), 2, seed=9).get_weights()))
