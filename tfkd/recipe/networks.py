"""The networks that a recipe trains beside its teachers, and their seeds."""

from tfkd.recipe.recipe import Recipe
from tfkd.recipe.student import Student


def chain(recipe: Recipe) -> list[Student]:
    """Returns the networks between the teachers and the student, in order: assistants, then earlier generations."""
    return [*recipe.distill.assistants, *[recipe.student] * (recipe.distill.generations - 1)]


def seeds(recipe: Recipe) -> list[int]:
    """Returns the seeds of the students, and of their controls."""
    return [recipe.seed + repeat for repeat in range(recipe.distill.repeats)]
