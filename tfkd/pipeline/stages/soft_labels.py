"""The soft labels: each teacher's predictions of every view, stored once and read by every training."""

from dataclasses import replace
from typing import Any

from tfkd.pipeline import stores
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.filling import StoreJob, StoreResult
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources
from tfkd.pipeline.stages.cross_fitting import is_cross_fitted, parts_with_teacher
from tfkd.pipeline.stages.teacher import TEACHER, prepared
from tfkd.recipe.names import numbered
from tfkd.teachers import kind_of


def job_of(context: RunContext, number: int) -> StoreJob:
    """Returns the store job of teacher number 0, 1, …"""
    teacher, stage = context.recipe.teachers[number], context.stages[SOFT_LABELS.numbered(number)]
    by_fold = {}
    if is_cross_fitted(context.recipe, number):
        by_fold = {fold: prepared(part, number) for fold, part in parts_with_teacher(context, number).items()}
    return StoreJob(
        network=prepared(context, number),
        by_fold=by_fold,
        rendering=teacher.rendering,
        views=context.recipe.stored_views(teacher),
        recipe=context.recipe,
        fingerprint=stage.base,
        folder=stage.folder,
    )


def _inputs(sources: Sources, number: int) -> Inputs:
    teacher = sources.recipe.teachers[number]
    views = sources.recipe.stored_views(teacher)
    inputs = stores.inputs_of(sources, numbered(TEACHER.name, number), teacher.rendering, views)
    return replace(inputs, own={**inputs.own, **sources.domain(number, unlabelled=True)})


def _work(context: RunContext, number: int) -> StoreResult:
    context.start_tensorflow()
    return context.executor.fill(job_of(context, number), context.data, context.progress)


def _cost(context: RunContext, number: int) -> str:
    recipe, classes = context.recipe, context.data.classes
    settings = recipe.teachers[number]

    def untrained() -> Any:
        from tfkd.models import build_teacher

        if not kind_of(settings, len(classes)).is_network:
            return None
        plain = settings.model_copy(update={"weights": "none"})
        return build_teacher(plain, len(classes), recipe.seed, classes, context.data.columns)

    return stores.cost_of(context, SOFT_LABELS, number, recipe.stored_views(settings), untrained, settings.domain)


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
