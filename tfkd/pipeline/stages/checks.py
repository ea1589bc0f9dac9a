"""What is refused before hours are spent on a teacher; no result depends on it."""

from collections.abc import Sequence

from tfkd.errors import RequestError
from tfkd.progress import Progress
from tfkd.recipe import Gates, Recipe
from tfkd.recipe.networks import chain
from tfkd.writers import Card


def check_networks(recipe: Recipe, number: int, classes: Sequence[str], card: Card, progress: Progress) -> None:
    """Builds what is to be trained and converts the user's own networks, before hours are spent on a teacher.

    Args:
        recipe: names the networks.
        number: of the teacher that is trained next.
        classes: their names, in order.
        card: what every exported file says of itself.
        progress: gets a warning where the teacher cannot be converted.

    Raises:
        RequestError: a network cannot be built, the student cannot be converted, or the teacher cannot and a gate needs
            its file.
    """
    from tfkd.models import STUDENTS, TEACHERS, build_student, build_teacher
    from tfkd.training import student
    from tfkd.writers.tflite import check_convertible

    student.check([*chain(recipe), recipe.student], recipe, len(classes))
    teacher, seed = recipe.teachers[number], recipe.seed
    if teacher.model not in TEACHERS:
        try:
            check_convertible(build_teacher(teacher, len(classes), seed, classes), card, teacher.model)
        except RequestError as error:
            progress.say(f"  warning: {teacher_is_left_out(error, recipe.gates)}")
    if recipe.student.model not in STUDENTS:
        built = build_student(recipe.student, recipe.data.image_size, len(classes), seed)
        check_convertible(built, card, recipe.student.model)


def teacher_is_left_out(error: RequestError, gates: Gates) -> str:
    """Returns what a run says of a teacher that cannot be converted, and which goes on without its file.

    Raises:
        RequestError: a gate compares files with the teacher's.
    """
    for name in ("min_size_ratio", "min_speed_ratio"):
        if getattr(gates, name) is not None:
            raise RequestError(f"{error} gates.{name} compares with its file; set that gate to None.") from error
    return f"{error} The run goes on; the comparison then has no row of the teacher."
