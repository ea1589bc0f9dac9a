"""Recipes: the shipped ones, their defaults, and what no recipe may ask for."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tfkd.errors import RequestError
from tfkd.recipe import Data, Distill, Recipe, Relational, SoftTargets, Teacher, Training, shrunk
from tfkd.recipe.files import load, parse


@pytest.mark.parametrize("name", ["quickstart", "clothing"])
def test_the_shipped_recipes_load(name: str) -> None:
    recipe = load(Path(__file__).parents[2] / "pipelines" / f"{name}.py")
    assert recipe.name == name
    assert shrunk(recipe).distill.training.epochs == 1


def test_weights_that_sum_to_zero() -> None:
    with pytest.raises(RequestError, match="sum to zero"):
        parse(
            {
                "name": "r",
                "data": {"source": "folder:x"},
                "teachers": [{"model": "resnet50"}],
                "distill": {"losses": [{"kind": "soft_targets", "weight": 0}], "label_weight": 0},
            },
            "here",
        )


def test_defaults_follow_hinton() -> None:
    recipe = Recipe(name="r", data=Data(source="folder:x"), teachers=[Teacher(model="resnet50")])
    assert recipe.distill == Distill(losses=[SoftTargets(temperature=4.0, weight=0.7)], label_weight=0.3)
    assert recipe.distill.control


def test_a_training_without_settings_is_the_one_that_the_documents_describe() -> None:
    assert (Training().epochs, Training().batch_size, Training().learning_rate) == (30, 64, 2e-3)


def test_a_part_of_a_loss_may_have_no_weight_where_another_has() -> None:
    for parts in ({"distance": 0.0}, {"angle": 0.0}):
        assert Relational(**parts).weight == Relational().weight
    with pytest.raises(ValidationError, match="distance"):
        Relational(distance=-0.5)


@pytest.mark.parametrize("limits", [(5, 5), (5, 4), (0, float("inf"))])
def test_a_range_of_pixels_ascends(limits: tuple[float, float]) -> None:
    assert Data(source="folder:x", pixel_range=(4, 5)).pixel_range == (4, 5)
    with pytest.raises(ValidationError, match="smaller one first"):
        Data(source="folder:x", pixel_range=limits)
