"""The settings that `distill="auto"` chooses, and what a recipe sets instead."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tfkd.errors import RequestError
from tfkd.pipeline.choices.distill import Situation, completed
from tfkd.recipe import Data, Dist, Distill, Finish, Recipe, SoftTargets, Teacher, Training, files, shrunk

FEW = Situation(labelled=200, unlabelled=0, is_trained=True)
UNLABELLED = Situation(labelled=100, unlabelled=2_968, is_trained=True)


def recipe(**fields: Any) -> Recipe:
    return Recipe(name="r", data=Data(source="folder:x"), teachers=[Teacher(model="resnet50")], **fields)


def chosen(found: Recipe, situation: Situation = FEW) -> Distill:
    return completed(found.distill, situation)


SITUATIONS = [
    Situation(labelled, unlabelled, trained)
    for labelled, unlabelled, trained in itertools.product((2, 40, 999, 100_000), (0, 50, 1_000_000), (False, True))
]


@pytest.mark.parametrize("situation", SITUATIONS, ids=str)
def test_every_situation_gets_settings_that_can_be_trained(situation: Situation) -> None:
    found = chosen(recipe(), situation)
    assert not found.auto and len(found.reasons) == 4 + bool(situation.unlabelled)
    assert Distill.model_validate(found.model_dump(mode="json")) == found
    assert found.training.epochs * situation.images >= min(12_000, 60 * situation.images)
    assert 0.9 <= (found.training.average or 0) < 1
    assert found.losses[0].temperature == "auto"
    assert (found.finish is None) == (situation.unlabelled == 0)
    assert not found.assistants and found.label_head is None


def test_two_hundred_photos_take_minutes() -> None:
    found = chosen(recipe())
    assert 10_000 <= 200 * found.training.epochs <= 15_000  # at 40 images per second and core
    assert (found.targets, found.views) == ("view", 20)  # 4,000 predictions of the teacher


def test_it_is_the_default_and_has_a_name(tmp_path: Path) -> None:
    assert recipe().distill == recipe(distill="auto").distill == Distill(auto=True)
    assert not recipe(distill=Distill()).distill.auto
    values = {"name": "r", "data": {"source": "folder:x"}, "teachers": [{"model": "resnet50"}]}
    for own in ({}, {"distill": "auto"}):
        (tmp_path / "recipe.json").write_text(json.dumps({**values, **own}))
        assert files.load(tmp_path / "recipe.json").distill == Distill(auto=True)
        read = files.load(tmp_path / "recipe.json", ["distill.views=4"]).distill
        assert (read.auto, read.views) == (True, 4)
    assert recipe(distill=Distill(views=2)).with_("distill=auto").distill == Distill(auto=True)
    assert '"auto"' in json.dumps(Recipe.model_json_schema()["properties"]["distill"])
    with pytest.raises(RequestError, match="distill = 'automatic'"):
        recipe(distill="automatic")


@pytest.mark.parametrize(
    ("override", "field", "value"),
    [
        ("distill.views=4", ("views",), 4),
        ("distill.training.average=null", ("training", "average"), None),
        ("distill.losses.temperature=2", ("losses", 0, "temperature"), 2.0),
        ("distill.losses.0.temperature=2", ("losses", 0, "temperature"), 2.0),
        ("distill.repeats=3", ("repeats",), 3),
        ("distill.finish=null", ("finish",), None),
        ("distill.finish.epochs=9", ("finish", "epochs"), 9),
    ],
)
def test_what_is_set_stays_and_the_rest_is_chosen(override: str, field: tuple[Any, ...], value: Any) -> None:
    changed = recipe().with_(override)
    stored = Recipe.model_validate(json.loads(json.dumps(changed.model_dump(mode="json"))))
    assert stored == changed
    expected = chosen(recipe(), UNLABELLED).model_dump(mode="json")
    part: Any = expected
    for step in field[:-1]:
        part = part[step]
    part[field[-1]] = value
    found = chosen(stored, UNLABELLED).model_dump(mode="json")
    assert {**found, "reasons": []} == {**expected, "reasons": []}


def test_only_what_was_chosen_has_a_reason() -> None:
    own = Distill(auto=True, views=3, losses=[Dist()], finish=Finish(epochs=2))
    reasons = " ".join(chosen(recipe(distill=own), UNLABELLED).reasons)
    assert not any(text in reasons for text in ("stored views", "soft targets", "labels alone"))
    assert "5 epochs" in reasons and "5 epochs" not in " ".join(
        chosen(recipe().with_("distill.training.epochs=3"), UNLABELLED).reasons
    )


def test_what_is_chosen_fits_what_is_set() -> None:
    short = chosen(recipe().with_("distill.training.epochs=3", "distill.training.batch_size=8")).training
    assert (short.epochs, short.warmup_epochs, short.learning_rate) == (3, pytest.approx(0.3), 2.5e-4)
    assert (short.average or 0) < (chosen(recipe()).training.average or 0)
    assert chosen(recipe().with_("distill.targets=image")).views == 8
    longer = chosen(recipe().with_("distill.training.epochs=100"))
    assert longer.views == 25  # no view is shown more than four times


@pytest.mark.parametrize(
    ("situation", "epochs", "views"),
    [
        (UNLABELLED, 5, 5),
        (Situation(3_000, 0, is_trained=False), 34, 9),
        (Situation(50_000, 0, is_trained=True), 5, 2),
        (Situation(50_000, 0, is_trained=False), 20, 5),
        (Situation(200, 0, is_trained=True, has_views=False), 60, 1),
    ],
)
def test_views_are_repeated_little_where_that_is_cheap(situation: Situation, epochs: int, views: int) -> None:
    found = chosen(recipe(), situation)
    assert (found.training.epochs, found.views) == (epochs, views)
    assert found.targets == ("view" if situation.has_views else "image")


def test_a_teacher_of_predictions_leaves_the_targets_to_the_run(tmp_path: Path) -> None:
    teacher = {"name": "r", "data": Data(source="folder:x"), "teachers": [Teacher(predictions="teacher.csv")]}
    assert Recipe(**teacher).distill.auto
    with pytest.raises(RequestError, match="has one prediction per example"):
        Recipe(**teacher).with_("distill.targets=view")


def test_other_losses_replace_the_chosen_one() -> None:
    own = Distill(auto=True, losses=[SoftTargets(temperature=3.0), SoftTargets(weight=0.2)])
    found = chosen(recipe(distill=own))
    assert found.losses == [SoftTargets(temperature=3.0), SoftTargets(weight=0.2)]
    assert chosen(recipe().with_('distill.losses=[{"kind": "dist"}]')).losses[0].kind == "dist"


def test_a_smoke_test_keeps_the_choice_open_but_for_its_length() -> None:
    small = shrunk(recipe()).distill
    assert small.auto and (small.views, small.training) == (1, Training(epochs=1))
    training = chosen(shrunk(recipe())).training
    assert training.warmup_epochs < 1 and training.learning_rate == chosen(recipe()).training.learning_rate
