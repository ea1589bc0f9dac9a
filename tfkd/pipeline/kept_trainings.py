"""Trainings beside those of a run itself, for sweeps and fits: from one store, each under a fingerprint of its own.

An interrupted or extended sweep or fit trains only what is missing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from tfkd.bundle.manifest import UserOfTest
from tfkd.errors import RequestError
from tfkd.files import fingerprint
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.graph import stages_of
from tfkd.pipeline.spending import metered
from tfkd.pipeline.stage import Stage
from tfkd.pipeline.stages.assistant import ASSISTANT
from tfkd.pipeline.stages.assistant_labels import ASSISTANT_LABELS
from tfkd.pipeline.stages.soft_labels import SOFT_LABELS
from tfkd.pipeline.stages.trainings import stores_behind, training_job
from tfkd.pipeline.uses_of_test import note_recipe
from tfkd.recipe import Recipe
from tfkd.recipe.names import kind_of
from tfkd.recipe.networks import chain, seeds
from tfkd.training.job import Job, StudentResult, TrainingKind

_SHARED = (SOFT_LABELS.name, ASSISTANT.name, ASSISTANT_LABELS.name)


@dataclass(frozen=True)
class KeptTraining:
    """One training and the stage that keeps it."""

    job: Job
    stage: Stage

    def result(self) -> StudentResult | None:
        """Returns the result, or None if the training is unfinished."""
        done = self.stage.result()
        return StudentResult(**done) if done else None


def trainings_of(context: RunContext, recipe: Recipe, command: str, name: str) -> list[KeptTraining]:
    """Returns the trainings of one recipe: the students of all seeds, then the controls.

    Each seed is stored separately, so that more repeats train only the new seeds.

    Args:
        context: of the run, whose stores must be finished.
        recipe: with the data and teachers of the run.
        command: "sweep" or "fit", which is also the folder.
        name: of the recipe in messages.

    Raises:
        RequestError: the recipe needs other stores.
    """
    alone = recipe.model_copy(update={"distill": recipe.distill.model_copy(update={"repeats": 1})})
    stages = stages_of(alone, context.data, context.folder.path)
    _require_same_stores(context, stages, command, name)
    stores = stores_behind(alone, context.data, stages, len(chain(alone)))
    kinds: list[TrainingKind] = ["student", "control"] if recipe.distill.control else ["student"]

    def training(kind: TrainingKind, seed: int) -> KeptTraining:
        stage = _stage(context, command, stages[kind], kind, seed)
        job = training_job(
            alone,
            context.data,
            context.folder.checked,
            kind=kind,
            seed=seed,
            network=alone.student,
            stores=stores,
            folder=stage.folder,
        )
        return KeptTraining(job, stage)

    return [training(kind, seed) for kind in kinds for seed in seeds(recipe)]


def train(
    context: RunContext,
    trainings: Sequence[KeptTraining],
    command: UserOfTest,
    total: int | None = None,
    on_finished: Callable[[], None] = lambda: None,
) -> None:
    """Runs the unfinished ones of some trainings.

    Args:
        context: of the run.
        trainings: the trainings.
        command: "sweep" or "fit".
        total: number that determines the threads per training; default: that of the trainings.
        on_finished: called after each training is stored; an exception stops the others.
    """
    once = {training.stage.folder: training for training in trainings}
    say = context.progress.say
    for training in once.values():
        training.stage.mend(say, thorough=True)
    due = [training for training in once.values() if training.result() is None]
    say(f"{len(once)} trainings, {len(once) - len(due)} of them already finished")
    for training in due:
        training.stage.begin(say)

    def tested(training: KeptTraining) -> None:
        note_recipe(context.folder, context.data, training.job.recipe, command)

    def finished(place: int, result: StudentResult) -> None:
        tested(due[place])
        meter.finish(due[place].stage.folder)
        due[place].stage.finish(asdict(result), result.seconds)
        on_finished()

    for training in once.values():
        if training not in due:
            tested(training)
    if due:
        context.start_tensorflow()
        with metered(training.stage.folder for training in due) as meter:
            context.executor.train([training.job for training in due], total or len(once), context.progress, finished)


def _require_same_stores(context: RunContext, stages: Mapping[str, Stage], command: str, name: str) -> None:
    for each, stage in context.stages.items():
        if kind_of(each) in _SHARED and (each not in stages or stages[each].base != stage.base):
            raise RequestError(
                f"{name} needs other data, teachers or assistants than the rest of the {command}; run it separately."
            )


def _stage(context: RunContext, command: str, trained: Stage, kind: TrainingKind, seed: int) -> Stage:
    """Returns the stage of one training; `trained` is the corresponding stage of a run."""
    own = fingerprint(trained.fingerprint, seed)
    inputs = {**trained.inputs, "seed of the training": seed}
    title = f"{command}: {kind}, seed {seed}"
    return Stage(context.folder.path / command / own, own, inputs, conditions=trained.conditions, name=title)
