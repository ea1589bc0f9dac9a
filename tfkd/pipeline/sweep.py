"""Many students from one store: variations of a recipe that share its teachers, trained side by side and compared.

The teachers are asked once, about all that any variation looks at. Every training is kept in the run's folder under a
fingerprint of its settings, so a sweep that is killed, or grows, trains only what is missing.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.distill.measures import paired_p_value
from tfkd.errors import RequestError
from tfkd.files import fingerprint, write_json
from tfkd.pipeline.graph import chain, kind_of
from tfkd.pipeline.run import Run
from tfkd.pipeline.stage import Stage, locked
from tfkd.progress import Progress
from tfkd.recipe import Recipe
from tfkd.training.job import Job, Kind, StudentResult

FOLDER = "sweep"


@dataclass(frozen=True)
class Trial:
    """What came of one variation and of its control; accuracies run from 0 to 1, one for each seed.

    Attributes:
        name: which variation it is.
        seeds: what student and control began from.
        accuracies: of the students, on the test images.
        control_accuracies: of the same students without a teacher; empty where the recipe trains none.
        validation_accuracies: of the students, on the validation images, on which a choice may be made.
        control_validation_accuracies: the same of the controls.
        seconds: of each student's training.
        p_value: of the difference to the control on the test images (`measures.paired_p_value`).
    """

    name: str
    seeds: list[int]
    accuracies: list[float]
    control_accuracies: list[float]
    validation_accuracies: list[float]
    control_validation_accuracies: list[float]
    seconds: list[float]
    p_value: float | None

    @property
    def gains(self) -> list[float]:
        """Student minus control, seed by seed."""
        return [student - control for student, control in zip(self.accuracies, self.control_accuracies, strict=False)]


@dataclass(frozen=True)
class Sweep:
    """A finished sweep: what the teachers reach together on the test images, and the variations as they were given."""

    teacher_accuracy: float
    trials: list[Trial]


@dataclass(frozen=True)
class _Training:
    job: Job
    stage: Stage

    def result(self) -> StudentResult | None:
        done = self.stage.result()
        return StudentResult(**done) if done else None


def variations(axes: Sequence[str]) -> dict[str, list[str]]:
    """Returns the overrides of every combination of axes such as `distill.views=4,8`, by the variation's name.

    A name tells what varies, all of it where nothing does. A value that holds commas itself is one value when it is a
    JSON list or object.

    Raises:
        RequestError: an axis is not of that form.
    """
    parsed = [_values(axis) for axis in axes]
    fixed = {values[0] for values in parsed if len(values) == 1}
    combinations = [list(combination) for combination in itertools.product(*parsed)]
    return {" ".join(each for each in own if each not in fixed) or " ".join(own): own for own in combinations}


def sweep(recipes: Mapping[str, Recipe], progress: Progress, runs: Path = Path("runs")) -> Sweep:
    """Trains every variation and its control from the same teachers' answers.

    Leaves `sweep.json` in the run's folder. The accuracies on the test images are for the report: choose on the
    validation images.

    Args:
        recipes: the variations by name; they share name, data and teachers.
        progress: shows what is going on.
        runs: the folder of the runs' folders.

    Raises:
        RequestError: a variation needs other teachers, another data set or another run.
    """
    shared = _sharing(recipes)
    most = max(shared.values(), key=lambda recipe: recipe.distill.views)
    folder = runs / most.name
    with locked(folder):
        first = Run(most, folder, progress)
        first.until("assistant_labels", folder)
        planned = {name: _trainings(first, recipe, name) for name, recipe in shared.items()}
        _train(first, [training for trainings in planned.values() for training in trainings])
        found = Sweep(
            first.teacher_accuracy(),
            [_trial(name, trainings, first.data.test.labels) for name, trainings in planned.items()],
        )
        write_json(folder / FOLDER / "sweep.json", asdict(found))
    return found


def _values(axis: str) -> list[str]:
    key, equals, text = axis.partition("=")
    if not equals or not text:
        raise RequestError(f"{axis!r} is not of the form key.path=value,value, e.g. distill.views=4,8.")
    try:
        whole = isinstance(json.loads(text), list | dict)
    except ValueError:
        whole = False
    return [f"{key}={value}" for value in ([text] if whole else text.split(","))]


def _sharing(recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Returns the recipes with one store for all, which holds every tap that any of them looks at."""
    taps = sorted({tap for recipe in recipes.values() for tap in recipe.distill.teacher_taps})
    return {
        name: recipe.model_copy(update={"distill": recipe.distill.model_copy(update={"features": taps})})
        for name, recipe in recipes.items()
    }


def _trainings(first: Run, recipe: Recipe, name: str) -> list[_Training]:
    """Returns the trainings of one variation: every seed's student, then every seed's control."""
    kinds: list[Kind] = ["student", "control"] if recipe.distill.control else ["student"]
    return [
        _training(first, recipe, name, kind, recipe.seed + repeat)
        for kind in kinds
        for repeat in range(recipe.distill.repeats)
    ]


def _training(first: Run, recipe: Recipe, name: str, kind: Kind, seed: int) -> _Training:
    alone = recipe.model_copy(update={"distill": recipe.distill.model_copy(update={"repeats": 1})})
    run = Run(alone, first.folder, first.progress, first.data)
    for stage in first.stages:
        if kind_of(stage).startswith(("soft_labels", "assistant")) and (
            stage not in run.stages or run.stages[stage].base != first.stages[stage].base
        ):
            raise RequestError(f"{name} needs other data, teachers or assistants; give it a run of its own.")
    run.results = first.results
    trained, digits = run.stages[kind], fingerprint(run.stages[kind].fingerprint, seed)
    stage_of = Stage(
        first.folder / FOLDER / digits,
        digits,
        {**trained.inputs, "seed of the training": seed},
        conditions=trained.conditions,
        name=f"{FOLDER}: {kind}, seed {seed}",
    )
    return _Training(run.job(kind, seed, stage_of.folder, alone.student, len(chain(alone))), stage_of)


def _train(run: Run, trainings: list[_Training]) -> None:
    once = {training.stage.folder: training for training in trainings}
    for training in once.values():
        training.stage.mend(run.progress.say, thorough=True)
    due = [training for training in once.values() if training.result() is None]
    run.progress.say(f"{len(once)} trainings, {len(once) - len(due)} of them finished before")
    for training in due:
        training.stage.begin(run.progress.say)
    if due:
        run.train(
            [training.job for training in due],
            len(once),
            lambda number, result: due[number].stage.finish(asdict(result)),
        )


def _trial(name: str, trainings: list[_Training], labels: Any) -> Trial:
    by_kind: dict[Kind, list[StudentResult]] = {"student": [], "control": []}
    right: dict[Kind, list[Any]] = {"student": [], "control": []}
    for training in trainings:
        if result := training.result():
            by_kind[result.kind].append(result)
            logits = np.load(training.stage.folder / "test_logits.npy", allow_pickle=False)
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
