"""Trainings of students, controls and assistants: their jobs, and the side-by-side training of a recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

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
from tfkd.training.job import Job, Lesson, Store, StudentResult, TrainingKind

SIDE_BY_SIDE: tuple[TrainingKind, ...] = ("control", "student")  # stages whose trainings run at the same time


@dataclass(frozen=True)
class TrainingsResult:
    """The trainings of the student or its control, one per seed; none if the recipe switches the control off."""

    trainings: tuple[StudentResult, ...]

    @property
    def seconds(self) -> float:
        """Time of all trainings."""
        return sum(training.seconds for training in self.trainings)

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return [training.seed for training in self.trainings]

    @property
    def accuracies(self) -> list[float]:
        """Test accuracy of each seed, 0 to 1."""
        return [training.accuracy for training in self.trainings]

    @property
    def best(self) -> StudentResult:
        """The training to export: that with the best validation accuracy."""
        return max(self.trainings, key=lambda training: training.validation_accuracy)

    def of(self, seed: int) -> StudentResult | None:
        """Returns the training of a seed, or None."""
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
    """Returns the lesson of a network.

    Args:
        recipe: determines examples, losses and schedule.
        data: its examples.
        checked: folder with the result of checking them.
        seed: seed of the order of the examples.
        rendering: input rendering of the network.
        stores: finished stores to learn from; a control sees the same number of examples.
        folder: folder of checkpoint and results.
    """
    return Lesson(
        seed=seed,
        recipe=recipe,
        rendering=rendering,
        folder=folder,
        checked=checked,
        images=stores[0].header["images"],
        labelled=len(data.train),
        stores=stores,
        data=data.fingerprint,
    )


def training_job(
    recipe: Recipe,
    data: Dataset,
    checked: Path,
    *,
    kind: TrainingKind,
    seed: int,
    network: Student,
    stores: tuple[Store, ...],
    folder: Path,
) -> Job:
    """Returns one training of `network`, of a given kind; other arguments are those of `lesson_of`."""
    lesson = lesson_of(recipe, data, checked, seed=seed, rendering=network.rendering, stores=stores, folder=folder)
    return Job(kind=kind, student=network, **vars(lesson))


def job_in_run(
    context: RunContext, kind: TrainingKind, seed: int, folder: Path, network: Student, assistants: int
) -> Job:
    """Returns one training of a network after `assistants` assistants, whose stores must be finished."""
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


@dataclass(frozen=True)
class TeachingStore:
    """A store that teaches a network.

    Attributes:
        kind: kind of the stage that fills the store.
        number: its number.
        views: number of views per image.
        weight: weight in an ensemble.
        domain: pattern of the images that the teacher knows; None: all.
    """

    kind: StageKind[StoreResult]
    number: int
    views: int
    weight: float = 1.0
    domain: str | None = None


def store_kinds(recipe: Recipe, assistants: int) -> list[TeachingStore]:
    """Returns the stores that teach the network after `assistants` assistants."""
    if assistants:
        return [TeachingStore(ASSISTANT_LABELS, assistants - 1, recipe.distill.views)]
    return [
        TeachingStore(SOFT_LABELS, number, recipe.stored_views(teacher), teacher.share, teacher.domain)
        for number, teacher in enumerate(recipe.teachers)
    ]


def stores_behind(recipe: Recipe, data: Dataset, stages: Mapping[str, Stage], assistants: int) -> tuple[Store, ...]:
    """Returns the finished stores that teach the network after `assistants` assistants.

    Args:
        recipe: recipe of the training.
        data: its images.
        stages: stages of the recipe, by name.
        assistants: number of networks between the teachers and this one.
    """
    found = []
    for each in store_kinds(recipe, assistants):
        stage = stages[each.kind.numbered(each.number)]
        record = stage.result()
        assert record is not None, f"{stage.name} is not finished"
        found.append(store_of(stage, each.kind.read(record).layout, each.views, data, each.weight, each.domain))
    return tuple(found)


def trainings_in(context: RunContext, kind: TrainingKind) -> TrainingsResult:
    """Returns the finished trainings of a kind."""
    record = context.stages[kind].result()
    assert record is not None, f"{kind} is not finished"
    return TypeAdapter(TrainingsResult).validate_python(record)


def train_side_by_side(context: RunContext, kinds: Sequence[TrainingKind]) -> list[TrainingsResult]:
    """Trains the students, their controls, or both, and returns the result of each kind."""
    context.start_tensorflow()
    recipe = context.recipe
    jobs = [job for kind in kinds for job in _jobs(context, kind)]
    # All trainings count, also finished ones, so that a resumed training has the same number of threads.
    total = len(seeds(recipe)) * (1 + recipe.distill.control)
    results = context.executor.train(jobs, total, context.progress)
    return [TrainingsResult(tuple(result for result in results if result.kind == kind)) for kind in kinds]


def _jobs(context: RunContext, kind: TrainingKind) -> list[Job]:
    recipe = context.recipe
    if kind == "control" and not recipe.distill.control:
        return []
    folder, behind = context.stages[kind].folder, len(chain(recipe))
    return [job_in_run(context, kind, seed, of_seed(folder, seed), recipe.student, behind) for seed in seeds(recipe)]


def network_inputs(sources: Sources) -> dict[str, object]:
    """Returns the common inputs of the student and its control."""
    return {
        **settings("student", sources.recipe_json["student"]),
        **sources.files(sources.recipe.student),
        **sources.shown(),
        "seeds": seeds(sources.recipe),
    }


def store_stages(recipe: Recipe, assistants: int) -> tuple[str, ...]:
    """Returns the names of the stages whose stores teach the network after `assistants` assistants."""
    return tuple(each.kind.numbered(each.number) for each in store_kinds(recipe, assistants))


def images_shown(context: RunContext) -> int:
    """Returns the number of images shown in one training of a student."""
    recipe = context.recipe
    times = recipe.distill.views if recipe.student.is_tree else recipe.distill.training.epochs
    return images_in_transfer_set(context.data) * times
