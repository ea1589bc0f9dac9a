"""Measures students of texts against their teacher and their controls, over several seeds.

    python tools/benchmarks/text_accuracy.py --out docs/evidence/text_accuracy.json

The recipe is pipelines/intents.py: Banking77, MiniLM-L6 with a trained head. Students are the mean of word vectors and
a small transformer, each with the teacher's word vectors and without, at temperatures, and the transformer with losses
on hidden states and attention; with ten labels per class and the other texts unlabelled, and with all labels. Every
student has a control of the same start that learns from the labels alone. After a kill the same command continues:
--runs keeps stores and trainings. Writes JSON to --out and stdout.
"""

import argparse
import json
import runpy
import shlex
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.errors import TfkdError
from tfkd.files import write_json
from tfkd.pipeline import sweep
from tfkd.progress import for_output
from tfkd.recipe import Recipe

PIPELINE = Path(__file__).parents[2] / "pipelines" / "intents.py"
# A step takes ten times as long as that of the mean of word vectors, hence a third of its epochs.
TRANSFORMER = (
    "student.model=text_transformer",
    "student.teacher_layers=[]",
    "distill.training.learning_rate=0.001",
    "distill.training.epochs=10",
)
STATES = {"kind": "hidden_states", "teacher_tap": "layer_5_hidden", "student_tap": "layer_1_hidden", "weight": 0.1}
HIDDEN = (*TRANSFORMER, 'distill.features=["layer_5_hidden"]')
ALL_LABELS = ("data.fraction=1", "data.unlabelled=null")
ARMS: dict[str, dict[str, tuple[str, ...]]] = {
    "ten labels": {
        "word average": (),
        "word average, own word vectors": ("student.weights=none",),
        **{f"word average, T = {value}": (f"distill.losses.0.temperature={value}",) for value in (1, 2, 4, 6)},
        "transformer": TRANSFORMER,
    },
    "ten labels, hidden states": {"transformer, hidden states": HIDDEN},
    "all labels": {
        "word average, all labels": ALL_LABELS,
        "transformer, all labels": (*ALL_LABELS, *TRANSFORMER),
    },
}


def recipes(group: str, seeds: int, overrides: list[str]) -> dict[str, Recipe]:
    """Returns the recipes of a group, which share a store, by their names in the table."""
    base: Recipe = runpy.run_path(str(PIPELINE))["recipe"]
    found = {}
    for name, own in ARMS[group].items():
        recipe = base.with_(*own, f"distill.repeats={seeds}", *overrides)
        if own[: len(HIDDEN)] == HIDDEN:
            losses = [loss.model_dump(mode="json") for loss in recipe.distill.losses]
            recipe = recipe.with_(f"distill.losses={json.dumps([*losses, STATES])}")
        found[name] = recipe
    return found


def rows(group: str, options: argparse.Namespace) -> dict[str, Any]:
    """Trains a group, and returns the accuracies of teacher, students and controls by seed."""
    found = sweep.sweep(recipes(group, options.seeds, options.overrides), for_output(), options.runs)
    return {
        trial.name: {name: value for name, value in asdict(trial).items() if name != "name"}
        | {"teacher_accuracy": found.teacher_accuracy}
        for trial in found.trials
    }


def summary(row: dict[str, Any]) -> dict[str, float]:
    """Returns the means over seeds: accuracies, the fraction of the teacher's, and the gain over the own control."""
    student, control = (statistics.fmean(row[name]) for name in ("accuracies", "control_accuracies"))
    relative = student / row["teacher_accuracy"]
    return {"student": student, "control": control, "relative": relative, "gain": student - control}


def main() -> None:
    """Parses the command line, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="further settings of every recipe, e.g. distill.training.epochs=2")
    parser.add_argument("--groups", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: %(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that keeps stores and trainings")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_intermixed_args()
    found: dict[str, Any] = {}
    try:
        for group in options.groups:
            found |= rows(group, options)
    except TfkdError as error:
        parser.error(str(error))
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "environment": machine.environment(),
        "rows": {name: row | summary(row) for name, row in found.items()},
    }
    write_json(options.out, result)
    print(json.dumps({name: summary(row) for name, row in found.items()}))


if __name__ == "__main__":
    main()
