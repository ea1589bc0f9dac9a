"""The dependencies of the stages of a run: the contents of files, by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.photos import encoded, fill, picture
from tfkd.data import open_source
from tfkd.errors import RequestError
from tfkd.pipeline.graph import stages_of
from tfkd.pipeline.stage import Stage
from tfkd.recipe import Data, Distill, Recipe, Student, Teacher
from tfkd.recipe.networks import seeds

TRAINED = ("teacher", "soft_labels", "assistant", "assistant_labels", "control", "student")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with photos, paired images, unlabelled images, models and modules."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    fill(tmp_path / "photos", {"a": 12, "b": 12})
    fill(tmp_path / "depth", {"a": 12, "b": 12}, start=100)
    fill(tmp_path / "extra", {"x": 4}, start=200)
    for name in ("t.keras", "start.weights.h5", "assistant_start.h5"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "order_student.py").write_text("import order_helper")
    (tmp_path / "order_helper.py").write_text("WIDTH = 8")
    (tmp_path / "order_assistant.py").write_text("")
    return tmp_path


def recipe(**changes: Any) -> Recipe:
    return Recipe(
        name="contents",
        data=Data(source="folder:photos", unlabelled="folder:extra"),
        teachers=[Teacher(model="t.keras", **changes)],
        student=Student(model="order_student:build", weights="start.weights.h5"),
        distill=Distill(assistants=[Student(model="order_assistant:build", weights="assistant_start.h5")]),
    )


def stages(recipe: Recipe) -> dict[str, Stage]:
    return stages_of(recipe, open_source(recipe.data, 1, checked=Path("data")), Path("run"))


def rewrite(name: str) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(b"changed")


def replace_picture(name: str) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(encoded(picture(999), "JPEG"))


ALL = set(TRAINED)
BEHIND_THE_STORE = ALL - {"teacher", "control"}


@pytest.mark.parametrize(
    ("change", "again", "named"),
    [
        (rewrite("t.keras"), ALL - {"control"}, "t.keras"),
        (rewrite("order_helper.py"), {"control", "student"}, "order_helper.py"),
        (rewrite("start.weights.h5"), {"control", "student"}, "start.weights.h5"),
        (rewrite("order_assistant.py"), {"assistant", "assistant_labels", "student"}, "order_assistant.py"),
        (rewrite("assistant_start.h5"), {"assistant", "assistant_labels", "student"}, "assistant_start.h5"),
        (replace_picture("photos/a/003.jpg"), ALL, "folder:photos"),
        (replace_picture("extra/x/003.jpg"), BEHIND_THE_STORE, "folder:extra"),
        (rewrite("depth/a/003.jpg"), set(), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_only_stages_that_depend_on_a_changed_file_run_again_and_the_file_is_named(
    home: Path, change: Callable[[], object], again: set[str], named: str
) -> None:
    for stage in stages(recipe()).values():
        stage.begin()
        stage.finish({})
    change()
    now = stages(recipe())
    assert {name for name in TRAINED if now[name].result() is None} == again
    assert {now[name].outdated().split(" changed")[0] for name in again} <= {named}
    assert all(now[name].outdated() == "" for name in TRAINED if name not in again)


def test_paired_images_count_for_the_networks_that_use_them(home: Path) -> None:
    fill(home / "depth", {"x": 4}, start=300)
    paired = recipe(rendering="folder:depth").model_copy(update={"data": Data(source="folder:photos")})
    before = stages(paired)
    (home / "depth" / "a" / "003.jpg").write_bytes(encoded(picture(998), "JPEG"))
    after = stages(paired)
    assert {name for name in TRAINED if before[name].fingerprint != after[name].fingerprint} == ALL - {"control"}


def test_pictures_that_belong_to_no_photo_do_not_count(home: Path) -> None:
    paired = recipe(rendering="folder:depth").model_copy(update={"data": Data(source="folder:photos")})
    before = stages(paired)
    fill(home / "depth", {"a": 13}, start=100)
    assert stages(paired)["teacher"].fingerprint == before["teacher"].fingerprint


def test_a_store_is_named_as_such(home: Path) -> None:
    stage = stages(recipe())["soft_labels"]
    stage.begin()
    stage.finish({})
    Path("t.keras").write_bytes(b"another teacher")
    assert stages(recipe())["soft_labels"].outdated() == "t.keras changed since the store was created"


def test_a_missing_file_is_found_before_anything_is_forgotten(home: Path) -> None:
    Path("t.keras").unlink()
    with pytest.raises(RequestError, match=r"There is no model file t\.keras"):
        stages(recipe())


def test_every_repeat_has_a_seed_of_its_own() -> None:
    teachers, data = [Teacher(model="resnet50")], Data(source="folder:x")
    recipe = Recipe(name="r", seed=3, data=data, teachers=teachers, distill=Distill(repeats=3))
    assert seeds(recipe) == [3, 4, 5]
