"""How claims.py measures: trains the arms of a claim, and returns the rows of its table.

Every measure is a function of a claim and a laboratory. Trainings, stores and files are kept in the folder of their
run, so that whatever was killed continues, and equal recipes of several claims train once.
"""

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from auto_accuracy import reached_at
from claim_laboratory import Laboratory, stores_of
from claim_table import Claim
from compression_accuracy import Student as CompressedStudent
from photo_corruptions import CORRUPTIONS
from photo_corruptions import corrupted as corrupted_batches

from tfkd.data.batches import plain_batches
from tfkd.distill.measures import accuracy
from tfkd.pipeline import sweep
from tfkd.pipeline.compare import compare
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import CURVE
from tfkd.pipeline.kept_trainings import KeptTraining
from tfkd.pipeline.run import run
from tfkd.pipeline.stages.control import CONTROL
from tfkd.pipeline.stages.student import STUDENT
from tfkd.recipe import Recipe
from tfkd.report import units
from tfkd.training.job import StudentResult
from tfkd.training.trials import Trial
from tfkd.verification import tflite

Row = dict[str, Any]
Rows = dict[str, Row]


def accuracies(claim: Claim, lab: Laboratory) -> Rows:
    """Returns the accuracies of every arm, and its gains by seed over what it is compared with, which has none."""
    found = _swept({name: lab.taught(arm) for name, arm in claim.arms.items()}, lab)
    reference = best(found, claim.against) if claim.against else None
    others = found[reference] if reference else None
    return {name: row | {"gains": None if name == reference else gains(row, others)} for name, row in found.items()}


def best(rows: Rows, names: tuple[str, ...]) -> str:
    """Returns the row that is best on validation."""
    return max(names, key=lambda name: statistics.fmean(rows[name]["validation_accuracies"]))


def gains(row: Row, reference: Row | None) -> list[float]:
    """Returns the differences of the test accuracy, seed by seed, to another row or to the own control."""
    others = reference["accuracies"] if reference else row["control_accuracies"]
    return [own - other for own, other in zip(row["accuracies"], others, strict=True)]


def _swept(recipes: dict[str, Recipe], lab: Laboratory) -> Rows:
    """Returns the accuracies of every recipe; those with the same stores train side by side."""
    groups: dict[str, dict[str, Recipe]] = defaultdict(dict)
    for name, recipe in recipes.items():
        groups[stores_of(recipe)][name] = recipe
    rows: Rows = {}
    for group in groups.values():
        found = sweep.sweep(group, lab.progress, lab.runs)
        rows |= {trial.name: _row(trial, found.teacher_accuracy) for trial in found.trials}
    return {name: rows[name] for name in recipes}


def _row(trial: Trial, teacher_accuracy: float | None) -> Row:
    return {name: value for name, value in asdict(trial).items() if name != "name"} | {
        "teacher_accuracy": teacher_accuracy
    }


def convergence(claim: Claim, lab: Laboratory) -> Rows:
    """Returns when each arm and its control are for the first time as good as the control at its end.

    An arm without a control is compared with that of the first arm.
    """
    recipes = {name: lab.taught(arm) for name, arm in claim.arms.items()}
    rows, controls = _swept(recipes, lab), []
    for name, recipe in recipes.items():
        trainings = lab.trainings(recipe)
        controls = [each for each in trainings if each.job.kind == "control"] or controls
        students = [each for each in trainings if each.job.kind == "student"]
        goals = [finished(each).validation_accuracy for each in controls]
        rows[name] |= {"student": _reached(students, goals), "control": _reached(controls, goals)}
    return rows


def _reached(trainings: list[KeptTraining], goals: list[float]) -> Row:
    """Returns after which fraction of its steps, and how many seconds, each training is as good as its goal."""
    steps, seconds = [], []
    for training, goal in zip(trainings, goals, strict=True):
        curve = json.loads((training.stage.folder / CURVE).read_text(encoding="utf-8"))
        part = reached_at(curve, goal)
        steps.append(part)
        seconds.append(None if part is None else part * finished(training).seconds)
    return {"steps": steps, "seconds": seconds}


def finished(training: KeptTraining) -> StudentResult:
    """Returns the result of a training that is finished."""
    result = training.result()
    assert result is not None, f"{training.stage.name} is not finished"
    return result


# Rows of the claim about corruptions: the network and its form in compression_accuracy.py.
_FILES = {
    "control, fp32": (CONTROL, "fp32"),
    "control, int8": (CONTROL, "int8, min_max ranges"),
    "student, fp32": (STUDENT, "fp32"),
    "student, int8": (STUDENT, "int8, min_max ranges"),
    "student, QAT, int8": (STUDENT, "QAT, int8"),
    "student, half pruned, fp32": (STUDENT, "pruned 50 %, fp32"),
    "student, half pruned, int8": (STUDENT, "pruned 50 %, int8"),
}


def corruptions(claim: Claim, lab: Laboratory) -> Rows:
    """Returns the accuracy of every file on clean and on corrupted test photos, by seed."""
    (arm,) = claim.arms.values()
    recipe = lab.taught(arm)
    run(recipe, lab.progress, lab.runs, until=STUDENT.name)
    context = lab.context(recipe)
    context.start_tensorflow()
    rows = {}
    for name, (kind, form) in _FILES.items():
        files = {seed: CompressedStudent(context, seed, kind).file(form) for seed in context.result(STUDENT).seeds}
        rows[name] = {"seeds": list(files), **_on_corrupted(context, list(files.values()))}
        clean, corrupted = (statistics.fmean(rows[name][key]) for key in ("accuracies", "corrupted_accuracies"))
        lab.progress.say(f"  {name}: {units.percent(clean)}, corrupted {units.percent(corrupted)}")
    return rows


def _on_corrupted(context: RunContext, files: list[Path]) -> Row:
    found = [dict(_by_corruption(context, path)) for path in files]
    return {
        "accuracies": [each.pop("clean") for each in found],
        "corrupted_accuracies": [statistics.fmean(each.values()) for each in found],
        "by_corruption": {name: [each[name] for each in found] for name in CORRUPTIONS},
    }


def _by_corruption(context: RunContext, path: Path) -> Iterator[tuple[str, float]]:
    data = context.shipped
    batches = [
        inputs.numpy() for inputs, _ in plain_batches(data.test, data.reading.signature(context.recipe.data), 64)
    ]
    yield "clean", accuracy(tflite.predict(path, batches), data.test.labels)
    for name, corruption in CORRUPTIONS.items():
        photos = corrupted_batches(batches, corruption, context.recipe.seed)
        yield name, accuracy(tflite.predict(path, photos), data.test.labels)


def memory(claim: Claim, lab: Laboratory) -> Rows:
    """Returns bytes, latency and memory of every variant of `tfkd compare`."""
    (arm,) = claim.arms.values()
    manifest, _ = compare(lab.taught(arm), lab.progress, lab.runs, lab.runs / "bundles")
    kept = ("bytes", "latency_ms", "peak_memory_mb", "accuracy")
    return {row.variant: {name: getattr(row, name) for name in kept} for row in manifest.comparison}


MEASURES: dict[str, Callable[[Claim, Laboratory], Rows]] = {
    "accuracy": accuracies,
    "convergence": convergence,
    "corruptions": corruptions,
    "memory": memory,
}
