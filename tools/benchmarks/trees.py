"""Measures the tree and the forest of pipelines/digits.py over several seeds, and the files of their bundles.

    python tools/benchmarks/trees.py --bundles exported_models/digits exported_models/digits-forest
        --out docs/evidence/trees.json

Every seed draws other splits and other labelled rows, ten per class, and trains another teacher, which tree and forest
share. Each has a control that is fitted to the labels alone. The bundles are those of the pipeline itself; of their
files the largest difference of a probability from the Keras student on the test split is kept. After a kill the same
command continues: --runs keeps stores and trainings. Writes JSON to --out and stdout.
"""

import argparse
import json
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.bundle.manifest import read_manifest
from tfkd.errors import TfkdError
from tfkd.files import write_json
from tfkd.pipeline import sweep
from tfkd.progress import for_output
from tfkd.recipe import Forest, Recipe, Student, Tree

PIPELINE = Path(__file__).parents[2] / "pipelines" / "digits.py"
STUDENTS = {"tree": Tree(max_depth=6), "forest": Forest(trees=50, min_leaf=8)}


def recipes(seed: int, students: dict[str, Student] = STUDENTS) -> dict[str, Recipe]:
    """Returns the recipes of a seed, which share a teacher, by their students' names."""
    base: Recipe = runpy.run_path(str(PIPELINE))["recipe"]
    changed = base.model_copy(update={"name": f"digits-{seed}", "seed": seed})
    return {name: changed.model_copy(update={"student": student}) for name, student in students.items()}


def measured(seed: int, runs: Path) -> dict[str, Any]:
    """Returns the accuracies of teacher, students and controls of a seed."""
    found = sweep.sweep(recipes(seed), for_output(), runs)
    students = {
        trial.name: {
            "accuracy": trial.accuracies[0],
            "control_accuracy": trial.control_accuracies[0],
        }
        for trial in found.trials
    }
    return {"seed": seed, "teacher_accuracy": found.teacher_accuracy, "students": students}


def files_of(bundle: Path) -> dict[str, Any]:
    """Returns what a bundle states of its student and of each file."""
    manifest = read_manifest(bundle)
    return {
        "accuracy": manifest.student.accuracy,
        "agreement_with_teacher": manifest.student.agreement_with_teacher,
        "test examples": manifest.images,
        "gates": len(manifest.gates),
        "not passed": [gate.name for gate in manifest.gates if gate.verdict != "passed"],
        "files": {
            file.path: {"bytes": file.bytes, "same_class": file.top1_vs_keras, "largest_error": file.max_abs_error}
            for file in manifest.artifacts
        },
    }


def main() -> None:
    """Parses the command line, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds (default: %(default)s)")
    parser.add_argument("--bundles", type=Path, nargs="*", default=[], help="bundles of the pipeline")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that keeps stores and trainings")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        seeds = [measured(seed, options.runs) for seed in range(1, options.seeds + 1)]
        bundles = {bundle.name: files_of(bundle) for bundle in options.bundles}
    except TfkdError as error:
        parser.error(str(error))
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "environment": machine.environment(),
        "seeds": seeds,
        "bundles": bundles,
    }
    write_json(options.out, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
