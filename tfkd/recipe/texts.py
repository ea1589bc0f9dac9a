"""What a recipe of texts leaves to its teachers and its data."""

from tfkd.recipe.recipe import Recipe


def with_text_defaults(recipe: Recipe) -> Recipe:
    """Returns a recipe with the defaults that depend on other blocks; one of other data is unchanged.

    A teacher's texts are as long as the student's, and the student's vocabulary is that of the first teacher with one,
    as far as the training texts use it.
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
    return recipe.model_copy(update={"teachers": teachers, "data": data})
