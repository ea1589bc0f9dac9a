"""The initial weights of student and assistants.

`auto` becomes those of ImageNet where they can be had, otherwise random ones; `teacher` the first teacher's name; the
folder of a run its present student, which stays the choice for the same teachers when a later one has taken its place.
"""

from collections.abc import Iterator
from pathlib import Path

from tfkd import machine
from tfkd.data import Dataset
from tfkd.errors import RequestError
from tfkd.files import fingerprint, sha256
from tfkd.models import imagenet_file, is_downloaded
from tfkd.pipeline.choices.base import ChoiceKind, ChosenValue, Question
from tfkd.pipeline.contents import files_of
from tfkd.pipeline.earlier_students import is_of_run, student_of
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import AUTO, OF_TEACHER, RANDOM, Recipe, Student, Teacher, imagenet_of


def _networks(recipe: Recipe) -> Iterator[tuple[str, Student]]:
    """Yields the path and the block of every network that a recipe trains, except its teachers."""
    yield "student", recipe.student
    for number, assistant in enumerate(recipe.distill.assistants):
        yield f"distill.assistants.{number}", assistant


def _questions(recipe: Recipe, data: Dataset) -> list[Question]:
    found = []
    for path, each in _networks(recipe):
        if each.weights == AUTO:
            about = {"model": each.model, "width": each.width, "activation": each.activation}
            found.append(Question(f"{path}.weights", about))
        elif each.weights == OF_TEACHER:
            found.append(Question(f"{path}.weights", {"weights": OF_TEACHER, "teacher": recipe.teachers[0].name}))
        elif is_of_run(each.weights):
            of_run = {"weights": each.weights, "model": each.model, "width": each.width}
            found.append(Question(f"{path}.weights", {**of_run, "taught by": _teachers(recipe, data)}))
    return found


def _teachers(recipe: Recipe, data: Dataset) -> str:
    """Returns a fingerprint of the teachers, their files and the labelled examples."""
    return fingerprint([[each.model_dump(mode="json"), files_of(each)] for each in recipe.teachers], data.labelled)


def _answer(recipe: Recipe, data: Dataset, question: Question, runs: Path) -> ChosenValue:
    if "teacher" in question.about:
        return _of_teacher(recipe.teachers[0], question.field)
    if "taught by" in question.about:
        (student,) = (each for path, each in _networks(recipe) if f"{path}.weights" == question.field)
        file = str(student_of(Path(student.weights), runs, student, data.classes))
        return ChosenValue(file, file, f"It is the present student of {student.weights}.")
    student = Student(**question.about)
    try:
        if is_downloaded(student):
            _start_tensorflow(recipe.seed)
        path = imagenet_file(student)
    except RequestError as error:
        return ChosenValue(RANDOM, f"{RANDOM} (random weights)", str(error))
    return ChosenValue(imagenet_of(sha256(path)), "imagenet", f"The file is {path.name}.")


def _of_teacher(teacher: Teacher, field: str) -> ChosenValue:
    if not teacher.is_bert:
        raise RequestError(
            f"{field}={OF_TEACHER} copies the word vectors of the first teacher, and {teacher.name} is no BERT model; "
            f"use {RANDOM}, or the folder of one with data.vocabulary=the same."
        )
    return ChosenValue(teacher.model, teacher.model, "The word vectors of the first teacher are copied.")


def _start_tensorflow(seed: int) -> None:
    """Sets the number of threads before a download uses TensorFlow; it cannot be set afterwards."""
    with native_logs_silenced():
        from tfkd.training import loop
    loop.prepare_tensorflow(machine.cores(), seed)


WEIGHTS = ChoiceKind(version=1, questions=_questions, answer=_answer)
