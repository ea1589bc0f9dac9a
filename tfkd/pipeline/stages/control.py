"""The control: the same student without a teacher, for as many steps."""

from tfkd.pipeline.context import RunContext
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources
from tfkd.pipeline.stages.trainings import TrainingsResult, images_shown, network_inputs, train_side_by_side


def _inputs(sources: Sources, number: int) -> Inputs:
    switch = {"distill.control": sources.recipe.distill.control}
    return Inputs({**sources.labelled(), **network_inputs(sources), **switch})


def _work(context: RunContext, number: int) -> TrainingsResult:
    (result,) = train_side_by_side(context, ["control"])
    return result


def _cost(context: RunContext, number: int) -> str:
    distill = context.recipe.distill
    return f"{distill.repeats * images_shown(context):,} examples shown" if distill.control else "switched off"


CONTROL = StageKind(
    name="control",
    version=5,
    result=TrainingsResult,
    inputs=_inputs,
    work=_work,
    cost=_cost,
    count=lambda recipe: int(not recipe.data.is_pooled),
    kept="training",
)
