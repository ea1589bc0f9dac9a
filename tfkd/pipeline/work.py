"""Runs the stages of a run."""

from collections.abc import Sequence

from tfkd.pipeline.context import RunContext
from tfkd.pipeline.stage import Stage, WorkResult, run_together
from tfkd.pipeline.stages import STAGES
from tfkd.pipeline.stages.trainings import SIDE_BY_SIDE, train_side_by_side
from tfkd.recipe.names import kind_of, number_of


def run_group(context: RunContext, names: Sequence[str]) -> None:
    """Runs the unfinished ones of stages that can run side by side."""

    def work(pending: list[Stage]) -> list[WorkResult]:
        names = [stage.name for stage in pending]
        if len(names) > 1:
            results = train_side_by_side(context, [kind for kind in SIDE_BY_SIDE if kind in names])
        else:
            results = [STAGES[kind_of(names[0])].work(context, number_of(names[0]))]
        return [STAGES[kind_of(name)].work_result(result) for name, result in zip(names, results, strict=True)]

    run_together([context.stages[name] for name in names], work, context.progress)
