"""Choices are made once per run, and kept."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.bundle.manifests import tiny_manifest
from tests.data.photos import fill
from tfkd.data import Dataset, open_source
from tfkd.errors import RequestError
from tfkd.files import sha256, write_json, write_sealed
from tfkd.pipeline.choices import weights
from tfkd.pipeline.earlier_students import student_of
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.graph import stages_of
from tfkd.pipeline.resolving import Choice, resolve
from tfkd.recipe import Data, Distill, Recipe, Student, Teacher, files


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    fill(tmp_path / "photos", {"a": 12, "b": 12})
    return open_source(Data(source=f"folder:{tmp_path / 'photos'}"), 1, checked=tmp_path / "data")


class World:
    """What is installed: the file of the ImageNet weights, or nothing."""

    def __init__(self, path: Path) -> None:
        self.path, self.asked = path, list[str]()

    def imagenet_file(self, student: Student) -> Path:
        self.asked.append(student.model)
        if not self.path.exists():
            raise RequestError("They are not installed.")
        return self.path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path / "imagenet.pt")
    monkeypatch.setattr(weights, "imagenet_file", world.imagenet_file)
    return world


def recipe(student: Student | None = None, **distill: Any) -> Recipe:
    return Recipe(
        name="r",
        data=Data(source="folder:photos"),
        teachers=[Teacher(model="a:b")],
        student=student or Student(model="mobilenet_v2"),
        distill=Distill(**distill),
    )


def chosen(found: tuple[Choice, ...]) -> list[tuple[str, str, bool]]:
    return [(each.field, each.answer.value, each.is_kept) for each in found]


@pytest.fixture
def said() -> list[str]:
    return []


def test_a_choice_is_kept_whatever_is_there_later(
    folder: RunFolder, data: Dataset, world: World, said: list[str]
) -> None:
    first = resolve(recipe(), data, folder, said.append, keep=True)
    assert chosen(first.choices) == [("student.weights", "none", False)]
    world.path.write_bytes(b"weights")
    again = resolve(recipe(), data, folder, said.append)
    assert chosen(again.choices) == [("student.weights", "none", True)]
    assert again.recipe == first.recipe and again.recipe.student.weights == "none"
    assert str(again.choices[0]) == (
        "student.weights: none (random weights), as chosen before; set student.weights to choose otherwise. "
        "They are not installed."
    )
    assert world.asked == ["mobilenet_v2"]

    imagenet = f"imagenet@sha256:{sha256(world.path)}"
    fresh = resolve(recipe(), data, folder, said.append, keep=True, fresh=True)
    assert chosen(fresh.choices) == [("student.weights", imagenet, False)]
    world.path.unlink()
    assert chosen(resolve(recipe(), data, folder, said.append).choices) == [("student.weights", imagenet, True)]
    assert said == []


def test_another_question_gets_an_answer_of_its_own(
    folder: RunFolder, data: Dataset, world: World, said: list[str]
) -> None:
    resolve(recipe(), data, folder, said.append, keep=True)
    world.path.write_bytes(b"weights")
    same = recipe(Student(model="mobilenet_v2", dropout=0.5))
    assert resolve(same, data, folder, said.append).recipe.student.weights == "none"
    for other in (Student(model="mobilenet_v2", width=0.5), Student(model="squeezenet_1_1")):
        assert resolve(recipe(other), data, folder, said.append).recipe.student.weights.startswith("imagenet@sha256:")


def test_assistants_are_asked_for_and_explicit_weights_are_not(
    folder: RunFolder, data: Dataset, world: World, said: list[str]
) -> None:
    explicit = recipe(Student(weights="imagenet"), assistants=[Student(weights="none"), Student(model="mobilenet_v2")])
    found = resolve(explicit, data, folder, said.append, keep=True)
    assert chosen(found.choices) == [("distill.assistants.1.weights", "none", False)]
    assert [each.weights for each in found.recipe.distill.assistants] == ["none", "none"]
    assert world.asked == ["mobilenet_v2"]
    plain = recipe(Student(weights="none"))
    assert resolve(plain, data, folder, said.append).recipe is plain


def test_a_look_stores_nothing_and_a_damaged_record_is_made_again(
    folder: RunFolder, data: Dataset, world: World, said: list[str]
) -> None:
    resolve(recipe(), data, folder, said.append)
    assert not folder.choices.exists()
    resolve(recipe(), data, folder, said.append, keep=True)
    folder.choices.write_text(folder.choices.read_text().replace("none", "imagenet"))
    assert not resolve(recipe(), data, folder, said.append).choices[0].is_kept
    assert said == ["choices.json is damaged; its choices are made again"]


def test_the_distillation_is_chosen_after_the_weights(
    folder: RunFolder, data: Dataset, world: World, said: list[str]
) -> None:
    """Its epochs depend on them."""
    values = recipe().model_dump(mode="json")
    auto = files.parse({**values, "distill": {"auto": True, "repeats": 2}}, "here")
    random = resolve(auto, data, folder, said.append, keep=True)
    assert [each.field for each in random.choices] == ["student.weights", "distill"]
    assert not random.recipe.distill.auto and random.recipe.distill.repeats == 2
    again = resolve(auto, data, folder, said.append)
    assert again.recipe == random.recipe and all(each.is_kept for each in again.choices)
    world.path.write_bytes(b"weights")
    trained = resolve(auto, data, folder, said.append, fresh=True)
    assert trained.recipe.distill.training.epochs < random.recipe.distill.training.epochs
    assert resolve(trained.recipe, data, folder, said.append).recipe is trained.recipe


def test_the_fingerprint_is_that_of_the_choice(folder: RunFolder, data: Dataset, world: World, said: list[str]) -> None:
    def fingerprint(recipe: Recipe) -> str:
        return stages_of(recipe, data, folder.path)["student"].fingerprint

    random = resolve(recipe(), data, folder, said.append).recipe
    assert fingerprint(random) == fingerprint(recipe(Student(model="mobilenet_v2", weights="none")))
    of_files = []
    for content in (b"one", b"other"):
        world.path.write_bytes(content)
        of_files.append(fingerprint(resolve(recipe(), data, folder, said.append).recipe))
    assert len({fingerprint(random), *of_files}) == 3


def test_a_resolved_recipe_can_be_stored_and_run_again(
    folder: RunFolder, data: Dataset, world: World, said: list[str], tmp_path: Path
) -> None:
    world.path.write_bytes(b"weights")
    resolved = resolve(recipe(), data, folder, said.append).recipe
    (tmp_path / "recipe.json").write_text(json.dumps(resolved.model_dump(mode="json")))
    again = files.load(tmp_path / "recipe.json")
    assert again == resolved
    assert resolve(again, data, RunFolder(tmp_path / "elsewhere"), said.append).choices == ()
    assert files.load(tmp_path / "recipe.json", ["student.weights=none"]).student.weights == "none"


def test_half_a_hash_is_refused() -> None:
    with pytest.raises(RequestError, match="weights = 'imagenet@sha256:12': a hash has the form"):
        Student(weights="imagenet@sha256:12")


def finished_run(folder: RunFolder, **student: Any) -> Path:
    """Writes what a finished report says of its student; returns the student's file."""
    file = folder.path / "student" / "abc" / "seed-1" / "student.keras"
    for each in (file, folder.bundle / "manifest.json"):
        each.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"weights")
    write_sealed(folder.report_record, {"result": {"bundle": "bundle", "student": "student/abc/seed-1/student.keras"}})
    manifest = tiny_manifest(["a", "b"]).model_copy(update={"name": folder.path.name, "recipe": {"student": student}})
    write_json(folder.bundle / "manifest.json", manifest.model_dump(mode="json", by_alias=True))
    write_json(folder.recipe, {})
    return file


def test_the_student_of_a_run_stays_the_choice_for_the_same_teachers(
    folder: RunFolder, data: Dataset, said: list[str], tmp_path: Path
) -> None:
    earlier = RunFolder(tmp_path / "runs" / "old")
    file = finished_run(earlier, model="mobilenet_v2", width=1.0)
    asked = recipe(Student(model="mobilenet_v2", weights=str(earlier.path)))
    found = resolve(asked, data, folder, said.append, keep=True)
    assert found.recipe.student.weights == str(file) and not found.choices[0].is_kept
    write_sealed(earlier.report_record, {"result": {"student": "another"}})  # a later student is the present one
    assert resolve(asked, data, folder, said.append).recipe.student.weights == str(file)
    other = asked.model_copy(update={"teachers": [Teacher(model="c:d")]})
    with pytest.raises(RequestError, match="has no finished report with its student; run its recipe first"):
        resolve(other, data, folder, said.append)


@pytest.mark.parametrize(
    ("student", "classes", "message"),
    [
        (
            {"model": "mobilenet_v2", "width": 0.5},
            ["a", "b"],
            "its student has width=0.5, this one width=1.0; set stud",
        ),
        ({"model": "squeezenet_1_1", "width": 1.0}, ["a", "b"], "its student has model=squeezenet_1_1, this one"),
        ({"model": "mobilenet_v2", "width": 1.0}, ["b", "a"], "its student has other classes, or in another order"),
    ],
)
def test_another_student_than_that_of_the_run_is_refused(
    tmp_path: Path, student: dict[str, Any], classes: list[str], message: str
) -> None:
    earlier = RunFolder(tmp_path / "runs" / "old")
    finished_run(earlier, **student)
    with pytest.raises(RequestError, match=re.escape(message)) as error:
        student_of(earlier.path, tmp_path / "runs", Student(model="mobilenet_v2"), classes)
    assert "\n" not in str(error.value)


def test_a_bundle_leads_to_its_run_where_that_is_there(tmp_path: Path) -> None:
    earlier, bundle = RunFolder(tmp_path / "runs" / "old"), tmp_path / "published"
    file = finished_run(earlier, model="mobilenet_v2", width=1.0)
    shutil.copytree(earlier.bundle, bundle)
    student = Student(model="mobilenet_v2")
    assert student_of(bundle, tmp_path / "runs", student, ["a", "b"]) == file
    with pytest.raises(RequestError, match="a bundle holds no Keras weights, and the run that made it is not in"):
        student_of(bundle, tmp_path / "elsewhere", student, ["a", "b"])
