"""The compressions of the student: pruning, clustering, training with int8 rounding."""

from pathlib import Path

from tfkd.compress.job import CompressJob
from tfkd.compress.results import CompressResult
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.filling import images_in_transfer_set
from tfkd.pipeline.folders import STUDENT_MODEL
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources, settings
from tfkd.pipeline.stages.student import STUDENT, best_folder
from tfkd.pipeline.stages.trainings import job_in_run
from tfkd.recipe.networks import chain


def shipped_folder(context: RunContext) -> Path:
    """Returns the folder of the exported network: the best student, or its compressed form."""
    return context.folder_of(COMPRESS) if context.recipe.compress else best_folder(context)


def _inputs(sources: Sources, number: int) -> Inputs:
    return Inputs(settings("compress", sources.recipe_json["compress"]), (STUDENT.name,))


def _work(context: RunContext, number: int) -> CompressResult:
    context.start_tensorflow()
    recipe, seed = context.recipe, context.result(STUDENT).best.seed
    folder, assistants = context.folder_of(COMPRESS), len(chain(recipe))
    job = job_in_run(context, "student", seed, folder, recipe.student, assistants)
    trained = best_folder(context) / STUDENT_MODEL
    return context.executor.compress(CompressJob(job, trained, tuple(recipe.compress), "compression"), context.progress)


def _cost(context: RunContext, number: int) -> str:
    images = images_in_transfer_set(context.data)
    return f"{sum(images * block.training.epochs for block in context.recipe.compress):,} examples shown"


COMPRESS = StageKind(
    name="compress",
    version=2,
    result=CompressResult,
    inputs=_inputs,
    work=_work,
    cost=_cost,
    count=lambda recipe: int(bool(recipe.compress)),
    kept="training",
    product="compressed student",
)
