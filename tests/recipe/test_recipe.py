"""The shipped recipes."""

from pathlib import Path

import pytest

from tfkd.errors import RequestError
from tfkd.recipe import Augment, Data, Distill, Hint, Recipe, Teacher, shrunk
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distill": Distill(losses=[Hint()])}, "no feature 'pooled' of examples outside of its domain 'xray/"),
        ({"distill": Distill(features=["pooled"])}, "use losses on logits and no distill.features"),
        ({"data": Data(source="folder:photos", augment=Augment(mix="cutmix"))}, "set distill.targets=image or"),
    ],
)
def test_what_a_teacher_with_a_domain_cannot_do_is_refused(changes: dict[str, object], message: str) -> None:
    values = {"data": Data(source="folder:photos"), "teachers": [Teacher(model="a:b", domain="xray/*")], **changes}
    with pytest.raises(RequestError, match=message):
        Recipe(name="r", **values)


def test_a_smoke_run_has_no_domains() -> None:
    recipe = Recipe(name="r", data=Data(source="folder:photos"), teachers=[Teacher(model="a:b", domain="xray/*")])
    assert shrunk(recipe).teachers[0].domain is None
