"""Measures what `distill="auto"` reaches with few labels and with all of them, over several seeds.

    python tools/benchmarks/auto_accuracy.py ten --images clothing160.zip --out docs/evidence/auto_ten.json
    python tools/benchmarks/auto_accuracy.py all --images clothing160.zip --out docs/evidence/auto_all.json
    python tools/benchmarks/auto_accuracy.py two_hundred --images clothing160.zip --out docs/evidence/auto_200.json

ten: 10 labels per class and the other training photos unlabelled; all: every label; two_hundred: 40 photos of each of
five classes, nothing else. Teacher, control and student see the same labels, and control and student start from the
same weights and take the same steps. `ten` and `all` share the teacher of all labels. After a kill it resumes: --runs
keeps stores and trainings. Writes JSON to --out and stdout; accuracies are on the test photos of the zip.
"""

import argparse
import json
import random
import shlex
import statistics
import sys
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.errors import TfkdError
from tfkd.files import write_json
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import CURVE, RunFolder, of_seed
from tfkd.pipeline.run import open_run, run
from tfkd.pipeline.stages.control import CONTROL
from tfkd.pipeline.stages.student import STUDENT
from tfkd.pipeline.stages.teacher import TEACHER
from tfkd.progress import for_output
from tfkd.recipe import Data, FineTune, Recipe, Student, Teacher

FIVE = ("dress", "hat", "pants", "shirt", "shoes")
SQUEEZENET = ("student.model=squeezenet_1_1", "student.activation=relu", "data.image_size=127")  # that of README.md
TEN, FORTY = 10, 40
TUNED = FineTune(epochs=4, head_epochs=30, thaw=0.5, batch_size=32, learning_rate=3e-4)  # that of pipelines/clothing.py
# Smallest student / teacher accuracy, smallest gain over the control in points, largest fraction of its steps.
GOALS: dict[str, dict[str, float]] = {
    "ten": {"relative": 0.95, "gain": 8.0},
    "all": {"gain": 0.0, "steps": 0.6},
    "two_hundred": {"relative": 0.9},
}


def photos(path: Path) -> dict[tuple[str, str], list[str]]:
    """Returns the names in a zip of TOP/SPLIT/CLASS/PHOTO, by split and class."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith("/"):
                *_, split, label, _ = name.split("/")
                found[split, label].append(name)
    return found


def drawn(benchmark: str, found: dict[tuple[str, str], list[str]]) -> dict[str, list[str]]:
    """Returns the names to unpack, by folder; the labelled ones are drawn with seed 1."""
    rng, parts = random.Random(1), defaultdict(list)
    for label in FIVE if benchmark == "two_hundred" else sorted({label for _, label in found}):
        train = found["train", label][:]
        rng.shuffle(train)
        if benchmark == "two_hundred":
            train, held_out, rest = train[: FORTY - 4], train[FORTY - 4 : FORTY], []
        else:
            train, held_out, rest = train[:TEN], found["validation", label], train[TEN:]
        parts[f"photos/train/{label}"] = train
        parts[f"photos/validation/{label}"] = held_out
        parts[f"photos/test/{label}"] = found["test", label]
        parts["rest"] += rest
    return parts


def unpack(path: Path, parts: dict[str, list[str]], folder: Path) -> None:
    """Writes the photos of a zip to folders; those that are there already stay."""
    with zipfile.ZipFile(path) as archive:
        for part, names in parts.items():
            for name in names:
                target = folder / part / Path(name).name
                if not target.is_file():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(name))


def recipe_of(benchmark: str, images: Path, folder: Path, overrides: list[str]) -> Recipe:
    """Returns the recipe, without any setting of the distillation but those of the overrides."""
    if benchmark == "all":
        data = Data(source=f"folder:{images}", image_size=96)
    else:
        unpack(images, drawn(benchmark, photos(images)), folder)
        rest = f"folder:{folder / 'rest'}" if benchmark == "ten" else None
        data = Data(source=f"folder:{folder / 'photos'}", unlabelled=rest, image_size=96)
    tuning = FineTune() if benchmark == "two_hundred" else TUNED
    recipe = Recipe(
        name=f"auto-{benchmark}",
        data=data,
        teachers=[Teacher(model="efficientnet_lite2", image_size=160, fine_tune=tuning)],
        student=Student(model="mobilenet_v2"),
    )
    return recipe.with_(*(SQUEEZENET if benchmark == "two_hundred" else ()), *overrides)


def reached_at(curve: list[dict[str, Any]], accuracy: float) -> float | None:
    """Returns after which fraction of a learning curve a validation accuracy is reached; None if it never is."""
    epochs = [point["epoch"] for point in curve if point["validation_accuracy"] >= accuracy]
    return min(epochs) / len(curve) if epochs else None


def measured(context: RunContext) -> dict[str, Any]:
    """Returns the figures of a finished run."""
    students, controls = context.result(STUDENT), context.result(CONTROL)
    teacher, steps = context.result(TEACHER), []
    for student, control in zip(students.trainings, controls.trainings, strict=True):
        path = of_seed(context.folder_of(STUDENT), student.seed) / CURVE
        steps.append(reached_at(json.loads(path.read_text(encoding="utf-8")), control.validation_accuracy))
    return {
        "recipe": context.recipe.model_dump(mode="json"),
        "images": {
            name: len(getattr(context.data, name) or ()) for name in ("train", "unlabelled", "validation", "test")
        },
        "teacher_accuracy": teacher.accuracy,
        "seeds": students.seeds,
        "accuracies": students.accuracies,
        "control_accuracies": controls.accuracies,
        "validation_accuracies": [each.validation_accuracy for each in students.trainings],
        "control_validation_accuracies": [each.validation_accuracy for each in controls.trainings],
        "temperatures": [each.temperature for each in students.trainings],
        "finish": [each.finish for each in students.trainings],
        "control_finish": [each.finish for each in controls.trainings],
        "steps_to_the_validation_accuracy_of_the_control": steps,
        "seconds": {"teacher": teacher.seconds, "student": students.seconds, "control": controls.seconds},
    }


def judged(benchmark: str, found: dict[str, Any]) -> dict[str, Any]:
    """Returns what was reached, in fractions and points with the spread over the seeds, beside the goals."""
    gains = [
        100 * (student - control)
        for student, control in zip(found["accuracies"], found["control_accuracies"], strict=True)
    ]
    steps = found["steps_to_the_validation_accuracy_of_the_control"]
    reached = {
        "relative": statistics.fmean(found["accuracies"]) / found["teacher_accuracy"],
        "gain": statistics.fmean(gains),
        "gain_deviation": statistics.stdev(gains) if len(gains) > 1 else None,
        "steps": None if None in steps else statistics.fmean(steps),
    }
    goals = GOALS[benchmark]
    met = {name: reached[name] is not None and reached[name] >= goal for name, goal in goals.items() if name != "steps"}
    if "steps" in goals:
        met["steps"] = reached["steps"] is not None and reached["steps"] <= goals["steps"]
    return {"goals": goals, "reached": reached, "met": met}


def main() -> None:
    """Parses the command line, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=GOALS)
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="other settings, e.g. distill.training.epochs=2"
    )
    parser.add_argument("--images", type=Path, required=True, help="clothing160.zip: TOP/SPLIT/CLASS/PHOTO")
    parser.add_argument("--seeds", type=int, help="number of seeds; default: 3, or 1 of two_hundred")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder that keeps photos, stores and trainings"
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_intermixed_args()
    benchmark, runs, progress = options.benchmark, options.runs, for_output()
    seeds = options.seeds or (1 if benchmark == "two_hundred" else 3)
    overrides = [f"distill.repeats={seeds}", *options.overrides]
    try:
        recipe = recipe_of(benchmark, options.images, runs / f"photos-{benchmark}", overrides)
        run(recipe, progress, runs, until=STUDENT.name)
        found = measured(open_run(recipe, RunFolder(runs / recipe.name), progress))
        if benchmark == "ten":
            every = recipe_of("all", options.images, runs, overrides)
            run(every, progress, runs, until=TEACHER.name)
            context = open_run(every, RunFolder(runs / every.name), progress)
            found["teacher_accuracy_with_all_labels"] = context.result(TEACHER).accuracy
    except TfkdError as error:
        parser.error(str(error))
    command = {"command": shlex.join(["python", *sys.argv]), "environment": machine.environment()}
    result = {**command, **found, **judged(benchmark, found)}
    write_json(options.out, result)
    print(json.dumps(result["reached"] | {"met": result["met"]}))


if __name__ == "__main__":
    main()
