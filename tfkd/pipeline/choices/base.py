"""The record of a kind of choice; each has one, in its own file under `tfkd.pipeline.choices`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkd.data import Dataset
from tfkd.recipe import Recipe


@dataclass(frozen=True)
class Question:
    """A field of a recipe that says `auto`.

    Attributes:
        field: its dotted path, such as "student.weights".
        about: what the answer depends on, as JSON; a run keeps its answer to the same question.
    """

    field: str
    about: Mapping[str, Any]


@dataclass(frozen=True)
class ChosenValue:
    """What a field gets.

    Attributes:
        value: its value, as JSON.
        summary: the value in a few words.
        why: the reason, one sentence.
    """

    value: Any
    summary: str
    why: str


@dataclass(frozen=True)
class ChoiceKind:
    """One kind of choice.

    Attributes:
        version: increase it when the same question gets other answers; earlier answers are not kept then.
        questions: returns the fields of a recipe that it decides.
        answer: decides one of them; called with (recipe, images, question, folder of the runs).
    """

    version: int
    questions: Callable[[Recipe, Dataset], Sequence[Question]]
    answer: Callable[[Recipe, Dataset, Question, Path], ChosenValue]
