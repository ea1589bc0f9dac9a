"""The steps of a run: its stages, which of them are finished, and what the others cost."""

from dataclasses import dataclass

from tfkd.bundle.costs import SpentTime, priced
from tfkd.files import content_size
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.costs import spending_of
from tfkd.pipeline.stages import STAGES
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
        spent: what a finished stage has cost, with its price; None where that is not known.
    """

    name: str
    finished: bool
    cost: str
    bytes: int = 0
    reason: str = ""
    spent: SpentTime | None = None


def step_of(context: RunContext, name: str) -> Step:
    """Returns one stage of a run by its name; measures the speed of a teacher without soft labels."""
    stage, spending = context.stages[name], spending_of(context, name)
    return Step(
        name,
        stage.result() is not None,
        STAGES[kind_of(name)].cost(context, number_of(name)),
        content_size(stage.folder) if stage.folder.is_dir() else 0,
        stage.outdated(),
        priced(spending.spent, context.recipe.cost) if spending else None,
    )
