"""The work that a recipe states, and the recipes that are refused."""

from typing import Any

import pytest

from tfkd.errors import RequestError
from tfkd.pipeline.scale.workload import TeacherWork, not_counted, require_countable, workload_of
from tfkd.recipe import Recipe

BASE = {"name": "r", "data": {"source": "folder:x"}, "distill": {"views": 3, "training": {"epochs": 7}}}


def recipe(teachers: list[dict[str, Any]], **changes: Any) -> Recipe:
    return Recipe.model_validate({**BASE, "teachers": teachers, **changes})


def test_the_work_is_that_of_the_recipe() -> None:
    tuned = {"model": "resnet50", "fine_tune": {"epochs": 4}}
    fresh = {"model": "resnet20", "weights": "none", "fine_tune": {"epochs": 9}}
    found = workload_of(recipe([tuned, fresh, {"model": "resnet101", "fine_tune": None}]), 100, 300)
    assert (found.examples, found.labelled, found.views, found.epochs, found.trainings) == (400, 100, 3, 7, 2)
    # Weights of ImageNet get a head on stored features first; random ones do not.
    assert found.teachers == (
        TeacherWork("resnet50", 1, 4),
        TeacherWork("resnet20", 0, 9),
        TeacherWork("resnet101", 0, 0),
    )
    repeated = recipe([tuned], distill={"repeats": 5, "control": False})
    assert workload_of(repeated, 100, 0).trainings == 5
    assert found.of_size(4000).labelled == 1000 and found.of_size(1).labelled == 1


def test_what_is_not_counted_is_named() -> None:
    teachers = [{"model": "resnet50"}]
    assert not_counted(recipe(teachers)) == ["export", "verification", "latency", "report"]
    distill = {"generations": 2, "finish": {}}
    more = not_counted(recipe(teachers, distill=distill, compress=[{"kind": "prune"}]))
    assert more[:3] == ["assistants and generations", "the last training on labels alone", "compression"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"teachers": [{"predictions": "p.csv"}], "distill": {"targets": "image"}},
            "The predictions of .* come from a file and cost nothing",
        ),
        ({"data": {"source": "folder:x", "folds": 5}}, "data.folds = 5 is not counted"),
        (
            {"data": {"source": "table:x.csv", "kind": "table"}, "student": {"model": "tree"}, "distill": {}},
            "The student tree is no network",
        ),
    ],
)
def test_a_recipe_that_is_not_counted(changes: dict[str, Any], message: str) -> None:
    values = {"teachers": [{"model": "resnet50", "weights": "none"}], **changes}
    with pytest.raises(RequestError, match=message):
        require_countable(recipe(values.pop("teachers"), **values))
