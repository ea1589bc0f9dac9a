"""Trainings of students, controls and assistants: what each of them is, and those of one recipe side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfkd.data import Dataset
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.filling import StoreResult, images_in_transfer_set, store_of
from tfkd.pipeline.folders import of_seed
from tfkd.pipeline.kind import StageKind
from tfkd.pipeline.sources import Sources, settings
from tfkd.pipeline.stage import Stage
from tfkd.pipeline.stages.assistant_labels import ASSISTANT_LABELS
from tfkd.pipeline.stages.soft_labels import SOFT_LABELS
from tfkd.recipe import Recipe, Student
from tfkd.recipe.networks import chain, seeds
from tfkd.training.job import Job, Kind, Lesson, Store, StudentResult

SIDE_BY_SIDE: tuple[Kind, ...] = ("control", "student")  # stages whose trainings fill the cores together


@dataclass(frozen=True)
class TrainingsResult:
    """The trainings of the student, or of its control, one per seed; none where the recipe switches the control off."""

    trainings: tuple[StudentResult, ...]

    @property
    def seconds(self) -> float:
        """Of all trainings."""
        return sum(training.seconds for training in self.trainings)

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return [training.seed for training in self.trainings]

    @property
    def accuracies(self) -> list[float]:
        """Of each seed on the test split, 0 to 1."""
        return [training.accuracy for training in self.trainings]

    @property
    def best(self) -> StudentResult:
        """The training that ships: the best on the validation split, never on the test split."""
        return max(self.trainings, key=lambda training: training.validation_accuracy)

    def of(self, seed: int) -> StudentResult | None:
        """Returns the training of a seed, or None where there was none."""
        return next((training for training in self.trainings if training.seed == seed), None)


def lesson_of(
    recipe: Recipe,
    data: Dataset,
    checked: Path,
    *,
    seed: int,
    rendering: str,
    stores: tuple[Store, ...],
    folder: Path,
) -> Lesson:
    """Returns what a network learns from.

    Args:
        recipe: which examples, losses and schedule.
        data: its examples.
        checked: folder with the outcome of checking them.
        seed: of the order of the examples.
        rendering: what the network sees of an example.
        stores: finished ones, from which it learns; a control sees as many examples as they hold.
        folder: where checkpoint and results go.
    """
    return Lesson(
        seed=seed,
        recipe=recipe,
        rendering=rendering,
        folder=folder,
        checked=checked,
        images=stores[0].header["images"],
        stores=stores,
        data=data.fingerprint,
    )


def training_job(
    recipe: Recipe,
    data: Dataset,
    checked: Path,
    *,
    kind: Kind,
    seed: int,
    network: Student,
    stores: tuple[Store, ...],
    folder: Path,
) -> Job:
    """Returns one training of `network`, with or without a teacher by its `kind`; the others as of `lesson_of`."""
    lesson = lesson_of(recipe, data, checked, seed=seed, rendering=network.rendering, stores=stores, folder=folder)
    return Job(kind=kind, student=network, **vars(lesson))


def job_in_run(context: RunContext, kind: Kind, seed: int, folder: Path, network: Student, assistants: int) -> Job:
    """Returns one training of a network behind so many assistants, whose stores must be finished."""
    return training_job(
        context.recipe,
        context.data,
        context.folder.checked,
        kind=kind,
        seed=seed,
        network=network,
        stores=stores_behind(context.recipe, context.data, context.stages, assistants),
        folder=folder,
    )


def store_kinds(recipe: Recipe, assistants: int) -> list[tuple[StageKind[StoreResult], int, float]]:
    """Returns the stages of the stores that teach the network behind so many assistants: kind, number and weight."""
    if assistants:
        return [(ASSISTANT_LABELS, assistants - 1, 1.0)]
    return [(SOFT_LABELS, number, teacher.share) for number, teacher in enumerate(recipe.teachers)]


def stores_behind(recipe: Recipe, data: Dataset, stages: Mapping[str, Stage], assistants: int) -> tuple[Store, ...]:
    """Returns the finished stores that teach the network behind so many assistants.

    Args:
        recipe: of the training.
        data: its images.
        stages: of the recipe, by name.
        assistants: how many networks are between the teachers and the one that learns.
    """
    found = []
    for kind, number, weight in store_kinds(recipe, assistants):
        stage = stages[kind.numbered(number)]
        kept = stage.result()
        assert kept is not None, f"{stage.name} is not finished"
        found.append(store_of(stage, kind.read(kept).layout, recipe, data, weight))
    return tuple(found)


def train_side_by_side(context: RunContext, kinds: Sequence[Kind]) -> list[TrainingsResult]:
    """Trains the students, their controls, or both, and returns the result of each kind."""
    context.start_tensorflow()
    recipe = context.recipe
    jobs = [job for kind in kinds for job in _jobs(context, kind)]
    # The same whether all trainings are due or only some, so that a resumed one has the threads it began with.
    in_all = len(seeds(recipe)) * (1 + recipe.distill.control)
    results = context.executor.train(jobs, in_all, context.progress)
    return [TrainingsResult(tuple(result for result in results if result.kind == kind)) for kind in kinds]


def _jobs(context: RunContext, kind: Kind) -> list[Job]:
    recipe = context.recipe
    if kind == "control" and not recipe.distill.control:
        return []
    folder, behind = context.stages[kind].folder, len(chain(recipe))
    return [job_in_run(context, kind, seed, of_seed(folder, seed), recipe.student, behind) for seed in seeds(recipe)]


def network_inputs(sources: Sources) -> dict[str, object]:
    """Returns what the student and its control depend on alike."""
    return {
        **settings("student", sources.recipe_json["student"]),
        **sources.files(sources.recipe.student),
        **sources.shown(),
        "seeds": seeds(sources.recipe),
    }


def store_stages(recipe: Recipe, assistants: int) -> tuple[str, ...]:
    """Returns the names of the stages whose stores teach the network behind so many assistants."""
    return tuple(kind.numbered(number) for kind, number, _ in store_kinds(recipe, assistants))


def images_shown(context: RunContext) -> int:
    """Returns how many images one training of a student shows it."""
    return images_in_transfer_set(context.data) * context.recipe.distill.training.epochs
