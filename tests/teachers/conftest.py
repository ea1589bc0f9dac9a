"""Photos of three colours, opened once, and what prepares a teacher on them and fills its store."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.photos import fill_tinted
from tfkd.data import Dataset, open_source
from tfkd.data.batches import plain_batches
from tfkd.inputs.image.tensors import signature
from tfkd.pipeline.filling import StoreJob, fill
from tfkd.progress import Lines
from tfkd.recipe import Augment, Data, Distill, Recipe, Student, Teacher
from tfkd.store.soft_labels import SoftLabels
from tfkd.teachers import KINDS, PreparedTeacher, kind_of
from tfkd.training.job import TeacherJob, TeacherResult

CLASSES = ("blue", "green", "red")
PLAIN = Augment(min_area=1.0, max_aspect=1.0, flip=False, brightness=0.0, contrast=0.0, saturation=0.0)


@dataclass(frozen=True)
class Filled:
    """A prepared teacher: its result, its test logits and its store."""

    result: TeacherResult
    logits: Any
    store: SoftLabels
    folder: Path


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Square photos of the size of the networks, so that a view may be the plain image."""
    root = fill_tinted(tmp_path_factory.mktemp("teachers") / "photos", dict.fromkeys(CLASSES, 20))
    for path in root.rglob("*.png"):
        Image.open(path).crop((0, 0, 32, 32)).save(path)
    return root


@pytest.fixture(scope="session")
def data(photos: Path) -> Dataset:
    return open_source(Data(source=f"folder:{photos}", image_size=32, test_share=0.2), seed=1)


@pytest.fixture(scope="session")
def means(data: Dataset) -> dict[str, np.ndarray]:
    """Mean colours of the plain form of every image, scaled to -1..1, by split."""
    splits = {name: getattr(data, name) for name in ("train", "validation", "test")}
    batches = {name: plain_batches(split, signature(32), 64) for name, split in splits.items()}
    return {
        name: np.concatenate([images.numpy().mean(axis=(1, 2)) for images, _ in each]) / 127.5 - 1
        for name, each in batches.items()
    }


@pytest.fixture
def filled(data: Dataset, tmp_path: Path) -> Callable[..., Filled]:
    """Returns the function that prepares a teacher and fills its store with its predictions of plain images."""

    def run(teacher: Teacher, taps: tuple[str, ...] = (), augment: Augment = PLAIN, views: int = 1) -> Filled:
        targets = "image" if teacher.predictions else "view"
        recipe = Recipe(
            name="one",
            data=Data(source=data.source, image_size=32, augment=augment),
            teachers=[teacher],
            student=Student(model="tests.tiny:build_student"),
            distill=Distill(views=views, features=list(taps), targets=targets),
        )
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        (folder / "teacher").mkdir(parents=True)
        kind = kind_of(teacher, len(data.classes))
        result = kind.prepare(TeacherJob(teacher, augment, 1, folder / "teacher", taps), data, Lines())
        assert KINDS[result.kind] is kind
        prepared = PreparedTeacher(kind.name, folder / "teacher" / kind.file, teacher, data.classes)
        job = StoreJob(prepared, "rgb", views, recipe, "0123456789abcdef", folder / "store")
        stored = fill(job, data, Lines())
        header = {
            "fingerprint": job.fingerprint,
            "images": len(data.train),
            "views": views,
            "layout": stored.layout.described(),
        }
        test = folder / "teacher" / "test_logits.npy"
        return Filled(result, np.load(test) if test.is_file() else None, SoftLabels(job.folder, header), folder)

    return run
