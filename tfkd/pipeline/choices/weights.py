"""The initial weights of student and assistants: those of ImageNet where they can be had, otherwise random ones."""

from collections.abc import Iterator

from tfkd import machine
from tfkd.data import Dataset
from tfkd.errors import RequestError
from tfkd.files import sha256
from tfkd.models import imagenet_file, is_downloaded
from tfkd.pipeline.choices.base import ChoiceKind, ChosenValue, Question
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import AUTO, RANDOM, Recipe, Student, imagenet_of


def _networks(recipe: Recipe) -> Iterator[tuple[str, Student]]:
    """Yields the path and the block of every network that a recipe trains, except its teachers."""
    yield "student", recipe.student
    for number, assistant in enumerate(recipe.distill.assistants):
        yield f"distill.assistants.{number}", assistant


def _questions(recipe: Recipe, data: Dataset) -> list[Question]:
    return [
        Question(f"{path}.weights", {"model": each.model, "width": each.width, "activation": each.activation})
        for path, each in _networks(recipe)
        if each.weights == AUTO
    ]


def _answer(recipe: Recipe, data: Dataset, question: Question) -> ChosenValue:
    student = Student(**question.about)
    try:
        if is_downloaded(student):
            _start_tensorflow(recipe.seed)
        path = imagenet_file(student)
    except RequestError as error:
        return ChosenValue(RANDOM, f"{RANDOM} (random weights)", str(error))
    return ChosenValue(imagenet_of(sha256(path)), "imagenet", f"The file is {path.name}.")


def _start_tensorflow(seed: int) -> None:
    """Sets the number of threads before a download uses TensorFlow; it cannot be set afterwards."""
    with native_logs_silenced():
        from tfkd.training import loop
    loop.prepare_tensorflow(machine.cores(), seed)


WEIGHTS = ChoiceKind(version=1, questions=_questions, answer=_answer)
