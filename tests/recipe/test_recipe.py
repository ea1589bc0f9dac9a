"""The shipped recipes."""

from pathlib import Path

import pytest

from tfkd.recipe import shrunk
from tfkd.recipe.files import load


@pytest.mark.parametrize("name", ["quickstart", "clothing"])
def test_the_shipped_recipes_load(name: str) -> None:
    recipe = load(Path(__file__).parents[2] / "pipelines" / f"{name}.py")
    assert recipe.name == name
    assert shrunk(recipe).distill.training.epochs == 1
