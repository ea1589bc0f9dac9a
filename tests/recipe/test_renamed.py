"""`modality` is called `rendering` now: old recipes are read, and their results are reused."""

import json
from pathlib import Path
from typing import Any

import pytest

from tfkd.errors import RequestError
from tfkd.recipe import Data, Distill, Recipe, Student, Teacher, files, renamed
from tfkd.writers import card_of

OLD = {"name": "old", "data": {"source": "folder:x"}, "teachers": [{"model": "a:b", "modality": "edges"}]}


@pytest.fixture(autouse=True)
def _nothing_said() -> None:
    renamed._note.cache_clear()


def recipe(**fields: Any) -> Recipe:
    return Recipe(
        name="r",
        data=Data(source="folder:x"),
        teachers=[Teacher(model="a:b", rendering="edges")],
        student=Student(rendering="grey"),
        distill=Distill(assistants=[Student(rendering="edges")]),
    )


def test_the_old_name_is_read_with_one_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps({**OLD, "student": {"modality": "grey"}}))
    read = files.load(tmp_path / "recipe.json")
    assert (read.teachers[0].rendering, read.student.rendering) == ("edges", "grey")
    assert capsys.readouterr().err == "note: modality is called rendering now; the old name is still read\n"
    dumped = json.dumps(read.model_dump(mode="json"))
    assert '"rendering": "grey"' in dumped and "modality" not in dumped


def test_an_override_may_have_the_old_name() -> None:
    values = files.overridden(files.values_of(recipe()), ["student.modality=edges", "teachers.modality=rgb"])
    changed = files.parse(values, "here")
    assert (changed.student.rendering, changed.teachers[0].rendering) == ("edges", "rgb")


def test_the_present_name_prints_no_note(capsys: pytest.CaptureFixture[str]) -> None:
    files.parse(files.values_of(recipe()), "here")
    assert capsys.readouterr().err == ""


def test_fingerprints_are_of_the_first_names() -> None:
    first = renamed.first_named(recipe().model_dump(mode="json"))
    assert "rendering" not in json.dumps(first)
    assert first["student"]["modality"] == "grey" and first["teachers"][0]["modality"] == "edges"
    assert first["distill"]["assistants"][0]["modality"] == "edges"
    assert Recipe.model_validate(renamed.present_named(first)) == recipe()


def test_the_fingerprint_of_an_earlier_recipe_never_changes() -> None:
    """Its bundles hold it. A new field belongs in `renamed.ADDED`, with the value that earlier recipes imply."""
    student = Student(weights="none")
    own = {"student": student, "distill": Distill()}
    plain = Recipe(name="r", data=Data(source="folder:x"), teachers=[Teacher(model="a:b")], **own)
    assert card_of(plain.model_dump(mode="json"), ["a", "b"], "0").origin["recipe_fingerprint"] == "02a42d2dd1b6fbea"


def test_another_kind_of_input_changes_the_fingerprint() -> None:
    values = recipe().model_dump(mode="json")
    other = {**values, "data": {**values["data"], "kind": "text"}}
    assert renamed.first_named(other) != renamed.first_named(values)


def test_a_block_without_the_field_accepts_neither_name() -> None:
    with pytest.raises(RequestError, match="modality"):
        Data(source="folder:x", modality="grey")
