"""Sweeps: variations of a recipe that share teachers and their soft labels, trained side by side and compared.

Teacher predictions are computed once for all variations. Every training is stored in the run's folder under a
fingerprint of its settings, so that an interrupted or extended sweep trains only what is missing.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.distill.measures import paired_p_value
from tfkd.errors import RequestError, enumerated
from tfkd.files import write_json
from tfkd.pipeline.cluster.nodes import WORKING, alone_with
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.executor import Executor
from tfkd.pipeline.fold_runs import require_no_folds
from tfkd.pipeline.folders import SWEEP, TEST_LOGITS, RunFolder
from tfkd.pipeline.kept_trainings import KeptTraining, train, trainings_of
from tfkd.pipeline.resolving import resolve
from tfkd.pipeline.run import open_run, run_stages
from tfkd.pipeline.stage import locked
from tfkd.pipeline.stages.assistant_labels import ASSISTANT_LABELS
from tfkd.pipeline.stages.data import open_data
from tfkd.pipeline.stages.soft_labels import SOFT_LABELS
from tfkd.pipeline.stages.teacher import ensemble_accuracy
from tfkd.progress import Progress
from tfkd.recipe import AnyLoss, Recipe, Student
from tfkd.recipe.names import kind_of
from tfkd.recipe.of_kind import with_kind_defaults
from tfkd.training.balance import require_known_classes
from tfkd.training.job import StudentResult, TrainingKind
from tfkd.training.trials import Sweep, Trial


def variations(axes: Sequence[str]) -> dict[str, list[str]]:
    """Returns the overrides of every combination of axes such as `distill.views=4,8`, by the variation's name.

    A name holds the settings that vary, or all settings if none varies. A JSON list or object is one value.

    Raises:
        RequestError: an axis is not of that form.
    """
    parsed = [_values(axis) for axis in axes]
    fixed = {values[0] for values in parsed if len(values) == 1}
    combinations = [list(combination) for combination in itertools.product(*parsed)]
    return {" ".join(each for each in own if each not in fixed) or " ".join(own): own for own in combinations}


def sweep(
    recipes: Mapping[str, Recipe], progress: Progress, runs: Path = Path("runs"), executor: Executor | None = None
) -> Sweep:
    """Trains every variation and its control from the same teachers' soft labels.

    Writes `sweep.json` to the run's folder. Choose a variation by its validation accuracy; the test accuracies are for
    the report.

    Args:
        recipes: the variations by name, with the same name, data and teachers.
        progress: shows progress.
        runs: the folder of the runs' folders.
        executor: trains and fills the stores; default: this machine.

    Raises:
        RequestError: a variation needs other teachers, another data set or another run, or its student cannot be built.
    """
    folder = _folder(recipes, runs)
    with locked(folder.path):
        context, shared = _open(recipes, folder, progress, executor)
        run_stages(context, ASSISTANT_LABELS.name, folder.path)
        planned = {name: trainings_of(context, recipe, SWEEP, name) for name, recipe in shared.items()}
        train(context, _once(planned), SWEEP)
        labels = context.data.test.labels
        trials = [_trial(name, trainings, labels) for name, trainings in planned.items()]
        found = Sweep(ensemble_accuracy(context), trials)
        write_json(folder.sweep / "sweep.json", asdict(found))
    return found


def number_of_trainings(recipes: Mapping[str, Recipe], progress: Progress, runs: Path = Path("runs")) -> int:
    """Fills the stores of a sweep, as `sweep` does, and returns the number of its trainings, for `train_one`."""
    folder = _folder(recipes, runs)
    with locked(folder.path):
        context, shared = _open(recipes, folder, progress, None)
        run_stages(context, ASSISTANT_LABELS.name, folder.path)
        return len(_once({name: trainings_of(context, recipe, SWEEP, name) for name, recipe in shared.items()}))


def train_one(
    recipes: Mapping[str, Recipe], progress: Progress, number: int, of: int, runs: Path = Path("runs")
) -> None:
    """Runs one training of a sweep, unless it is finished. Several processes may run others at the same time.

    Args:
        recipes: as of `sweep`.
        progress: shows progress.
        number: of the training, from 1.
        of: number of all trainings, which determines the threads per training, as in `sweep`.
        runs: the folder of the runs' folders.

    Raises:
        RequestError: the stores are not filled, the sweep has another number of trainings, or another command works in
            the run's folder.
    """
    folder = _folder(recipes, runs)
    with locked(folder.path, shared=True):
        context, shared = _open(recipes, folder, progress, None)
        if unfinished := [name for name, stage in context.stages.items() if _is_store(name) and not stage.result()]:
            raise RequestError(
                f"{enumerated(unfinished)} not finished in {folder.path}; run the sweep with --list first."
            )
        trainings = _once({name: trainings_of(context, recipe, SWEEP, name) for name, recipe in shared.items()})
        if not 1 <= number <= len(trainings) == of:
            raise RequestError(
                f"The sweep has {len(trainings)} trainings, and no training {number}/{of}; run it with --list again."
            )
        training = trainings[number - 1]
        folder_of = training.stage.folder
        with alone_with(folder_of.with_name(f".{folder_of.name}{WORKING}")):
            train(context, [training], SWEEP, total=of)


def _folder(recipes: Mapping[str, Recipe], runs: Path) -> RunFolder:
    for recipe in recipes.values():
        require_no_folds(recipe, "sweep")
    return RunFolder(runs / next(iter(recipes.values())).name)


def _open(
    recipes: Mapping[str, Recipe], folder: RunFolder, progress: Progress, executor: Executor | None
) -> tuple[RunContext, dict[str, Recipe]]:
    """Returns the run whose stores all variations share, and the variations with its choices."""
    recipes = {name: with_kind_defaults(recipe) for name, recipe in recipes.items()}
    shared = _sharing(_resolved(recipes, folder, progress))
    most = max(shared.values(), key=lambda recipe: recipe.distill.views)
    context = open_run(most, folder, progress, executor)
    _check(context, shared)
    return context, shared


def _is_store(stage: str) -> bool:
    return kind_of(stage) in (SOFT_LABELS.name, ASSISTANT_LABELS.name)


def _once(planned: Mapping[str, list[KeptTraining]]) -> list[KeptTraining]:
    """Returns the trainings of all variations; one that several share, such as a control, is there once."""
    every = [training for trainings in planned.values() for training in trainings]
    return list({training.stage.folder: training for training in every}.values())


def _values(axis: str) -> list[str]:
    key, equals, text = axis.partition("=")
    if not equals or not text:
        raise RequestError(f"{axis!r} is not of the form key.path=value,value, e.g. distill.views=4,8.")
    try:
        whole = isinstance(json.loads(text), list | dict)
    except ValueError:
        whole = False
    return [f"{key}={value}" for value in ([text] if whole else text.split(","))]


def _resolved(recipes: Mapping[str, Recipe], folder: RunFolder, progress: Progress) -> dict[str, Recipe]:
    """Returns the recipes with the run's choices where they say `auto`."""
    data = open_data(next(iter(recipes.values())), folder, progress)
    found = {}
    for name, recipe in recipes.items():
        require_known_classes(recipe, data)
        resolved = resolve(recipe, data, folder, progress.say, keep=True)
        found[name] = resolved.recipe
        for choice in resolved.choices:
            progress.say(f"{name}: {choice}")
    return found


def _check(context: RunContext, variations: Mapping[str, Recipe]) -> None:
    """Builds the students of all variations before anything is trained."""
    context.start_tensorflow()
    from tfkd.training import student

    checked: list[tuple[Student, list[AnyLoss]]] = []
    for name, recipe in variations.items():
        if (recipe.student, recipe.distill.losses) in checked:
            continue
        checked.append((recipe.student, recipe.distill.losses))
        try:
            signature = context.data.reading.signature(recipe.data)
            student.check([recipe.student], recipe, signature, len(context.data.classes))
        except RequestError as error:
            raise RequestError(f"{name}: {error}") from error


def _sharing(recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Returns the recipes with the union of their teacher taps, so that one store serves all of them."""
    taps = sorted({tap for recipe in recipes.values() for tap in recipe.distill.teacher_taps})
    return {
        name: recipe.model_copy(update={"distill": recipe.distill.model_copy(update={"features": taps})})
        for name, recipe in recipes.items()
    }


def _trial(name: str, trainings: list[KeptTraining], labels: Any) -> Trial:
    by_kind: dict[TrainingKind, list[StudentResult]] = {"student": [], "control": []}
    right: dict[TrainingKind, list[Any]] = {"student": [], "control": []}
    for training in trainings:
        if result := training.result():
            by_kind[result.kind].append(result)
            logits = np.load(training.stage.folder / TEST_LOGITS, allow_pickle=False)
            right[result.kind].append(logits.argmax(axis=1) == labels)
    students, controls = by_kind["student"], by_kind["control"]
    return Trial(
        name=name,
        seeds=[result.seed for result in students],
        accuracies=[result.accuracy for result in students],
        control_accuracies=[result.accuracy for result in controls],
        validation_accuracies=[result.validation_accuracy for result in students],
        control_validation_accuracies=[result.validation_accuracy for result in controls],
        seconds=[result.seconds for result in students],
        p_value=paired_p_value(np.mean(right["student"], axis=0), np.mean(right["control"], axis=0))
        if controls
        else None,
    )
