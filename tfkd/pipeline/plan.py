"""The plan of a run: its stages, which of them are finished, and what the others cost."""

from dataclasses import dataclass
from pathlib import Path

from tfkd.files import content_size
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.gains import expected_gain, setting_of
from tfkd.pipeline.run import open_run
from tfkd.pipeline.stages import STAGES
from tfkd.pipeline.storage import StoredResult, stored_results
from tfkd.progress import Progress
from tfkd.recipe import Recipe
from tfkd.recipe.names import kind_of, number_of


@dataclass(frozen=True)
class Step:
    """One stage of a planned run.

    Attributes:
        name: name of the stage.
        finished: whether a result can be reused.
        cost: description of the work.
        bytes: size of the existing files of the result.
        reason: which inputs changed since an earlier result; "" if none is known.
    """

    name: str
    finished: bool
    cost: str
    bytes: int = 0
    reason: str = ""


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
    steps = [_step(context, name) for name in context.stages]
    return steps, [each for each in stored_results(context) if not each.current]


def _step(context: RunContext, name: str) -> Step:
    stage = context.stages[name]
    return Step(
        name,
        stage.result() is not None,
        STAGES[kind_of(name)].cost(context, number_of(name)),
        content_size(stage.folder) if stage.folder.is_dir() else 0,
        stage.outdated(),
    )
