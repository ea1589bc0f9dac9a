"""The assistants and earlier generations: networks between the teachers and the student."""

from tfkd.pipeline.context import RunContext
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources, settings
from tfkd.pipeline.stages.trainings import images_shown, job_in_run, store_stages
from tfkd.recipe.networks import chain
from tfkd.recipe.renamed import first_named
from tfkd.training.job import StudentResult


def _inputs(sources: Sources, number: int) -> Inputs:
    network = chain(sources.recipe)[number]
    own = {
        **settings(f"assistants.{number}", first_named(network.model_dump(mode="json"))),
        **sources.files(network),
        **sources.unlabelled(network.rendering),
        **sources.shown(),
        **sources.learnt(),
    }
    return Inputs(own, store_stages(sources.recipe, number))


def _work(context: RunContext, number: int) -> StudentResult:
    context.start_tensorflow()
    recipe, folder = context.recipe, context.folder_of(ASSISTANT, number)
    job = job_in_run(context, "student", recipe.seed, folder, chain(recipe)[number], number)
    (result,) = context.executor.train([job], 1, context.progress)
    return result


ASSISTANT = StageKind(
    name="assistant",
    version=5,
    result=StudentResult,
    inputs=_inputs,
    work=_work,
    cost=lambda context, number: f"{images_shown(context):,} examples shown",
    count=lambda recipe: len(chain(recipe)),
    kept="training",
)
