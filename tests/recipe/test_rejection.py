"""Settings of export.reject, export.temperature and data.outside."""

from typing import Any

import pytest

from tfkd.errors import RequestError
from tfkd.recipe import Data, Recipe, Reject, Teacher, shrunk
from tfkd.recipe.renamed import first_named


def recipe(**data: Any) -> Recipe:
    return Recipe(name="r", data=Data(source="folder:x", **data), teachers=[Teacher(model="a:b")])


@pytest.mark.parametrize("promises", [{}, {"max_error": 0.1, "coverage": 0.9}])
def test_a_rejection_has_one_promise(promises: dict[str, float]) -> None:
    with pytest.raises(RequestError, match="set exactly one of max_error and coverage"):
        Reject(**promises)


def test_a_promise_is_set_by_its_path() -> None:
    assert recipe().with_("export.reject.max_error=0.02").export.reject == Reject(max_error=0.02)
    with pytest.raises(RequestError, match="max_error"):
        recipe().with_("export.reject.max_error=0")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["gates.max_error_when_confident=0.02"], "set export.reject.max_error"),
        (["gates.max_outside_accepted=0.02"], "set export.reject.max_error"),
        (["gates.max_outside_accepted=0.02", "export.reject.coverage=0.9"], "set data.outside=folder:PATH"),
        (["data.outside=folder:y"], "data.outside measures how many strangers get a label"),
        (["gates.min_recall.cat=0.9", "export.reject.coverage=0.9"], "gates.min_recall promises them by thresholds"),
        (
            ['compress=[{"kind": "qat"}]', "export.temperature=auto"],
            "compress=qat has quantized; leave one of them out",
        ),
        (["data.folds=5", "export.temperature=auto"], "export.temperature needs validation examples"),
        (["data.folds=5", "export.reject.coverage=0.9"], "export.reject needs validation examples"),
    ],
)
def test_settings_that_exclude_each_other_get_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(RequestError, match=message) as found:
        recipe().with_(*overrides)
    assert "\n" not in str(found.value)


def test_a_smoke_run_keeps_the_promise_and_opens_no_strangers() -> None:
    strangers = ("data.outside=folder:y", "gates.max_outside_accepted=0.1")
    whole = recipe().with_("export.reject.coverage=0.9", *strangers)
    small = shrunk(whole)
    assert small.export.reject == Reject(coverage=0.9)
    assert (small.data.outside, small.gates.max_outside_accepted) == (None, None)


def test_fingerprints_of_earlier_recipes_stay() -> None:
    named = first_named(recipe().model_dump(mode="json"))
    assert not {"reject", "temperature"} & named["export"].keys() and "outside" not in named["data"]
