"""The candidates of a fit, as recipes: every family with every width, and size and activation or number of layers."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tfkd.errors import RequestError, counted, nearest, some
from tfkd.models import STUDENTS, require_kind
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.fold_runs import require_no_folds
from tfkd.pipeline.resolving import resolve
from tfkd.recipe import AUTO, OF_TEACHER, RANDOM, Fit, Recipe, Student
from tfkd.recipe.base import default_of
from tfkd.recipe.export import TflitePrecision
from tfkd.recipe.fit import FAMILIES, TEXT_FAMILIES

MOST = 500  # candidates of one fit
STEP, SMALLEST = 16, 32  # of the default input size


@dataclass(frozen=True)
class Candidate:
    """One student, of images with the side of its input."""

    student: Student
    input_size: int | None

    @property
    def name(self) -> str:
        """What reports call it: "mobilenet_v2 ×0.5, 64 px, relu6" or "text_transformer ×0.5, 2 layers"."""
        name = f"{self.student.model} ×{self.student.width:g}"
        if self.input_size is not None:
            return f"{name}, {self.input_size} px, {self.student.activation}"
        return f"{name}, {counted(self.student.layers, 'layer')}" if _has_layers(self.student.model) else name

    def recipe(self, recipe: Recipe) -> Recipe:
        """Returns a recipe with this student in place of its own."""
        size = {} if self.input_size is None else {"image_size": self.input_size}
        data = recipe.data.model_copy(update=size)
        return recipe.model_copy(update={"student": self.student, "data": data, "fit": None})

    def untrained(self, context: RunContext) -> Any:
        """Builds the student for the examples of a run, with random weights or those of a BERT model."""
        from tfkd.models import build_student

        # Word vectors of a teacher are part of the network: the student's are no wider.
        plain = self.student if self.student.starts_from_bert else self.student.model_copy(update={"weights": RANDOM})
        signature = context.data.reading.signature(self.recipe(context.recipe).data)
        return build_student(plain, signature, len(context.data.classes), context.recipe.seed)


@dataclass(frozen=True)
class _KindOfCandidates:
    """What the candidates of one kind of data are.

    Attributes:
        families: that are tried by default, beside the student of the recipe.
        ships: the form that ships by default.
        unread: settings of a fit that are of other data.
        listed: returns the candidates of a recipe and settings, for families.
    """

    families: tuple[str, ...]
    ships: TflitePrecision
    unread: tuple[str, ...]
    listed: Callable[[Recipe, Fit, Sequence[str]], list[Candidate]]


def settings_of(recipe: Recipe) -> Fit:
    """Returns the settings of a recipe's fit, with the form that ships."""
    settings = recipe.fit or Fit()
    return settings.model_copy(update={"ships": _kind_of(recipe).ships if settings.ships == AUTO else settings.ships})


def candidates_of(recipe: Recipe, settings: Fit) -> list[Candidate]:
    """Returns the candidates in the order of the settings.

    Initial weights that are those of one network are left out for others.

    Raises:
        RequestError: a setting is of other data, a family is unknown, there are too many candidates, each would need a
            store of its own, or the examples are divided into folds.
    """
    require_no_folds(recipe, "fit")
    if recipe.distill.generations > 1:
        raise RequestError(
            f"distill.generations = {recipe.distill.generations}: each candidate would need its own store of soft "
            "labels; set it to 1 for tfkd fit."
        )
    kind = _kind_of(recipe)
    for name in kind.unread:
        if getattr(settings, name):
            raise RequestError(
                f"fit.{name} is not read for data of kind {recipe.data.kind!r} ({recipe.data.source}); leave it out."
            )
    families = settings.families or list(dict.fromkeys([recipe.student.model, *kind.families]))
    for name in families:
        if ":" not in name and name not in STUDENTS:
            raise RequestError(f"fit.families: there is no student {name!r}.{nearest(name, list(STUDENTS))}")
        require_kind(recipe.student.model_copy(update={"model": name}), recipe.data.kind, recipe.data.source)
    found = kind.listed(recipe, settings, families)
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


def _of_images(recipe: Recipe, settings: Fit, families: Sequence[str]) -> list[Candidate]:
    sizes = settings.sizes or _default_sizes(recipe.data.image_size)
    activations = settings.activations or [recipe.student.activation]
    return [
        Candidate(_image_student(recipe.student, model, width, activation), size)
        for model, width, size, activation in itertools.product(families, settings.widths, sizes, activations)
    ]


def _of_texts(recipe: Recipe, settings: Fit, families: Sequence[str]) -> list[Candidate]:
    own = [recipe.student.layers]
    return [
        Candidate(_text_student(recipe.student, model, width, layers), None)
        for model in families
        for width, layers in itertools.product(settings.widths, (settings.layers or own) if _has_layers(model) else own)
    ]


def _image_student(student: Student, model: str, width: float, activation: str) -> Student:
    same = (model, width, activation) == (student.model, student.width, student.activation)
    weights = student.weights if same or student.weights == AUTO else RANDOM
    update = {"model": model, "width": width, "activation": activation, "weights": weights}
    return Student.model_validate(student.model_dump() | update)


def _text_student(student: Student, model: str, width: float, layers: int) -> Student:
    """Returns a student; word vectors of a teacher are for every one, its layers and a file of weights are not."""
    same = (model, width, layers) == (student.model, student.width, student.layers)
    of_all = student.is_random or student.weights == OF_TEACHER or student.starts_from_bert
    update: dict[str, Any] = {"model": model, "width": width, "weights": student.weights if same or of_all else RANDOM}
    if _has_layers(model):
        vectors_alone: list[int] | None = None if update["weights"] in (AUTO, RANDOM) else []
        update |= {"layers": layers, "teacher_layers": student.teacher_layers if same else vectors_alone}
    else:
        update |= {name: default_of(Student, name) for name in ("layers", "heads", "teacher_layers")}
    return Student.model_validate(student.model_dump() | update)


def _has_layers(model: str) -> bool:
    return model in STUDENTS and "layers" in STUDENTS[model].options


def _kind_of(recipe: Recipe) -> _KindOfCandidates:
    if recipe.data.kind not in _KINDS:
        raise RequestError(
            f"tfkd fit has no candidates for data of kind {recipe.data.kind!r}; compare settings with "
            "`tfkd sweep RECIPE student.max_depth=4,6,8`."
        )
    return _KINDS[recipe.data.kind]


_KINDS = {
    "image": _KindOfCandidates(FAMILIES, "int8", ("layers",), _of_images),
    "text": _KindOfCandidates(TEXT_FAMILIES, "dynamic", ("sizes", "activations"), _of_texts),
}
