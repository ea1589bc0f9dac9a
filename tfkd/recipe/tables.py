"""What a recipe of tables leaves to its data."""

from tfkd.recipe.base import default_of
from tfkd.recipe.export import Export
from tfkd.recipe.gates import Gates
from tfkd.recipe.of_export import default_files
from tfkd.recipe.recipe import Recipe

# Forms that trees cannot have: rounded thresholds would be other rules, and an ML program holds no trees.
NOT_OF_TABLES = frozenset({"fp16", "dynamic", "int8", "mlpackage"})


def with_table_defaults(recipe: Recipe) -> Recipe:
    """Returns a recipe of tables with the defaults that depend on them.

    The bundle is described as a classifier of tables, of the files that are written by default those that trees cannot
    have are left out, and the gate one_partition is off: XNNPACK has no look-up.
    """
    usual = default_of(Export, "description")
    described = {"description": usual.replace("Image", "Table")} if recipe.export.description == usual else {}
    files = {
        field: forms
        for field, forms in default_files(NOT_OF_TABLES).items()
        if getattr(recipe.export, field) == default_of(Export, field)
    }
    off = {"one_partition": False} if recipe.gates.one_partition == default_of(Gates, "one_partition") else {}
    return recipe.model_copy(
        update={
            "export": recipe.export.model_copy(update=described | files),
            "gates": recipe.gates.model_copy(update=off),
        }
    )
