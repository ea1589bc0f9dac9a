"""Distillation: its defaults, and losses without any weight."""

import pytest

from tfkd.errors import RequestError
from tfkd.recipe import Data, Distill, Recipe, SoftTargets, Teacher
from tfkd.recipe.files import parse


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
    recipe = Recipe(name="r", data=Data(source="folder:x"), teachers=[Teacher(model="resnet50")], distill=Distill())
    assert recipe.distill == Distill(losses=[SoftTargets(temperature=4.0, weight=0.7)], label_weight=0.3)
    assert recipe.distill.control
