"""Which recipes of a run's folder have test figures."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.data.photos import fill
from tfkd.data import Dataset, open_source
from tfkd.pipeline import kept_trainings
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.uses_of_test import key_of, note, note_recipe, note_stages, uses_of_test
from tfkd.recipe import Data, Recipe, Teacher

A, B, C = "a" * 16, "b" * 16, "c" * 16


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    photos = fill(tmp_path_factory.mktemp("photos"), {"cat": 20, "dog": 20})
    return Recipe(name="uses", data=Data(source=f"folder:{photos}"), teachers=[Teacher(model="efficientnet_lite0")])


@pytest.fixture(scope="module")
def data(recipe: Recipe) -> Dataset:
    return open_source(recipe.data, seed=1)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def found(folder: RunFolder, data: Dataset) -> dict[str, list[str]]:
    return {use.what: use.recipes for use in uses_of_test(folder, data)}


def test_each_recipe_counts_once_and_a_line_cut_short_costs_itself_alone(folder: RunFolder, data: Dataset) -> None:
    assert found(folder, data) == {}
    note(folder, data, "sweep", [C, A])
    note(folder, data, "run", [B])
    note(folder, data, "sweep", [A])
    assert found(folder, data) == {"run": [B], "sweep": [A, C]}
    whole = folder.test_uses.read_bytes()
    assert whole.count(b"recipe") == 3
    folder.test_uses.write_bytes(whole[:-20])  # as a kill or a full disk leaves it
    assert found(folder, data) == {"sweep": [A, C]}
    note(folder, data, "run", [B])
    assert found(folder, data) == {"run": [B], "sweep": [A, C]}
    folder.test_uses.write_bytes(b"\xff[]\n7\n{}\n" + whole)
    assert found(folder, data) == {"run": [B], "sweep": [A, C]}


def test_other_test_examples_are_another_split(folder: RunFolder, data: Dataset, recipe: Recipe) -> None:
    note(folder, data, "run", [A])
    assert found(folder, open_source(recipe.data, seed=1)) == {"run": [A]}
    assert found(folder, open_source(recipe.data, seed=2)) == {}


def test_a_recipe_is_another_one_where_its_figures_may_differ(recipe: Recipe) -> None:
    same = ("name=other", "gates.min_accuracy=0.9", "export.license=mit", "distill.repeats=3", "bench.runs=7")
    others = ("student.width=0.5", "distill.views=3", "data.fraction=0.5", "seed=2", "export.ranges=mse")
    assert {key_of(recipe.with_(override)) for override in same} == {key_of(recipe)}
    assert len({key_of(recipe.with_(override)) for override in others} | {key_of(recipe)}) == 6


def test_stages_without_test_figures_and_parts_of_folds_note_nothing(
    folder: RunFolder, data: Dataset, recipe: Recipe
) -> None:
    note_stages(folder, data, recipe, ["soft_labels-2", "export", "report"])
    note_stages(folder.without([0]), data, recipe, ["teacher", "student"])
    assert found(folder, data) == {}
    note_stages(folder, data, recipe, ["teacher-2"])
    note_stages(folder, data, recipe.with_("student.width=0.5"), ["teacher"])
    assert [(what, len(keys)) for what, keys in found(folder, data).items()] == [("teacher", 1)]
    note_stages(folder, data, recipe, ["control", "student"], "rescue")
    assert found(folder, data)["rescue"] == [key_of(recipe)]


def test_every_training_of_a_sweep_is_noted_before_it_is_finished(
    folder: RunFolder, data: Dataset, recipe: Recipe
) -> None:
    class Kept:
        def __init__(self, views: int, is_finished: bool) -> None:
            self.job = SimpleNamespace(recipe=recipe.with_(f"distill.views={views}"))
            self.folder, self.stage, self.is_finished = Path(str(views)), self, is_finished

        def result(self) -> Any:
            return self.is_finished or None

        def mend(self, say: object, thorough: bool) -> None: ...

        def begin(self, say: object) -> None: ...

        def finish(self, result: object, seconds: float) -> None:
            assert key_of(self.job.recipe) in found(folder, data)["sweep"]
            raise KeyboardInterrupt

    trainings = [Kept(2, True), Kept(4, False), Kept(8, False)]
    result = kept_trainings.StudentResult("student", 1, 10, 0.5, 0.5, 2, 1.0)
    context = SimpleNamespace(
        folder=folder,
        data=data,
        progress=SimpleNamespace(say=lambda text: None),
        start_tensorflow=lambda: None,
        executor=SimpleNamespace(train=lambda jobs, total, progress, finished: finished(1, result)),
    )
    with pytest.raises(KeyboardInterrupt):
        kept_trainings.train(cast(Any, context), cast(Any, trainings), "sweep")
    assert found(folder, data)["sweep"] == sorted(key_of(each.job.recipe) for each in (trainings[0], trainings[2]))
    note_recipe(folder, data, recipe.with_("distill.views=8"), "run")
    assert found(folder, data)["run"][0] in found(folder, data)["sweep"], "the recipe that the sweep tried"
