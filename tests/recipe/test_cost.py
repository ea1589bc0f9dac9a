"""The prices of a recipe, which change no result."""

import pytest

from tfkd.errors import RequestError
from tfkd.recipe import Cost, Data, Recipe, Teacher, renamed
from tfkd.writers import card_of

RECIPE = Recipe(name="r", data=Data(source="folder:x"), teachers=[Teacher(model="a:b")])
PRICED = RECIPE.with_("cost.per_hour=2.5", "cost.queries_per_day=1000", "cost.currency=EUR")


def test_prices_are_in_no_fingerprint() -> None:
    plain, priced = (recipe.model_dump(mode="json") for recipe in (RECIPE, PRICED))
    assert priced["cost"] == {"per_hour": 2.5, "currency": "EUR", "queries_per_day": 1000}
    assert renamed.first_named(plain) == renamed.first_named(priced)
    assert "cost" not in renamed.first_named(priced)
    assert card_of(plain, ["a", "b"], "0") == card_of(priced, ["a", "b"], "0")


@pytest.mark.parametrize(
    "override",
    ["per_hour=0", "per_hour=-1", "per_hour=NaN", "per_hour=1e13", "currency=dollars", "queries_per_day=0"],
)
def test_a_wrong_price_is_one_line_that_names_the_field(override: str) -> None:
    field = override.partition("=")[0]
    with pytest.raises(RequestError, match=rf"cost\.{field}"):
        RECIPE.with_(f"cost.{override}")
    assert Cost().per_hour is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_of_recipes_are_finite(value: float) -> None:
    for override in ("cost.per_hour", "gates.max_accuracy_drop", "fit.max_ms"):
        with pytest.raises(RequestError, match="should be a finite number"):
            RECIPE.with_(f"{override}={value}")
