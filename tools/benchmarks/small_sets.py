"""Measures what a small set can show: the plain split of 200 photos against data.folds=5, over several draws.

    python tools/benchmarks/small_sets.py --images clothing160.zip --out docs/evidence/small_sets.json
    python tools/benchmarks/small_sets.py --smoke --images clothing160.zip --out small_sets.json

Each draw takes 40 photos of each of five classes. A pretrained student is distilled from them twice: with a test split
of 20 photos, and with five folds, whose accuracy is pooled over all 200. Both give the student's accuracy and its gain
over the control, with 95 % intervals. The other photos of the five classes then show the accuracy of each exported file
in truth. After a kill it resumes: --runs keeps photos, stores and trainings. Writes JSON to --out and stdout.
"""

import argparse
import json
import random
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any

from auto_accuracy import FIVE, FORTY, TUNED, photos, unpack

from tfkd import machine
from tfkd.bundle.manifest import Manifest
from tfkd.data import open_evaluation
from tfkd.data.batches import plain_batches
from tfkd.distill.measures import accuracy
from tfkd.errors import TfkdError
from tfkd.files import write_json
from tfkd.pipeline.run import run
from tfkd.progress import Progress, for_output
from tfkd.recipe import Data, Export, Gates, Recipe, Student, Teacher
from tfkd.training.loop import prepare_tensorflow
from tfkd.verification import intervals, tflite

SPLITS: dict[str, tuple[str, ...]] = {"plain split": (), "five folds": ("data.folds=5",)}
SMOKE = (
    "data.image_size=32",
    "teachers.0.image_size=32",
    'teachers.0.fine_tune={"epochs": 1, "head_epochs": 2}',
    'student={"model": "mobilenet_v2", "weights": "none", "width": 0.35}',
    "distill.views=1",
    "distill.training.epochs=1",
    "gates.better_than_chance=false",
)


def drawn(found: dict[tuple[str, str], list[str]], draw: int) -> dict[str, list[str]]:
    """Returns the names to unpack, by folder: 40 photos per class as the set, and all others as the truth."""
    rng, parts = random.Random(draw), dict[str, list[str]]()
    for label in FIVE:
        names = [name for (_, each), names in found.items() if each == label for name in names]
        rng.shuffle(names)
        parts[f"set/{label}"], parts[f"others/{label}"] = names[:FORTY], names[FORTY:]
    return parts


def recipe_of(name: str, folder: Path, draw: int, overrides: tuple[str, ...]) -> Recipe:
    """Returns the recipe of a draw."""
    recipe = Recipe(
        name=name,
        data=Data(source=f"folder:{folder / 'set'}", image_size=96),
        teachers=[Teacher(model="efficientnet_lite0", image_size=128, fine_tune=TUNED)],
        student=Student(model="mobilenet_v2"),
        export=Export(tflite=["fp32"], coreml=[]),
        gates=Gates(not_worse_than_control=False, min_relative_accuracy=None),
        seed=draw,
    )
    return recipe.with_(*overrides)


def claimed(manifest: Manifest) -> dict[str, Any]:
    """Returns what a run claims of its student, with 95 % intervals; accuracies and gains run from 0 to 1."""
    student, images = manifest.student, manifest.images
    paired = student.against_control
    assert paired is not None and student.control_accuracy is not None
    right, control_right = (round(each * images) for each in (student.accuracy, student.control_accuracy))
    return {
        "images": images,
        "accuracy": student.accuracy,
        "interval": intervals.proportion(right, images),
        "control_accuracy": student.control_accuracy,
        "gain": student.accuracy - student.control_accuracy,
        "gain_interval": intervals.paired_difference(paired.lost, paired.gained, control_right, images),
        "p_value": paired.p_value,
    }


def measured(recipe: Recipe, folder: Path, runs: Path, progress: Progress) -> dict[str, Any]:
    """Runs a recipe, and returns its claim beside the accuracy of its file on the photos that it has not seen."""
    outcome = run(recipe, progress, runs, runs / "bundles")
    assert outcome.manifest is not None
    others = open_evaluation(Data(source=f"folder:{folder / 'others'}"), recipe.seed)
    bundle = outcome.bundle or outcome.folder / "report" / "bundle"
    (artifact,) = outcome.manifest.artifacts
    batches = [inputs.numpy() for inputs, _ in plain_batches(others.test, outcome.manifest.signature, 64)]
    found = claimed(outcome.manifest)
    truth = accuracy(tflite.predict(bundle / artifact.path, batches), others.test.labels)
    low, high = found["interval"]
    return found | {"other_images": len(others.test), "accuracy_on_others": truth, "holds": low <= truth <= high}


def summary(draws: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the mean width of the intervals, in points, and how often they hold what the other photos show."""
    widths = {
        name: statistics.fmean(100 * (high - low) for low, high in (each[name] for each in draws))
        for name in ("interval", "gain_interval")
    }
    errors = [100 * abs(each["accuracy"] - each["accuracy_on_others"]) for each in draws]
    return {
        "width": widths["interval"],
        "gain_width": widths["gain_interval"],
        "error": statistics.fmean(errors),
        "holding": sum(each["holds"] for each in draws),
    }


def splits(found: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Returns the draws of each split, with their summary."""
    return {name: {"draws": draws} | summary(draws) for name, draws in found.items()}


def main() -> None:
    """Parses the command line, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="clothing160.zip: TOP/SPLIT/CLASS/PHOTO")
    parser.add_argument("--draws", type=int, default=3, help="number of draws, from 1 (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="one draw, networks that train in a second, as a check")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder that keeps photos, stores and trainings"
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in SPLITS}
    archive = photos(options.images)
    prepare_tensorflow(machine.cores(), 0)
    try:
        for draw in range(1, (1 if options.smoke else options.draws) + 1):
            folder = options.runs / f"photos-small-{draw}"
            unpack(options.images, drawn(archive, draw), folder)
            for name, overrides in SPLITS.items():
                title = f"small-{draw}-{name.replace(' ', '-')}{'-smoke' if options.smoke else ''}"
                recipe = recipe_of(title, folder, draw, overrides + (SMOKE if options.smoke else ()))
                found[name].append({"draw": draw} | measured(recipe, folder, options.runs, for_output()))
    except TfkdError as error:
        parser.error(str(error))
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "environment": machine.environment(),
        "splits": splits(found),
    }
    write_json(options.out, result)
    print(json.dumps({name: summary(draws) for name, draws in found.items()}))


if __name__ == "__main__":
    main()
