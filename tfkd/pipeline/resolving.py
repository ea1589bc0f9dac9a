"""Resolves a recipe: makes the choices that it leaves open (`auto`), once per run.

The folder of a run keeps them with the questions that they answer. Later runs of the same recipe get the same answers,
whatever was installed or can be downloaded by then.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfkd.data import Dataset
from tfkd.files import fingerprint, read_sealed, write_sealed
from tfkd.pipeline.choices import CHOICES
from tfkd.pipeline.choices.base import ChoiceKind, ChosenValue, Question
from tfkd.pipeline.folders import RunFolder
from tfkd.progress import Say
from tfkd.recipe import Recipe, files


@dataclass(frozen=True)
class Choice:
    """The value that a field got.

    Attributes:
        field: its dotted path.
        answer: the value, and why.
        is_kept: whether an earlier run made the choice.
    """

    field: str
    answer: ChosenValue
    is_kept: bool = False

    def __str__(self) -> str:
        kept = f", as chosen before; set {self.field} to choose otherwise" if self.is_kept else ""
        return f"{self.field}: {self.answer.summary}{kept}. {self.answer.why}"


@dataclass(frozen=True)
class ResolvedRecipe:
    """A recipe without `auto`, and the choices that it got."""

    recipe: Recipe
    choices: tuple[Choice, ...] = ()


class ChoiceRecord:
    """The answers that the folder of a run keeps.

    Args:
        path: of the file.
        say: receives a line if the file is damaged.
    """

    def __init__(self, path: Path, say: Say) -> None:
        self._path = path
        self._answers: dict[str, Any] = read_sealed(path) or {}
        self._is_changed = False
        if path.exists() and not self._answers:
            say(f"{path.name} is damaged; its choices are made again")

    def get(self, kind: ChoiceKind, question: Question) -> ChosenValue | None:
        """Returns the answer to a question, or None."""
        found = self._answers.get(_key(kind, question))
        return ChosenValue(**found["answer"]) if found else None

    def put(self, kind: ChoiceKind, question: Question, answer: ChosenValue) -> None:
        """Adds the answer to a question."""
        self._answers[_key(kind, question)] = {**asdict(question), "answer": asdict(answer)}
        self._is_changed = True

    def write(self) -> None:
        """Writes the answers if there are new ones."""
        if self._is_changed:
            write_sealed(self._path, self._answers)


def resolve(
    recipe: Recipe, data: Dataset, folder: RunFolder, say: Say, keep: bool = False, fresh: bool = False
) -> ResolvedRecipe:
    """Returns a recipe with a value for every field that says `auto`.

    Args:
        recipe: the recipe.
        data: its images.
        folder: of the run, whose earlier choices are taken.
        say: receives a line if their file is damaged.
        keep: store new choices; the folder must be locked.
        fresh: make all choices again.

    Raises:
        RequestError: a choice cannot be made.
    """
    record, choices = ChoiceRecord(folder.choices, say), list[Choice]()
    for kind in CHOICES.values():
        for question in kind.questions(recipe, data):
            earlier = None if fresh else record.get(kind, question)
            answer = earlier or kind.answer(recipe, data, question, folder.path.parent)
            if earlier is None:
                record.put(kind, question, answer)
            recipe = _with(recipe, question.field, answer.value)
            choices.append(Choice(question.field, answer, earlier is not None))
    if keep:
        record.write()
    return ResolvedRecipe(recipe, tuple(choices))


def _key(kind: ChoiceKind, question: Question) -> str:
    (name,) = (name for name, each in CHOICES.items() if each is kind)
    return fingerprint(name, kind.version, question.about)


def _with(recipe: Recipe, field: str, value: Any) -> Recipe:
    """Returns a recipe with another value of a field."""
    values = files.values_of(recipe)
    *path, last = field.split(".")
    target: Any = values
    for part in path:
        target = target[int(part) if part.isdigit() else part]
    target[last] = value
    return files.parse(values, field)
