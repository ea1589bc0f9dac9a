"""The candidates of a fit: every family with every width, input size and activation, as recipes."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfkd.errors import RequestError, nearest, some
from tfkd.models import STUDENTS
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.fold_runs import require_no_folds
from tfkd.pipeline.resolving import resolve
from tfkd.recipe import AUTO, RANDOM, Fit, Recipe, Student
from tfkd.recipe.fit import FAMILIES

MOST = 500  # candidates of one fit
STEP, SMALLEST = 16, 32  # of the default input size


@dataclass(frozen=True)
class Candidate:
    """One student with its input size."""

    student: Student
    input_size: int

    @property
    def name(self) -> str:
        """What reports call it: "mobilenet_v2 ×0.5, 64 px, relu6"."""
        return f"{self.student.model} ×{self.student.width:g}, {self.input_size} px, {self.student.activation}"

    def recipe(self, recipe: Recipe) -> Recipe:
        """Returns a recipe with this student in place of its own."""
        data = recipe.data.model_copy(update={"image_size": self.input_size})
        return recipe.model_copy(update={"student": self.student, "data": data, "fit": None})

    def untrained(self, context: RunContext) -> Any:
        """Builds the student with random weights for the examples of a run."""
        from tfkd.models import build_student

        plain = self.student.model_copy(update={"weights": RANDOM})
        signature = context.data.reading.signature(self.recipe(context.recipe).data)
        return build_student(plain, signature, len(context.data.classes), context.recipe.seed)


def candidates_of(recipe: Recipe, settings: Fit) -> list[Candidate]:
    """Returns the candidates in the order of the settings.

    Initial weights other than "none" and "auto" are those of one network, so that they are left out for others.

    Raises:
        RequestError: the data are no images, a family is unknown, there are too many candidates, each would need a
            store of its own, or the images are divided into folds.
    """
    require_no_folds(recipe, "fit")
    if recipe.data.kind != "image":
        raise RequestError(
            f"tfkd fit compares sizes of images, and {recipe.data.source} are of kind {recipe.data.kind!r}; compare "
            "students with tfkd sweep: student.model=word_average,text_convolution."
        )
    if recipe.distill.generations > 1:
        raise RequestError(
            f"distill.generations = {recipe.distill.generations}: each candidate would need its own store of soft "
            "labels; set it to 1 for tfkd fit."
        )
    families = settings.families or list(dict.fromkeys([recipe.student.model, *FAMILIES]))
    for name in families:
        if ":" not in name and name not in STUDENTS:
            raise RequestError(f"fit.families: there is no student {name!r}.{nearest(name, list(STUDENTS))}")
    sizes = settings.sizes or _default_sizes(recipe.data.image_size)
    activations = settings.activations or [recipe.student.activation]
    found = [
        Candidate(_student(recipe.student, model, width, activation), size)
        for model, width, size, activation in itertools.product(families, settings.widths, sizes, activations)
    ]
    if len(found) > MOST:
        raise RequestError(
            f"fit lists {len(found):,} candidates, which is more than {MOST}; list fewer families, widths, sizes or "
            "activations."
        )
    return found


def resolved(context: RunContext, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Returns candidates with the run's choice of initial weights where they say "auto", and prints the choices."""
    found, same = list[Candidate](), dict[str, list[str]]()
    reasons = dict[str, str]()
    for candidate in candidates:
        recipe = candidate.recipe(context.recipe)
        choices = resolve(recipe, context.data, context.folder, context.progress.say, keep=True)
        found.append(Candidate(choices.recipe.student, candidate.input_size))
        for choice in choices.choices:
            same.setdefault(choice.answer.summary, []).append(candidate.name)
            reasons.setdefault(choice.answer.summary, choice.answer.why)
    for summary, names in same.items():
        context.progress.say(f"initial weights: {summary} for {some(names)}. {reasons[summary]}")
    return found


def _default_sizes(whole: int) -> list[int]:
    """Returns two thirds of a size, as a multiple of 16, and the size itself."""
    smaller = max(SMALLEST, round(whole * 2 / 3 / STEP) * STEP)
    return sorted({smaller, whole}) if smaller < whole else [whole]


def _student(student: Student, model: str, width: float, activation: str) -> Student:
    same = (model, width, activation) == (student.model, student.width, student.activation)
    weights = student.weights if same or student.weights == AUTO else RANDOM
    update = {"model": model, "width": width, "activation": activation, "weights": weights}
    return Student.model_validate(student.model_dump() | update)
