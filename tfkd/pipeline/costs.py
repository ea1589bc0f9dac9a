"""What a run cost, from the accounts of its stages and of its parts without some folds."""

from collections.abc import Iterable, Sequence
from typing import Any

from tfkd.bundle.costs import CostEntry, DistillationCost, SpentTime, StageSpending, account, priced
from tfkd.files import content_size, read_sealed
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.kind import StageKind
from tfkd.pipeline.spending import Spending, spent, spent_in_this_call
from tfkd.pipeline.stage import Stage
from tfkd.pipeline.stage_files import BEGUN, DONE
from tfkd.pipeline.stages.assistant import ASSISTANT
from tfkd.pipeline.stages.assistant_labels import ASSISTANT_LABELS
from tfkd.pipeline.stages.cross_fitting import other_folds
from tfkd.pipeline.stages.soft_labels import SOFT_LABELS
from tfkd.pipeline.stages.teacher import TEACHER, is_in_folds
from tfkd.pipeline.stages.trainings import trainings_in
from tfkd.recipe import Recipe
from tfkd.recipe.networks import chain
from tfkd.training.job import TrainingKind


def cost_of(context: RunContext, teacher_ms: float | None, without: str) -> CostEntry:
    """Returns the account of a run.

    Args:
        context: of the run.
        teacher_ms: latency of the teacher with all cores, milliseconds; None where it was not measured.
        without: name of the stage that is not finished yet, because it writes the account.
    """
    names = [name for name in _stages(context) if name != without]
    stages = [spending_of(context, name) for name in names]
    return account([stage for stage in stages if stage], _distillation(context), context.recipe.cost, teacher_ms)


def spending_of(context: RunContext, name: str) -> StageSpending | None:
    """Returns what a finished stage cost in a run and in its parts, without prices; None where none is finished."""
    folders = [stage.folder for stage in _finished(context, name)]
    if not folders:
        return None
    in_this_call = [found for folder in folders if (found := spent_in_this_call(folder))]
    return StageSpending(
        stage=name,
        bytes=sum(content_size(folder) for folder in folders),
        spent=_time(_sum(spent(folder) for folder in folders)),
        this_call=_time(_sum(in_this_call)) if in_this_call else None,
    )


def earlier_cost(context: RunContext, name: str) -> SpentTime | None:
    """Returns what the latest other result of a stage cost, with its price; None where that is not known.

    Args:
        context: of the run.
        name: of a stage that is not finished.
    """
    stage = context.stages[name]
    begun = [path for path in stage.folder.parent.glob(f"*/{BEGUN}") if (path.parent / DONE).is_file()]
    results = [path.parent for path in begun if (read_sealed(path) or {}).get("name") == stage.name]
    latest = max(results, key=lambda folder: (folder / DONE).stat().st_mtime, default=None)
    return priced(_time(spent(latest)), context.recipe.cost) if latest else None


def _stages(context: RunContext) -> list[str]:
    """Returns the stages of a run in order, then those that only its parts have."""
    return list(dict.fromkeys(name for run in (context, *context.parts()) for name in run.stages))


def _finished(context: RunContext, name: str) -> list[Stage]:
    found = [run.stages[name] for run in (context, *context.parts()) if name in run.stages]
    return [stage for stage in found if stage.result() is not None]


def _distillation(context: RunContext) -> DistillationCost:
    """Returns the processor time of one student, its control and its teachers; the ratios follow from it."""
    recipe = context.recipe
    runs = [context.part([fold]) for fold in other_folds(recipe)] if context.data.is_pooled else [context]
    teachers, assistants = range(len(recipe.teachers)), range(len(chain(recipe)))
    stores = [_per_run(runs, SOFT_LABELS, number) for number in teachers]
    stores += [_per_run(runs, ASSISTANT_LABELS, number) for number in assistants]
    reason = _why_no_teacher(recipe)
    teacher = None if reason else _total([_of_teacher(context, number) for number in teachers])
    if teacher is None and not reason:
        reason = "the account of its training is not known"
    return DistillationCost(
        student=_per_training(runs, "student"),
        soft_labels=_total(stores),
        assistants=_total([_per_run(runs, ASSISTANT, number) for number in assistants]),
        control=_per_training(runs, "control") if recipe.distill.control else None,
        teacher=teacher,
        why_no_teacher=reason,
        total=None,
    )


def _why_no_teacher(recipe: Recipe) -> str:
    """Returns why nothing is known of the training of a teacher; "" where each was trained in this run."""
    for teacher in recipe.teachers:
        if teacher.predictions:
            return f"the predictions of {teacher.name} come from a file"
        if not teacher.is_tuned:
            return f"{teacher.name} was not trained in this run"
    return ""


def _of_teacher(context: RunContext, number: int) -> float | None:
    """Returns the processor seconds of preparing a teacher, the mean where it was prepared without some folds."""
    runs = context.parts() if is_in_folds(context.recipe, number) else [context]
    name = TEACHER.numbered(number)
    return _per_run([run for run in runs if run.stages[name].result() is not None], TEACHER, number)


def _per_run(runs: Sequence[RunContext], kind: StageKind[Any], number: int) -> float | None:
    """Returns the processor seconds of a stage, the mean over some runs; None where one is not known."""
    found = _sum(spent(run.stages[kind.numbered(number)].folder) for run in runs)
    return found.processor_seconds / len(runs) if found and runs else None


def _per_training(runs: Sequence[RunContext], kind: TrainingKind) -> float | None:
    """Returns the processor seconds of one training of a kind, the mean over seeds and runs."""
    found = _sum(spent(run.stages[kind].folder) for run in runs)
    trainings = sum(len(trainings_in(run, kind).trainings) for run in runs)
    return found.processor_seconds / trainings if found and trainings else None


def _sum(parts: Iterable[Spending | None]) -> Spending | None:
    """Returns the sum of accounts; None where one is not known."""
    total = Spending()
    for part in parts:
        if part is None:
            return None
        total += part
    return total


def _total(parts: Iterable[float | None]) -> float | None:
    found = list(parts)
    return None if None in found else sum(part for part in found if part is not None)


def _time(found: Spending | None) -> SpentTime | None:
    return SpentTime(seconds=found.seconds, processor_seconds=found.processor_seconds) if found else None
