"""Defaults of a recipe that depend on the kind of its data."""

from tfkd.recipe.recipe import Recipe
from tfkd.recipe.tables import with_table_defaults
from tfkd.recipe.texts import with_text_defaults

_DEFAULTS = {"text": with_text_defaults, "table": with_table_defaults}


def with_kind_defaults(recipe: Recipe) -> Recipe:
    """Returns a recipe with the defaults of its kind of data; one of images is unchanged."""
    complete = _DEFAULTS.get(recipe.data.kind)
    return complete(recipe) if complete else recipe
