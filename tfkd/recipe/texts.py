"""What a recipe of texts leaves to its teachers and its data."""

from tfkd.recipe.base import default_of
from tfkd.recipe.export import Export
from tfkd.recipe.of_export import default_files
from tfkd.recipe.recipe import Recipe

NOT_OF_TEXTS = frozenset({"mlmodel"})  # default files that texts cannot have: an .mlmodel holds ids as floats


def with_text_defaults(recipe: Recipe) -> Recipe:
    """Returns a recipe with the defaults that depend on other blocks; one of other data is unchanged.

    A teacher's texts are as long as the student's, and the student's vocabulary is that of the first teacher with one,
    as far as the training texts use it. The bundle is described as a classifier of texts, and of the files that are
    written by default those that texts cannot have are left out.
    """
    if recipe.data.kind != "text":
        return recipe
    vocabularies = (teacher.own_vocabulary for teacher in recipe.teachers)
    vocabulary = recipe.data.vocabulary or next(filter(None, vocabularies), None)
    teachers = [
        teacher if teacher.tokens or teacher.predictions else teacher.model_copy(update={"tokens": recipe.data.tokens})
        for teacher in recipe.teachers
    ]
    data = recipe.data.model_copy(update={"vocabulary": vocabulary})
    export = recipe.export.model_copy(update=_description(recipe) | _files(recipe))
    return recipe.model_copy(update={"teachers": teachers, "data": data, "export": export})


def _description(recipe: Recipe) -> dict[str, str]:
    usual = default_of(Export, "description")
    return {"description": usual.replace("Image", "Text")} if recipe.export.description == usual else {}


def _files(recipe: Recipe) -> dict[str, list[str]]:
    """Returns the default files without those that texts, and int8 that networks with attention, cannot have."""
    impossible = NOT_OF_TEXTS | ({"int8"} if recipe.student.model == "text_transformer" else set())
    return {
        field: forms
        for field, forms in default_files(impossible).items()
        if getattr(recipe.export, field) == default_of(Export, field)
    }
