"""Shows whether a promised recall of a rare class is kept with a threshold and without, and by balanced trainings.

    python -m tools.benchmarks.promises --images clothing160.zip --out docs/evidence/promises.json
    python -m tools.benchmarks.promises --smoke --images clothing160.zip --out promises.json

The set has all photos of three common classes, and so many of a rare one that it makes up 3 % of each split. Every seed
draws the photos and the splits, and trains a small pretrained student of one teacher as it is, with balanced class
weights, and with balanced sampling. Each run promises the recall of the rare class (gates.min_recall). Writes JSON to
--out and stdout: recall and precision of the rare class on the test photos through each file, with the verdict of the
gate, both with the threshold that the run chose and without it. After a kill it resumes: --runs keeps what is finished.
"""

import argparse
import json
import random
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.bundle.manifest import Manifest
from tfkd.errors import TfkdError
from tfkd.files import write_json
from tfkd.pipeline.run import run
from tfkd.progress import for_output
from tfkd.recipe import Bench, Data, Distill, Export, FineTune, Gates, Recipe, SoftTargets, Student, Teacher, Training
from tfkd.verification import intervals
from tfkd.verification.class_gates import judge_scores
from tfkd.verification.records import Artifact, Gate, Scores
from tfkd.verification.verdict import file_name
from tools.benchmarks.auto_accuracy import photos, unpack

COMMON, RARE = ("longsleeve", "pants", "t-shirt"), "shorts"
FRACTION = 0.03  # of the photos that are of the rare class
PROMISE = 0.8  # for which 16 test photos are enough
TRAININGS: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "class_weight=balanced": ("distill.training.class_weight=balanced",),
    "sampling=balanced": ("distill.training.sampling=balanced",),
}
SMOKE = (
    "data.image_size=32",
    "teachers.0.image_size=32",
    "teachers.0.fine_tune.head_epochs=2",
    'student={"model": "mobilenet_v2", "weights": "none", "width": 0.35}',
    "distill.views=1",
    "distill.training.epochs=1",
    "gates.better_than_chance=false",
    "gates.diagnosis=false",
)


def drawn(found: dict[tuple[str, str], list[str]], seed: int) -> dict[str, list[str]]:
    """Returns the names to unpack, by class: all photos of the common ones, and some of the rare one."""
    names = {label: [name for (_, each), names in found.items() if each == label for name in names] for label in COMMON}
    common = sum(map(len, names.values()))
    rare = [name for (_, each), names in found.items() if each == RARE for name in names]
    random.Random(seed).shuffle(rare)
    return names | {RARE: rare[: round(common * FRACTION / (1 - FRACTION))]}


def recipe_of(name: str, source: Path, seed: int, overrides: Iterable[str]) -> Recipe:
    """Returns the recipe of a seed; the loss with the labels, which alone has class weights, counts half."""
    recipe = Recipe(
        name=name,
        data=Data(source=f"folder:{source}", image_size=63, validation_share=0.3, test_share=0.3),
        teachers=[
            Teacher(model="efficientnet_lite0", image_size=96, fine_tune=FineTune(head_epochs=20, epochs=0, thaw=0.0))
        ],
        student=Student(model="squeezenet_1_1", weights="imagenet", activation="relu"),
        distill=Distill(
            losses=[SoftTargets(temperature=2.0, weight=0.5)],
            label_weight=0.5,
            views=4,
            control=False,
            training=Training(epochs=20, batch_size=64, learning_rate=2e-3),
        ),
        export=Export(tflite=["fp32", "int8"], coreml=[]),
        bench=Bench(runs=10, warmup=1),
        gates=Gates(min_recall={RARE: PROMISE}),
        seed=seed,
    )
    return recipe.with_(*overrides)


def figures(scores: Scores, gate: Gate) -> dict[str, Any]:
    """Returns counts of the rare class, and the verdict on its recall."""
    found = scores.classes[RARE]
    return {
        "images": found.images,
        "predicted": found.predicted,
        "right": found.right,
        "balanced_accuracy": scores.balanced_accuracy.value,
        "verdict": gate.verdict,
        "reason": gate.reason,
    }


def of_file(manifest: Manifest, artifact: Artifact) -> dict[str, Any]:
    """Returns the figures of a file without the threshold and with it."""
    plain, shipped, file = artifact.scores, artifact.shipped_scores, file_name(artifact.path)
    assert plain is not None and shipped is not None
    (without,) = judge_scores(Gates(min_recall={RARE: PROMISE}), plain, file, {})
    (with_threshold,) = (gate for gate in manifest.gates if gate.name == without.name)
    return {
        "accuracy": artifact.accuracy,
        "without threshold": figures(plain, without),
        "with threshold": figures(shipped, with_threshold),
    }


def measured(title: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Trains with one seed, and returns the threshold and the figures of both files."""
    name = f"promises-{seed}{'-smoke' if options.smoke else ''}"
    kept = options.runs / f"{name}-{title.partition('=')[0].replace(' ', '-')}.json"
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    source = options.runs / f"photos-{name}"
    unpack(options.images, drawn(photos(options.images), seed), source)
    recipe = recipe_of(name, source, seed, TRAININGS[title] + (SMOKE if options.smoke else ()))
    manifest = run(recipe, for_output(), options.runs, options.runs / "bundles").manifest
    assert manifest is not None
    found = {
        "seed": seed,
        "splits": manifest.data.splits,
        "threshold": manifest.thresholds[RARE].model_dump(mode="json"),
        "files": {artifact.precision: of_file(manifest, artifact) for artifact in manifest.artifacts},
    }
    write_json(kept, found)
    return found


def summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns recall and precision over the test photos of all seeds, and the verdicts, by file."""
    return {
        precision: {
            way: _together([seed["files"][precision][way] for seed in seeds])
            for way in ("without threshold", "with threshold")
        }
        for precision in seeds[0]["files"]
    }


def _together(found: list[dict[str, Any]]) -> dict[str, Any]:
    images, predicted, right = (sum(each[name] for each in found) for name in ("images", "predicted", "right"))
    return {
        "recall": right / images,
        "interval": intervals.proportion(right, images),
        "precision": right / predicted if predicted else None,
        "verdicts": [each["verdict"] for each in found],
    }


def main() -> None:
    """Parses the command line, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="clothing160.zip: TOP/SPLIT/CLASS/PHOTO")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 1 (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="one seed, networks that train in a second, as a check")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder that keeps photos, stores and trainings"
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    seeds, found = range(1, (1 if options.smoke else options.seeds) + 1), dict[str, list[dict[str, Any]]]()
    try:
        for seed in seeds:
            for title in TRAININGS:
                found.setdefault(title, []).append(measured(title, seed, options))
    except TfkdError as error:
        parser.error(str(error))
    result = {
        "command": shlex.join(["python", "-m", "tools.benchmarks.promises", *sys.argv[1:]]),
        "environment": machine.environment(),
        "rare": {"class": RARE, "fraction": FRACTION, "promise": PROMISE},
        "trainings": {title: {"seeds": each, "files": summary(each)} for title, each in found.items()},
    }
    write_json(options.out, result)
    print(json.dumps({title: summary(each) for title, each in found.items()}))


if __name__ == "__main__":
    main()
