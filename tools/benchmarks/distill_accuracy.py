"""Measures the gain of every method of distillation: students of one teacher and their controls, for equal steps.

    python tools/benchmarks/distill_accuracy.py clothing --images folder:clothing160.zip --out clothing
    python tools/benchmarks/distill_accuracy.py clothing_fifth --images folder:clothing160.zip --out clothing_fifth
    python tools/benchmarks/distill_accuracy.py cifar10 --images folder:cifar10.zip --out cifar10

Every method is trained once; the three that are best on the validation images, and the control, are then trained with
two more seeds. The best is trained once more for half as long, with its control: if that control is as good, the
control has stopped improving. All students read the same soft-label store. After a kill it resumes. Writes OUT.json and
OUT.svg and prints a table; accuracies are on the test images.
"""

import argparse
import shlex
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.errors import TfkdError
from tfkd.files import write_json, write_text
from tfkd.pipeline import sweep
from tfkd.progress import for_output
from tfkd.recipe import (
    Attention,
    Augment,
    Contrastive,
    Data,
    Decoupled,
    Dist,
    Distill,
    FineTune,
    Hint,
    Normalized,
    Recipe,
    Relational,
    Schedule,
    SoftTargets,
    Standardized,
    Student,
    Teacher,
    Training,
)
from tfkd.recipe.files import load
from tfkd.report import trials
from tfkd.training.trials import Sweep

SEEDS = 3
CHOSEN = 3

PIPELINES = Path(__file__).resolve().parents[2] / "pipelines"
# A student from random weights; 64 px make long trainings cheap. CutMix would slow the control down for hundreds
# of epochs.
FROM_SCRATCH = [
    'student={"model": "mobilenet_v3_small", "width": 0.75}',
    "data.image_size=64",
    "data.augment.mix=none",
    "data.augment.operations=1",
]


def _clothing(*overrides: str) -> Recipe:
    return load(PIPELINES / "clothing.py", [*FROM_SCRATCH, *overrides])


# One store has the features for all methods, whichever are chosen.
CLOTHING = _clothing(
    "name=accuracy-clothing",
    'distill.features=["pooled", "stage:16"]',
    "distill.views=25",
    'distill.training={"epochs": 200, "batch_size": 128, "learning_rate": 4e-3}',
)
# Beyer et al. 2022 (arXiv:2106.05237): the gain over a control grows with the training's length and with mixing.
PATIENT = _clothing(
    "name=accuracy-clothing-patient",
    "data.augment.mix=cutmix",
    "distill.views=60",
    'distill.training={"epochs": 400, "batch_size": 128, "learning_rate": 4e-3}',
)
# The control still learns when these steps end: --epochs 60 trains for longer.
FIFTH = _clothing(
    "name=accuracy-clothing-fifth",
    "data.fraction=0.2",
    "data.unlabelled=rest",
    "distill.views=15",
    'distill.training={"epochs": 30, "batch_size": 64, "learning_rate": 3e-3}',
)
CIFAR10 = Recipe(
    name="accuracy-cifar10",
    data=Data(
        source="folder:cifar10.zip",
        image_size=32,
        fraction=0.2,
        augment=Augment(min_area=0.5),
    ),
    teachers=[
        Teacher(
            model="efficientnet_lite0",
            image_size=96,
            fine_tune=FineTune(epochs=2, head_epochs=20, thaw=0.5, batch_size=64, learning_rate=3e-4),
        )
    ],
    student=Student(model="mobilenet_v3_small", width=0.75),
    distill=Distill(views=25, training=Training(epochs=100, batch_size=128, learning_rate=4e-3)),
)
BENCHMARKS = {"clothing": CLOTHING, "clothing_patient": PATIENT, "clothing_fifth": FIFTH, "cifar10": CIFAR10}

SOFT = SoftTargets(temperature=2.0, weight=0.5)
FADING = Schedule(start=8.0, end=0.0, shape="cosine")
METHODS: dict[str, tuple[float, list[Any]]] = {
    "soft targets T=4": (0.1, [SoftTargets(temperature=4.0, weight=0.9)]),
    "soft targets T=2": (0.5, [SOFT]),
    "decoupled (DKD)": (1.0, [Decoupled(temperature=4.0, others=2.0, weight=0.25)]),
    "standardized logits": (0.1, [Standardized(temperature=2.0, weight=9.0)]),
    "DIST": (1.0, [Dist(temperature=1.0, inter=1.0, intra=1.0, weight=1.0)]),
    "normalized (NKD)": (1.0, [Normalized(temperature=1.0, weight=1.0)]),
    "attention (AT)": (0.5, [SOFT, Attention(teacher_tap="stage:16", student_tap="stage:16", weight=50.0)]),
    "hint (FitNets)": (0.5, [SOFT, Hint(weight=1.0)]),
    "strong hint": (0.3, [SoftTargets(temperature=2.0, weight=1.0), Hint(weight=4.0)]),
    "relational (RKD)": (0.5, [SOFT, Relational(weight=5.0)]),
    "contrastive (CRD)": (0.5, [SOFT, Contrastive(weight=0.2)]),
    "hint, then soft targets": (0.1, [SoftTargets(temperature=2.0, weight=1.0), Hint(weight=FADING)]),
}


def variations(base: Recipe, methods: list[str], seeds: int) -> dict[str, Recipe]:
    """Returns one recipe per method, each with its control."""
    return {
        name: base.model_copy(
            update={
                "distill": base.distill.model_copy(
                    update={"label_weight": METHODS[name][0], "losses": METHODS[name][1], "repeats": seeds}
                )
            }
        )
        for name in methods
    }


def measured(base: Recipe, methods: list[str], runs: Path) -> Sweep:
    """Trains every method once, the best methods with more seeds, and the best one for half as long."""
    progress = for_output()
    first = sweep.sweep(variations(base, methods, 1), progress, runs)
    ranked = sorted(first.trials, key=lambda trial: -statistics.fmean(trial.validation_accuracies))
    best = [trial.name for trial in ranked[:CHOSEN]]
    progress.say(f"with {SEEDS} seeds: {', '.join(best)}; half as long: {best[0]}")
    mixed = {name: variations(base, [name], SEEDS if name in best else 1)[name] for name in methods}
    shorter = variations(lasting(base, max(1, base.distill.training.epochs // 2)), best[:1], 1)
    mixed |= {f"{name}, half as long": recipe for name, recipe in shorter.items()}
    return sweep.sweep(mixed, progress, runs)


def lasting(base: Recipe, epochs: int) -> Recipe:
    """Returns the recipe with another budget."""
    training = base.distill.training.model_copy(update={"epochs": epochs})
    return base.model_copy(update={"distill": base.distill.model_copy(update={"training": training})})


def _described(label_weight: float, losses: list[Any]) -> dict[str, Any]:
    return {"label_weight": label_weight, "losses": [loss.model_dump(mode="json") for loss in losses]}


def _base_recipe(arguments: argparse.Namespace) -> Recipe:
    base = BENCHMARKS.get(arguments.benchmark) or load(Path(arguments.benchmark))
    if arguments.images:
        base = base.model_copy(update={"data": base.data.model_copy(update={"source": arguments.images})})
    return lasting(base, arguments.epochs) if arguments.epochs else base


def main() -> None:
    """Parses the command line, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benchmark", help=f"{', '.join(BENCHMARKS)}, or the file of a recipe of your own")
    parser.add_argument("--images", help="folder:PATH of the photos, instead of the recipe's")
    parser.add_argument(
        "--methods", type=lambda text: text.split(";"), help="methods, separated by semicolons; default: all"
    )
    parser.add_argument("--epochs", type=int, help="epochs of every training; default: the benchmark's")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that keeps the trainings")
    parser.add_argument("--out", type=Path, required=True, help="writes OUT.json and OUT.svg")
    arguments = parser.parse_args()
    methods = arguments.methods or list(METHODS)
    if unknown := set(methods) - set(METHODS):
        parser.error(f"there is no method {unknown.pop()!r}; there are {'; '.join(METHODS)}")
    try:
        base = _base_recipe(arguments)
        found = measured(base, methods, arguments.runs)
    except TfkdError as error:
        parser.error(str(error))
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "environment": machine.environment(),
        "recipe": base.model_dump(mode="json"),
        "methods": {name: _described(*METHODS[name]) for name in methods},
        **asdict(found),
    }
    write_json(arguments.out.with_suffix(".json"), result)
    write_text(arguments.out.with_suffix(".svg"), trials.plot(found))
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 120).print(trials.table(found))


if __name__ == "__main__":
    main()
