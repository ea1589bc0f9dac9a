"""The shipped recipes."""

from pathlib import Path

import pytest

from tfkd.recipe import Data, Recipe, Teacher, shrunk
from tfkd.recipe.files import load


@pytest.mark.parametrize("name", ["quickstart", "clothing"])
def test_the_shipped_recipes_load(name: str) -> None:
    recipe = load(Path(__file__).parents[2] / "pipelines" / f"{name}.py")
    assert recipe.name == name
    assert shrunk(recipe).distill.training.epochs == 1


def test_a_smoke_run_thaws_no_teacher_that_the_recipe_leaves_frozen() -> None:
    recipe = Recipe(name="r", data=Data(source="folder:photos"), teachers=[Teacher(model="teacher.onnx")])
    tuning = shrunk(recipe).teachers[0].fine_tune
    assert tuning is not None and (tuning.epochs, tuning.head_epochs) == (0, 1)
