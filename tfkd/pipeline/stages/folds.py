"""The folds: student and control without each fold, measured on its images; these predictions are pooled."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkd.distill.measures import accuracy
from tfkd.errors import counted
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import TEST_LOGITS, of_seed
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources
from tfkd.pipeline.stages.cross_fitting import in_order, other_folds
from tfkd.pipeline.stages.trainings import (
    TrainingsResult,
    images_shown,
    network_inputs,
    store_stages,
    trainings_in,
)
from tfkd.recipe import Recipe
from tfkd.recipe.names import numbered
from tfkd.recipe.networks import chain, seeds
from tfkd.training.job import TrainingKind


@dataclass(frozen=True)
class FoldsResult:
    """Student and control without each fold; accuracies run from 0 to 1.

    Attributes:
        seeds: the seeds, in order.
        accuracies: of the student of each seed, pooled over all labelled images.
        control_accuracies: the same of the control; none without one.
        validation_accuracies: mean over the folds of the validation accuracy of each seed.
        finish_helps: whether the last training on the labels alone improves the mean validation accuracy, or keeps it.
        seconds: time of all trainings.
    """

    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    control_accuracies: tuple[float, ...]
    validation_accuracies: tuple[float, ...]
    finish_helps: bool
    seconds: float

    @property
    def best_seed(self) -> int:
        """The seed to export: that with the best validation accuracy."""
        return self.seeds[int(np.argmax(self.validation_accuracies))]


def pooled_logits(context: RunContext, kind: TrainingKind, seed: int) -> np.ndarray:
    """Returns the logits of each labelled image by the network without its fold, float32 [n, classes]."""
    logits: np.ndarray = np.load(_file(context, kind, seed), allow_pickle=False)
    return logits


def _stages_of_part(recipe: Recipe) -> list[str]:
    """Returns the stages that are run without each fold, in order."""
    names = [numbered(kind, number) for number in range(len(recipe.teachers)) for kind in ("teacher", "soft_labels")]
    names += [
        numbered(kind, number) for number in range(len(chain(recipe))) for kind in ("assistant", "assistant_labels")
    ]
    return [*names, "control", "student"]


def _inputs(sources: Sources, number: int) -> Inputs:
    recipe = sources.recipe
    own = {
        **sources.labelled(),
        **network_inputs(sources),
        **sources.unlabelled(recipe.student.rendering),
        **sources.learnt(),
        "distill.control": recipe.distill.control,
    }
    return Inputs(own, store_stages(recipe, len(chain(recipe))))


def _work(context: RunContext, number: int) -> FoldsResult:
    from tfkd.training.saving import save_array

    recipe = context.recipe
    parts = {fold: context.finished_part([fold], _stages_of_part(recipe)) for fold in other_folds(recipe)}
    students = [trainings_in(part, "student") for part in parts.values()]
    controls = [trainings_in(part, "control") for part in parts.values()]
    accuracies: dict[TrainingKind, list[float]] = {"control": [], "student": []}
    for kind in ("control", "student") if recipe.distill.control else ("student",):
        for seed in seeds(recipe):
            logits = in_order(context.data, {fold: _measured(part, kind, seed) for fold, part in parts.items()})
            path = _file(context, kind, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_array(logits, path)
            accuracies[kind].append(accuracy(logits, context.data.test.labels))
    found = FoldsResult(
        seeds=tuple(seeds(recipe)),
        accuracies=tuple(accuracies["student"]),
        control_accuracies=tuple(accuracies["control"]),
        validation_accuracies=tuple(np.mean(_validated(students), axis=0).tolist()),
        finish_helps=_gain_of_finish(students) >= 0,
        seconds=sum(each.seconds for each in (*students, *controls)),
    )
    of_control = "".join(f", control {each:.1%}" for each in found.control_accuracies[:1])
    context.progress.say(
        f"  student {found.accuracies[0]:.1%}{of_control}: accuracy of {len(parts)} folds, pooled over "
        f"{len(context.data.test):,} examples"
    )
    return found


def _file(context: RunContext, kind: TrainingKind, seed: int) -> Path:
    return of_seed(context.stages[FOLDS.name].folder, seed) / f"{kind}_logits.npy"


def _measured(part: RunContext, kind: TrainingKind, seed: int) -> np.ndarray:
    logits: np.ndarray = np.load(of_seed(part.stages[kind].folder, seed) / TEST_LOGITS, allow_pickle=False)
    return logits


def _validated(students: list[TrainingsResult]) -> list[list[float]]:
    """Returns the validation accuracy of each seed in each fold."""
    return [[training.validation_accuracy for training in each.trainings] for each in students]


def _gain_of_finish(students: list[TrainingsResult]) -> float:
    finishes = [training.finish for each in students for training in each.trainings if training.finish]
    return sum(after - before for before, after in finishes)


def _cost(context: RunContext, number: int) -> str:
    recipe = context.recipe
    folds, tuned = len(other_folds(recipe)), sum(teacher.is_tuned for teacher in recipe.teachers)
    shown = sum(images_shown(context.part([fold])) for fold in other_folds(recipe))
    trainings = recipe.distill.repeats * (1 + recipe.distill.control)
    pairs = tuned * folds * (folds - 1) // 2
    teachers = f", and {counted(pairs, 'fine-tuning')} without two folds" if tuned else ""
    return f"{trainings * shown:,} examples shown in {trainings * folds} trainings without a fold{teachers}"


FOLDS = StageKind(
    name="folds",
    version=1,
    result=FoldsResult,
    inputs=_inputs,
    work=_work,
    cost=_cost,
    count=lambda recipe: int(recipe.data.is_pooled),
)
