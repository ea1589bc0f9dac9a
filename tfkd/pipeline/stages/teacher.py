"""The teacher stages: networks that are fine-tuned or used unchanged, then frozen and measured."""

from typing import Any

from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import TEST_LOGITS
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources, settings
from tfkd.pipeline.stages.checks import check_networks
from tfkd.training.job import TeacherJob, TeacherResult


def ensemble_logits(context: RunContext) -> Any:
    """Returns the ensemble's logits on the test split, float32 [n, classes]; the teachers must be finished."""
    import numpy as np

    from tfkd.distill.ensemble import together

    teachers = context.recipe.teachers
    folders = [context.folder_of(TEACHER, number) for number in range(len(teachers))]
    logits = [np.load(folder / TEST_LOGITS, allow_pickle=False) for folder in folders]
    return together(logits, [teacher.share for teacher in teachers])


def ensemble_accuracy(context: RunContext) -> float:
    """Returns the ensemble's test accuracy, 0 to 1; the teachers must be finished."""
    from tfkd.distill.measures import accuracy

    return accuracy(ensemble_logits(context), context.data.test.labels)


def _inputs(sources: Sources, number: int) -> Inputs:
    own = {
        **sources.labelled(),
        **sources.unmixed(),
        **settings(f"teachers.{number}", sources.recipe_json["teachers"][number]),
        **sources.files(sources.recipe.teachers[number]),
    }
    return Inputs(own)


def _work(context: RunContext, number: int) -> TeacherResult:
    context.start_tensorflow()
    recipe, teacher = context.recipe, context.recipe.teachers[number]
    check_networks(recipe, number, context.data.classes, context.card, context.progress)
    folder, taps = context.folder_of(TEACHER, number), tuple(recipe.distill.teacher_taps)
    job = TeacherJob(teacher, recipe.data.augment, recipe.seed, folder, taps)
    return context.executor.prepare(job, context.data_for(teacher.rendering), context.progress)


def _cost(context: RunContext, number: int) -> str:
    tuning = context.recipe.teachers[number].fine_tune
    images = len(context.data.train)
    return f"{images * tuning.epochs:,} images shown to the unfrozen teacher" if tuning else "no training"


TEACHER = StageKind(
    name="teacher",
    version=5,
    result=TeacherResult,
    inputs=_inputs,
    work=_work,
    cost=_cost,
    count=lambda recipe: len(recipe.teachers),
    kept="training",
)
