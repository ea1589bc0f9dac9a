"""Whole compressions on a few photos and a real store, killed and resumed."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.compress.conftest import SHALLOW
from tests.data.photos import fill
from tfkd.compress.prepared import compressible
from tfkd.compress.student import compress_student, steps
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.recipe import Recipe
from tfkd.recipe.files import parse
from tfkd.store.layout import Layout
from tfkd.store.soft_labels import write_soft_labels
from tfkd.training.job import Job, Store
from tfkd.training.saving import load_model, save_model

IMAGES, VIEWS = 24, 2
TRAINING = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3}
EVERYTHING = [
    {"kind": "prune", "training": TRAINING},
    {"kind": "cluster", "clusters": 8, "training": TRAINING},
    {"kind": "qat", "training": {**TRAINING, "average": 0.5, "patience": 2}},
]


def predict(images: Any, view: int) -> Any:
    for image in images:
        yield {"logits": np.random.default_rng([int(image), view]).normal(0, 2, (1, 3))}


def recipe(source: Path, compress: list[dict[str, Any]]) -> Recipe:
    values = {
        "name": "small",
        "data": {"source": f"folder:{source}", "image_size": 32, "augment": {"mix": "mixup"}},
        "teachers": [{"model": "unused"}],
        "student": SHALLOW.model_dump(mode="json"),
        "distill": {"views": VIEWS, "losses": [{"kind": "hint"}, {"kind": "decoupled"}]},
        "compress": compress,
    }
    return parse(values, "test")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, a soft-label store, and a student."""
    folder = tmp_path_factory.mktemp("compress")
    splits = (("train", IMAGES // 3), ("validation", 3), ("test", 4))
    counts = {f"{split}/{name}": count for split, count in splits for name in ("a", "b", "c")}
    fill(folder / "photos", counts)
    header = {"images": IMAGES, "views": VIEWS, "layout": Layout(3).described()}
    write_soft_labels(folder / "store", header, predict, lambda done: None)
    save_model(build_student(SHALLOW, signature(32), 3, seed=4), folder / "student.keras")
    return folder


def compressed(home: Path, folder: Path, blocks: list[dict[str, Any]], say: Callable[[str], None] = print) -> Any:
    whole_recipe = recipe(home / "photos", blocks)
    store = Store(home / "store", {"images": IMAGES, "views": VIEWS, "layout": Layout(3).described()})
    job = Job(
        kind="student",
        seed=5,
        recipe=whole_recipe,
        student=whole_recipe.student,
        rendering="rgb",
        folder=folder,
        checked=home / "checked",
        images=IMAGES,
        labelled=IMAGES,
        stores=(store,),
    )
    done: list[int] = []
    result = compress_student(job, home / "student.keras", whole_recipe.compress, folder, done.append, say)
    assert sum(done) == steps(job, whole_recipe.compress) == len(blocks) * 2 * IMAGES // 8
    return result


@pytest.fixture(scope="module")
def everything(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, list[str]]:
    folder = tmp_path_factory.mktemp("whole")
    messages: list[str] = []
    return compressed(home, folder, EVERYTHING, messages.append), folder, messages


@pytest.mark.slow
def test_all_compressions_hold_in_the_end(everything: tuple[Any, Path, list[str]], home: Path) -> None:
    result, folder, messages = everything
    assert [one.kind for one in result.compressions] == ["prune", "cluster", "qat"]
    assert all(one.sparsity >= 0.499 and one.epochs == 2 for one in result.compressions)
    assert [one.clusters <= 8 for one in result.compressions] == [False, True, True]
    assert result.quantized and result.seconds > 0
    assert (folder / "quantized/saved_model.pb").is_file()
    student = load_model(folder / "student.keras")
    kernels = [np.asarray(layer.kernel) for layer in compressible(student)]
    assert all(len(np.unique(kernel)) <= 8 for kernel in kernels)
    assert np.load(folder / "test_logits.npy").shape == (12, 3)
    assert any("features are left out" in line for line in messages)
    assert type(asdict(result)["compressions"][0]["sparsity"]) is float


@pytest.mark.slow
def test_a_killed_compression_ends_with_the_same_bytes(
    everything: tuple[Any, Path, list[str]], home: Path, tmp_path: Path
) -> None:
    class Kill(BaseException):
        pass

    def kill_in(moment: str) -> Callable[[str], None]:
        def say(line: str) -> None:
            if moment in line:
                raise Kill

        return say

    _, whole, _ = everything
    for moment in ("prune epoch 1", "qat epoch 1"):
        with pytest.raises(Kill):
            compressed(home, tmp_path, EVERYTHING, kill_in(moment))
    compressed(home, tmp_path, EVERYTHING)
    resumed, unbroken = (load_model(folder / "student.keras") for folder in (tmp_path, whole))
    for ours, theirs in zip(resumed.get_weights(), unbroken.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    logits = [np.load(folder / "test_logits.npy") for folder in (tmp_path, whole)]
    np.testing.assert_array_equal(*logits)


def test_without_compressions_the_student_does_not_change(home: Path, tmp_path: Path) -> None:
    result = compressed(home, tmp_path, [])
    assert result.compressions == () and not result.quantized and result.seconds == 0
    before, after = (load_model(folder / "student.keras").get_weights() for folder in (home, tmp_path))
    for ours, theirs in zip(before, after, strict=True):
        np.testing.assert_array_equal(ours, theirs)
