"""The soft labels: each teacher's predictions of every view, stored once and read by every training."""

from typing import Any

from tfkd.pipeline import stores
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.filling import StoreJob, StoreResult
from tfkd.pipeline.folders import TEACHER_MODEL
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources
from tfkd.recipe.names import numbered


def job_of(context: RunContext, number: int) -> StoreJob:
    """Returns the store job of teacher number 0, 1, …"""
    teacher, stage = context.recipe.teachers[number], context.stages[SOFT_LABELS.numbered(number)]
    return StoreJob(
        network=context.stages[numbered("teacher", number)].folder / TEACHER_MODEL,
        batch_statistics=teacher.batch_norm == "batch",
        rendering=teacher.rendering,
        recipe=context.recipe,
        fingerprint=stage.base,
        folder=stage.folder,
    )


def _inputs(sources: Sources, number: int) -> Inputs:
    return stores.inputs_of(sources, numbered("teacher", number), sources.recipe.teachers[number].rendering)


def _work(context: RunContext, number: int) -> StoreResult:
    context.start_tensorflow()
    return context.executor.fill(job_of(context, number), context.data, context.progress)


def _cost(context: RunContext, number: int) -> str:
    def untrained() -> Any:
        from tfkd.models import build_teacher

        recipe, classes = context.recipe, context.data.classes
        teacher = recipe.teachers[number].model_copy(update={"weights": "none"})
        return build_teacher(teacher, len(classes), recipe.seed, classes)

    return stores.cost_of(context, SOFT_LABELS, number, untrained)


SOFT_LABELS = StageKind(
    name="soft_labels",
    version=4,
    result=StoreResult,
    inputs=_inputs,
    work=_work,
    cost=_cost,
    count=lambda recipe: len(recipe.teachers),
    kept="store",
    product="store",
)
