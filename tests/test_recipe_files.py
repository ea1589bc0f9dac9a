"""Recipes: read, overridden, and refused in one line."""

import json
from pathlib import Path

import pytest

from tfkd import recipe_files
from tfkd.errors import RequestError

SOURCE = """
from tfkd.recipe import Data, Recipe, Teacher
recipe = Recipe(name="r", data=Data(source="folder:photos"), teachers=[Teacher(model="resnet50")])
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.py"
    path.write_text(SOURCE)
    return path


def test_the_json_of_a_recipe_is_the_same_recipe(file: Path, tmp_path: Path) -> None:
    recipe = recipe_files.load(file)
    copy = tmp_path / "recipe.json"
    copy.write_text(json.dumps(recipe.model_dump(mode="json")))
    assert recipe_files.load(copy) == recipe


def test_overrides_reach_into_blocks_and_lists(file: Path) -> None:
    recipe = recipe_files.load(
        file,
        [
            "distill.training.epochs=7",
            "student.model=squeezenet_1_1",
            "distill.losses.0.temperature=2.5",
            'export.tflite=["int8"]',
            "teachers.0.fine_tune=null",
        ],
    )
    assert recipe.distill.training.epochs == 7
    assert recipe.student.model == "squeezenet_1_1"
    assert recipe.distill.losses[0].temperature == 2.5
    assert recipe.export.tflite == ["int8"]
    assert recipe.teachers[0].fine_tune is None


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("distil.views=3", "Did you mean 'distill'"),
        ("distill.viws=3", "Did you mean 'views'"),
        ("teachers.0.fine_tune.hed_epochs=3", "Did you mean 'head_epochs'"),
        ("distill.losses.0.temprature=3", "Did you mean 'temperature'"),
        ("distill.losses.0.temperature=0", "distill.losses.0.temperature = 0"),
        ("distill.losses.0.kind=soft_target", "Did you mean 'soft_targets'"),
        ('compress=[{"kind": "prun"}]', "there is no such kind. Did you mean 'prune'"),
        ("teachers.4.model=x", "'4' is not an index"),
        ("seed.x=1", "has no fields"),
        ("data.image_size=many", "data.image_size = 'many'"),
        ("student.activation=mish", "hard_swish"),
        ("distill.views", "key.path=value"),
        ('export.tflite=["int8","int8"]', "twice"),
        ("name=../evil", "name = '../evil'"),
    ],
)
def test_a_wrong_override_is_one_helpful_line(file: Path, override: str, told: str) -> None:
    with pytest.raises(RequestError) as caught:
        recipe_files.load(file, [override])
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("recipe = 1", "does not define"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("recipe = (", "SyntaxError"),
        (SOURCE.replace("name=", "nme="), "'name'"),
    ],
)
def test_a_file_without_a_recipe(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "recipe.py"
    path.write_text(content)
    with pytest.raises(RequestError, match=told):
        recipe_files.load(path)


def test_a_missing_file_and_broken_json(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No recipe at"):
        recipe_files.load(tmp_path / "none.py")
    broken = tmp_path / "recipe.json"
    broken.write_text("[1, 2")
    with pytest.raises(RequestError, match="not readable JSON"):
        recipe_files.load(broken)
    broken.write_text("[1, 2]")
    with pytest.raises(RequestError, match="list"):
        recipe_files.load(broken)
