"""Shows three failures of students, the causes that tfkd names, and what a rescue gains, over several seeds.

    python tools/benchmarks/rescue.py --out docs/evidence/rescue.json
    python tools/benchmarks/rescue.py --smoke --out rescue.json

small: a student of about 2,000 weights; short: five epochs; memorised: a teacher that was fine-tuned on 270 photos
until its soft labels repeat the labels. The others learn from a quarter of the photos of Fashion-MNIST that the package
contains. The recipe is the same otherwise. Every seed runs `tfkd run --rescue` to its report. After a kill it resumes:
--runs keeps stores and trainings. Writes JSON to --out and stdout: the cause that was named first, what was tried, and
the accuracies of student, teacher and control on the test photos before and after.
"""

import argparse
import json
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any

from tfkd import import_path, machine
from tfkd.bundle.layout import MANIFEST
from tfkd.bundle.manifest import Manifest
from tfkd.errors import TfkdError
from tfkd.files import write_json
from tfkd.pipeline.rescue import run_with_rescue
from tfkd.pipeline.run import run
from tfkd.progress import for_output
from tfkd.recipe import Augment, Data, Distill, Export, FineTune, Gates, Recipe, SoftTargets, Student, Teacher, Training

VIEWS = Augment(
    min_area=0.7, max_aspect=1.1, brightness=0.1, contrast=0.1, saturation=0.0
)  # of pipelines/quickstart.py
EXPECTED = {
    "small": ("student too small",),
    "short": ("training too short",),
    "memorised": ("teacher too sure", "teacher memorised its examples"),
}
OVERRIDES: dict[str, list[str]] = {
    "small": ["student.model=tools.benchmarks.rescue:build_small", "student.width=1"],
    "short": ["distill.training.epochs=5"],
    "memorised": [
        "data.fraction=0.05",
        "student.model=tools.benchmarks.rescue:build_small",
        "student.width=4",
        "distill.losses.0.temperature=1",
        "teachers.0.fine_tune.epochs=15",
    ],
}
SMOKE = ["data.fraction=0.05", "distill.views=1", "distill.training.epochs=1", "teachers.0.fine_tune.epochs=1"]


def build_small(
    k: Any,
    *,
    image_size: int,
    classes: int,
    width: float,
    activation: str,
    dropout: float,
    batch_norm_momentum: float,
) -> Any:
    """A student of about 2,000 weights at width 1: three convolutions and a dense layer."""
    x = image = k.Input((image_size, image_size, 3))
    x = k.layers.Rescaling(1 / 128, offset=-1.0)(x)
    for channels in (8, 8, 12):
        x = k.layers.Conv2D(round(width * channels), 3, strides=2, padding="same", use_bias=False)(x)
        x = k.layers.BatchNormalization(momentum=batch_norm_momentum)(x)
        x = k.layers.ReLU(max_value=6.0)(x)
    x = k.layers.Dropout(dropout)(k.layers.GlobalAveragePooling2D()(x))
    return k.Model(image, k.layers.Dense(classes)(x))


def recipe_of(failure: str, seed: int, is_smoke: bool) -> Recipe:
    """Returns the recipe of a failure, with a gate of 0.97 of the teacher's accuracy, so that it fails."""
    recipe = Recipe(
        name=f"rescue-{seed}{'-smoke' if is_smoke else ''}",  # one folder, in which equal teachers are trained once
        data=Data(source="embedded:fashion_mnist_mini", image_size=32, fraction=0.25, augment=VIEWS),
        teachers=[
            Teacher(model="efficientnet_lite0", image_size=64, fine_tune=FineTune(head_epochs=30, epochs=2, thaw=0.5))
        ],
        student=Student(model="mobilenet_v3_small", weights="none", width=0.5, dropout=0.1),
        distill=Distill(
            losses=[SoftTargets(temperature=4.0, weight=0.9)],
            label_weight=0.1,
            views=4,
            training=Training(epochs=40, batch_size=32, learning_rate=3e-3),
        ),
        export=Export(tflite=["fp32"], coreml=[]),
        gates=Gates(min_relative_accuracy=0.97, max_accuracy_drop=None, min_agreement=None),
        seed=seed,
    )
    return recipe.with_(*OVERRIDES[failure], *(SMOKE if is_smoke else []))


def figures(manifest: Manifest) -> dict[str, Any]:
    """Returns the accuracies of a bundle on its test photos, and the causes that it names."""
    return {
        "student": manifest.student.accuracy,
        "control": manifest.student.control_accuracy,
        "teacher": manifest.teachers[0].accuracy,
        "causes": [each.cause for each in manifest.diagnosis if each.subject == "student"],
        "passed": not any(gate.verdict == "failed" for gate in manifest.gates),
    }


def measured(failure: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Runs one failure with one seed, first as it is and then with a rescue."""
    recipe, progress, bundles = recipe_of(failure, seed, options.smoke), for_output(), options.runs / "bundles"
    kept = options.runs / f"{recipe.name}-{failure}.json"
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    before = run(recipe, progress, options.runs, bundles).manifest
    after = run_with_rescue(recipe, progress, options.runs, bundles, options.hours)
    assert before is not None and after.bundle is not None
    manifest = Manifest.model_validate_json((after.bundle / MANIFEST).read_bytes())
    rescue = manifest.rescue.model_dump(mode="json") if manifest.rescue else None
    found = {"seed": seed, "before": figures(before), "rescue": rescue, "after": figures(manifest)}
    write_json(kept, found)
    return found


def summary(failure: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns how often the cause was named first, and the gain on the test photos in points."""
    gains = [100 * (each["after"]["student"] - each["before"]["student"]) for each in found]
    first = [(each["before"]["causes"] or [None])[0] for each in found]
    return {
        "expected": EXPECTED[failure],
        "named_first": first,
        "named": sum(not set(EXPECTED[failure]).isdisjoint(each["before"]["causes"]) for each in found),
        "gain": statistics.fmean(gains),
        "gain_deviation": statistics.stdev(gains) if len(gains) > 1 else None,
        "passed": [each["after"]["passed"] for each in found],
    }


def main() -> None:
    """Parses the command line, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--failures", nargs="+", choices=EXPECTED, default=list(EXPECTED))
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 1")
    parser.add_argument("--hours", type=float, default=1.0, help="time for the remedies of one seed")
    parser.add_argument("--smoke", action="store_true", help="one epoch on few photos, to check that it runs")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that keeps stores and trainings")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    import_path.append(Path(__file__).parents[2])  # of the module that holds the small student
    try:
        found = {
            failure: [
                measured(failure, seed, options) for seed in range(1, (1 if options.smoke else options.seeds) + 1)
            ]
            for failure in options.failures
        }
    except TfkdError as error:
        parser.error(str(error))
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "environment": machine.environment(),
        "failures": {failure: {"seeds": each, **summary(failure, each)} for failure, each in found.items()},
    }
    write_json(options.out, result)
    print(json.dumps({failure: summary(failure, each) for failure, each in found.items()}))


if __name__ == "__main__":
    main()
