"""Checks before an expensive training of a teacher; no result depends on them."""

from tfkd.data import Dataset
from tfkd.errors import RequestError
from tfkd.progress import Progress
from tfkd.recipe import Gates, Recipe
from tfkd.recipe.networks import chain
from tfkd.writers import Card


def check_networks(recipe: Recipe, number: int, data: Dataset, card: Card, progress: Progress) -> None:
    """Builds the networks of a recipe and converts the user's own, before a teacher is trained.

    Args:
        recipe: the recipe.
        number: number of the teacher that is trained next.
        data: the examples.
        card: metadata of exported files.
        progress: receives a warning if the teacher cannot be converted.

    Raises:
        RequestError: a network cannot be built, the student cannot be converted, or the teacher cannot and a gate needs
            its file.
    """
    from tfkd.models import STUDENTS, TEACHERS, build_student, build_teacher
    from tfkd.teachers import kind_of
    from tfkd.training import student
    from tfkd.writers.tflite import check_convertible

    classes, signature = data.classes, data.reading.signature(recipe.data)
    student.check([*chain(recipe), recipe.student], recipe, signature, len(classes))
    teacher, seed = recipe.teachers[number], recipe.seed
    if teacher.model not in TEACHERS and not teacher.is_bert:
        kind = kind_of(teacher, len(classes))
        try:
            if kind.is_network:
                check_convertible(
                    build_teacher(teacher, len(classes), seed, classes, data.columns), card, teacher.model
                )
            elif kind.without_file:
                raise RequestError(kind.without_file)
        except RequestError as error:
            progress.say(f"  warning: {teacher_is_left_out(error, recipe.gates)}")
    if recipe.student.model not in STUDENTS:
        built = build_student(recipe.student, signature, len(classes), seed)
        check_convertible(built, card, recipe.student.model)


def teacher_is_left_out(error: RequestError, gates: Gates) -> str:
    """Returns the warning about a teacher that cannot be converted.

    Raises:
        RequestError: a gate compares files with the teacher's.
    """
    for name in ("min_size_ratio", "min_speed_ratio"):
        if getattr(gates, name) is not None:
            raise RequestError(f"{error} gates.{name} needs its file; set gates.{name} to None.") from error
    return f"{error} The run continues; the comparison has the teacher's accuracy, but no size and latency."
