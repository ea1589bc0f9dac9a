"""The student, once per seed; the best on the validation split is exported."""

from pathlib import Path

from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import of_seed
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources
from tfkd.pipeline.stages.trainings import (
    TrainingsResult,
    images_shown,
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
    return Inputs(own, store_stages(recipe, len(chain(recipe))))


def _work(context: RunContext, number: int) -> TrainingsResult:
    (result,) = train_side_by_side(context, ["student"])
    return result


STUDENT = StageKind(
    name="student",
    version=5,
    result=TrainingsResult,
    inputs=_inputs,
    work=_work,
    cost=lambda context, number: f"{context.recipe.distill.repeats * images_shown(context):,} images shown",
    kept="training",
)
