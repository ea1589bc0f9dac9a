"""The work of a run that grows with the number of its examples."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tfkd.errors import RequestError
from tfkd.recipe import Recipe
from tfkd.recipe.networks import chain


@dataclass(frozen=True)
class TeacherWork:
    """The training of one teacher.

    Attributes:
        name: of the teacher.
        passes: predictions of the labelled examples for the features that its head learns on.
        epochs: passes over the labelled examples with the unfrozen network.
    """

    name: str
    passes: int
    epochs: int


@dataclass(frozen=True)
class Workload:
    """The work of a recipe.

    Attributes:
        examples: of the transfer set: labelled and unlabelled training examples.
        labelled: of these, the labelled ones.
        views: stored views per example.
        teachers: their training.
        epochs: of one training of the student.
        trainings: of students and controls.
    """

    examples: int
    labelled: int
    views: int
    teachers: tuple[TeacherWork, ...]
    epochs: int
    trainings: int

    def of_size(self, examples: int) -> "Workload":
        """Returns the same work on another number of examples, with the same fraction of labels."""
        return replace(self, examples=examples, labelled=max(1, round(self.labelled * examples / self.examples)))


def workload_of(recipe: Recipe, labelled: int, unlabelled: int) -> Workload:
    """Returns the work of a resolved recipe.

    Args:
        recipe: the recipe, without fields that a run chooses.
        labelled: number of labelled training examples.
        unlabelled: number of unlabelled ones.
    """
    teachers = []
    for teacher in recipe.teachers:
        tuning = teacher.fine_tune
        passes = int(tuning is not None and tuning.head_epochs > 0 and teacher.weights != "none")
        teachers.append(TeacherWork(teacher.name, passes, tuning.epochs if tuning else 0))
    return Workload(
        examples=labelled + unlabelled,
        labelled=labelled,
        views=recipe.distill.views,
        teachers=tuple(teachers),
        epochs=recipe.distill.training.epochs,
        trainings=recipe.distill.repeats * (1 + recipe.distill.control),
    )


def require_countable(recipe: Recipe) -> None:
    """Refuses recipes whose work does not consist of networks that learn from one store per teacher.

    Raises:
        RequestError: the student is a tree, a teacher's predictions come from a file, or there are folds.
    """
    rest = "leave out --machines and the other options of the size to see the stages of this recipe."
    if recipe.student.is_tree:
        raise RequestError(f"The student {recipe.student.model} is no network, so its time is not counted; {rest}")
    if recipe.data.folds:
        raise RequestError(f"data.folds = {recipe.data.folds} is not counted, as folds are for small data; {rest}")
    for teacher in recipe.teachers:
        if teacher.predictions:
            raise RequestError(f"The predictions of {teacher.name} come from a file and cost nothing; {rest}")


def not_counted(recipe: Recipe) -> list[str]:
    """Returns what a run of a recipe does that a workload does not count."""
    return [*_further(recipe), "export", "verification", "latency", "report"]


def _further(recipe: Recipe) -> Iterator[str]:
    if chain(recipe):
        yield "assistants and generations"
    if recipe.distill.finish:
        yield "the last training on labels alone"
    if recipe.compress:
        yield "compression"
