"""The student, once per seed; the best on the validation split is exported."""

from dataclasses import replace
from pathlib import Path

from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import of_seed
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources
from tfkd.pipeline.stages.folds import FOLDS
from tfkd.pipeline.stages.trainings import (
    TrainingsResult,
    images_shown,
    job_in_run,
    network_inputs,
    store_stages,
    train_side_by_side,
)
from tfkd.recipe.networks import chain


def best_folder(context: RunContext) -> Path:
    """Returns the folder of the best student, before compressions."""
    return of_seed(context.folder_of(STUDENT), context.result(STUDENT).best.seed)


def _inputs(sources: Sources, number: int) -> Inputs:
    recipe = sources.recipe
    own = {**network_inputs(sources), **sources.unlabelled(recipe.student.rendering), **sources.learnt()}
    folds = (FOLDS.name,) if recipe.data.is_pooled else ()
    return Inputs(own, (*store_stages(recipe, len(chain(recipe))), *folds))


def _work(context: RunContext, number: int) -> TrainingsResult:
    if context.recipe.data.is_pooled:
        return _on_all_images(context)
    (result,) = train_side_by_side(context, ["student"])
    return result


def _on_all_images(context: RunContext) -> TrainingsResult:
    """Trains the student that ships on all labelled images, with what the folds chose by their validation images."""
    context.start_tensorflow()
    folds, recipe = context.result(FOLDS), context.recipe
    folder = of_seed(context.folder_of(STUDENT), folds.best_seed)
    job = job_in_run(context, "student", folds.best_seed, folder, recipe.student, len(chain(recipe)))
    if not folds.finish_helps:
        distill = recipe.distill.model_copy(update={"finish": None})
        job = replace(job, recipe=recipe.model_copy(update={"distill": distill}))
    context.progress.say("  the student that ships has seen the examples of the accuracies that follow")
    return TrainingsResult(tuple(context.executor.train([job], 1, context.progress)))


def _cost(context: RunContext, number: int) -> str:
    trainings = 1 if context.recipe.data.is_pooled else context.recipe.distill.repeats
    return f"{trainings * images_shown(context):,} examples shown"


STUDENT = StageKind(
    name="student",
    version=5,
    result=TrainingsResult,
    inputs=_inputs,
    work=_work,
    cost=_cost,
    kept="training",
)
