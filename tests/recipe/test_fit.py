"""The block `fit` of a recipe."""

import math

import pytest

from tfkd.errors import RequestError
from tfkd.recipe import Data, Fit, Recipe, Teacher, files, renamed

PLAIN = Recipe(name="r", data=Data(source="folder:x"), teachers=[Teacher(model="a:b")])


@pytest.mark.parametrize("limit", ["max_ms", "max_kb", "max_mb", "max_instructions", "hours"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "fast"])
def test_a_limit_is_a_finite_number_above_zero(limit: str, value: object) -> None:
    with pytest.raises(RequestError, match=f"Fit: {limit} = "):
        Fit(**{limit: value})


@pytest.mark.parametrize(
    "fields",
    [
        {"min_relative_accuracy": 95},
        {"min_relative_accuracy": math.nan},
        {"widths": [0.5, 0.5]},
        {"widths": []},
        {"widths": [math.nan]},
        {"sizes": [16]},
        {"activations": ["gelu"]},
        {"ships": "int4"},
        {"keep": 1.0},
        {"finalists": 0},
    ],
)
def test_other_wrong_values_are_named(fields: dict[str, object]) -> None:
    with pytest.raises(RequestError, match=f"Fit: {next(iter(fields))}"):
        Fit(**fields)


def test_limits_are_those_that_are_set() -> None:
    assert Fit(max_kb=900, max_ms=2).limits == {"max_ms": 2.0, "max_kb": 900.0}


def test_an_override_creates_the_block_and_reads_lists() -> None:
    changed = PLAIN.with_("fit.max_ms=2", "fit.sizes=64,96", "fit.widths=[0.5]")
    assert changed.fit == Fit(max_ms=2, sizes=[64, 96], widths=[0.5])
    with pytest.raises(RequestError, match=r"Did you mean 'max_ms'"):
        PLAIN.with_("fit.max_msec=2")


def test_a_recipe_with_the_block_is_read_back_and_changes_no_file() -> None:
    fitted = PLAIN.with_("fit.max_ms=2")
    assert files.parse(fitted.model_dump(mode="json"), "here") == fitted
    plain = renamed.first_named(PLAIN.model_dump(mode="json"))
    assert "fit" not in plain
    from tfkd.writers import card_of

    cards = [card_of(recipe.model_dump(mode="json"), ["a", "b"], "0") for recipe in (PLAIN, fitted)]
    assert cards[0] == cards[1]
