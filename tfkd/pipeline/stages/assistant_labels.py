"""The soft labels of an assistant, for the training of the next network."""

from typing import Any

from tfkd.pipeline import stores
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.filling import StoreJob, StoreResult
from tfkd.pipeline.folders import STUDENT_MODEL
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources
from tfkd.recipe.names import numbered
from tfkd.recipe.networks import chain
from tfkd.teachers import NETWORK, PreparedTeacher


def job_of(context: RunContext, number: int) -> StoreJob:
    """Returns the store job of assistant number 0, 1, …"""
    stage = context.stages[ASSISTANT_LABELS.numbered(number)]
    file = context.stages[numbered("assistant", number)].folder / STUDENT_MODEL
    return StoreJob(
        network=PreparedTeacher(NETWORK.name, file, None, context.data.classes),
        rendering=chain(context.recipe)[number].rendering,
        views=context.recipe.distill.views,
        recipe=context.recipe,
        fingerprint=stage.base,
        folder=stage.folder,
    )


def _inputs(sources: Sources, number: int) -> Inputs:
    recipe = sources.recipe
    rendering = chain(recipe)[number].rendering
    return stores.inputs_of(sources, numbered("assistant", number), rendering, recipe.distill.views)


def _work(context: RunContext, number: int) -> StoreResult:
    context.start_tensorflow()
    return context.executor.fill(job_of(context, number), context.data, context.progress)


def _cost(context: RunContext, number: int) -> str:
    def untrained() -> Any:
        from tfkd.models import build_student

        recipe, signature = context.recipe, context.data.reading.signature(context.recipe.data)
        return build_student(chain(recipe)[number], signature, len(context.data.classes), recipe.seed)

    return stores.cost_of(context, ASSISTANT_LABELS, number, context.recipe.distill.views, untrained)


ASSISTANT_LABELS = StageKind(
    name="assistant_labels",
    version=4,
    result=StoreResult,
    inputs=_inputs,
    work=_work,
    cost=_cost,
    count=lambda recipe: len(chain(recipe)),
    kept="store",
    product="store",
)
