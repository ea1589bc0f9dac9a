"""The plan of a run: its stages, which of them are finished, and what the others cost."""

from pathlib import Path

from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.gains import expected_gain, setting_of
from tfkd.pipeline.run import open_run
from tfkd.pipeline.steps import Step, step_of
from tfkd.pipeline.storage import StoredResult, stored_results
from tfkd.progress import Progress
from tfkd.recipe import Recipe


def plan(recipe: Recipe, progress: Progress, runs: Path = Path("runs")) -> tuple[list[Step], list[StoredResult]]:
    """Returns what a run of this recipe would do; measures the speed of a teacher without soft labels.

    Returns:
        The stages in order, and the results in the run's folder that none of them uses.

    Raises:
        RequestError: the data cannot be opened.
    """
    context = open_run(recipe, RunFolder(runs / recipe.name), progress)
    for choice in context.choices:
        progress.say(str(choice))
    progress.say(expected_gain(setting_of(context.recipe, context.data)))
    steps = [step_of(context, name) for name in context.stages]
    return steps, [each for each in stored_results(context) if not each.current]
