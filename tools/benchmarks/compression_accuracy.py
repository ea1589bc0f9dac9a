"""Measures the accuracy that quantization, pruning and clustering cost, over all seeds of a recipe.

    python tools/benchmarks/compression_accuracy.py pipelines/clothing.py data.source=folder:clothing160.zip
        --out docs/evidence/compression_accuracy.json

Takes the recipe's students, trains each again with pruning, clustering and int8 rounding by the blocks' defaults, and
runs every file on the test images. After a kill it resumes. The table goes to stderr, JSON to stdout.
"""

import argparse
import contextlib
import json
import shlex
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfkd import machine
from tfkd.compress import QUANTIZED
from tfkd.compress.job import CompressJob
from tfkd.data.batches import plain_batches
from tfkd.distill.measures import accuracy
from tfkd.errors import TfkdError
from tfkd.files import fingerprint, write_json
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import STUDENT_MODEL, RunFolder, of_seed
from tfkd.pipeline.kind import StageKind
from tfkd.pipeline.run import open_run, run_stages
from tfkd.pipeline.stage import Stage, locked
from tfkd.pipeline.stages.student import STUDENT
from tfkd.pipeline.stages.trainings import TrainingsResult, job_in_run
from tfkd.progress import for_output
from tfkd.recipe import AnyCompression, Cluster, Prune, QuantizationAware, Recipe, files
from tfkd.recipe.networks import chain
from tfkd.training.saving import load_model
from tfkd.verification import tflite as verified
from tfkd.writers import samples, tflite

# Largest mean loss of accuracy against the float student, in points; None: measured without a goal.
GOALS = {
    "int8, min_max ranges": 0.5,
    "int8, mse ranges": 0.5,
    "16x8": None,
    "QAT, int8": 0.2,
    "pruned 50 %, fp32": 1.0,
    "pruned 50 %, int8": None,
    "16 clusters, fp32": 1.0,
    "16 clusters, int8": None,
}


FILE = "model.tflite"
# Name of the folder, block, precision and ranges of each file.
FORMS: dict[str, tuple[str, AnyCompression | None, str, str]] = {
    "fp32": ("fp32", None, "fp32", "min_max"),
    "int8, min_max ranges": ("int8", None, "int8", "min_max"),
    "int8, mse ranges": ("int8_mse", None, "int8", "mse"),
    "16x8": ("16x8", None, "16x8", "min_max"),
    "QAT, int8": ("qat_int8", QuantizationAware(), "int8", "min_max"),
    "pruned 50 %, fp32": ("pruned_fp32", Prune(), "fp32", "min_max"),
    "pruned 50 %, int8": ("pruned_int8", Prune(), "int8", "min_max"),
    "16 clusters, fp32": ("clustered_fp32", Cluster(), "fp32", "min_max"),
    "16 clusters, int8": ("clustered_int8", Cluster(), "int8", "min_max"),
}


class Student:
    """The trained student of one seed, or its control, and its compressed forms; all files are in one folder."""

    def __init__(self, run: RunContext, seed: int, kind: StageKind[TrainingsResult] = STUDENT) -> None:
        self._run, self._seed, self._kind = run, seed, kind
        self._trained = of_seed(run.folder_of(kind), seed)
        self._folder = (
            run.folder.path / "compression_accuracy" / ("" if kind is STUDENT else kind.name) / f"seed-{seed}"
        )
        data, recipe = run.shipped, run.recipe
        self._signature, count = data.reading.signature(recipe.data), recipe.export.calibration_images
        self._images, _ = samples.examples(data.train, self._signature, count, recipe.seed)

    def accuracies(self) -> dict[str, float]:
        """Returns the test accuracy, 0 to 1, of the student and of each row of GOALS."""
        logits = np.load(self._trained / "test_logits.npy", allow_pickle=False)
        return {"float": accuracy(logits, self._run.data.test.labels), **{name: self.accuracy(name) for name in GOALS}}

    def accuracy(self, form: str) -> float:
        """Returns the test accuracy, 0 to 1, of a form of FORMS."""
        name, block, precision, ranges = FORMS[form]
        return self._file(name, block, precision, ranges)

    def file(self, form: str) -> Path:
        """Returns the .tflite file of a form of FORMS."""
        self.accuracy(form)
        return self._folder / FORMS[form][0] / FILE

    def _compressed(self, block: AnyCompression) -> Path:
        run, folder = self._run, self._folder / block.kind
        recipe = run.recipe

        def train() -> dict[str, Any]:
            job = job_in_run(run, "student", self._seed, folder, recipe.student, len(chain(recipe)))
            title = f"seed {self._seed}, {block.kind}"
            compressed = run.executor.compress(
                CompressJob(job, self._trained / STUDENT_MODEL, (block,), title), run.progress
            )
            return {"seconds": compressed.seconds}

        self._once(folder, train, block.model_dump(mode="json"))
        return folder

    def _file(self, name: str, block: AnyCompression | None, precision: str, ranges: str) -> float:
        run, folder = self._run, self._folder / name
        source = self._compressed(block) if block else self._trained

        def write() -> dict[str, Any]:
            path = folder / FILE
            if (source / QUANTIZED).is_dir():
                tflite.write_quantized(source / QUANTIZED, path, run.card, self._signature)
            else:
                model = load_model(source / STUDENT_MODEL)
                tflite.write_tflite(model, precision, path, run.card, self._images, ranges=ranges)
            test = plain_batches(run.shipped.test, self._signature, 64).map(lambda inputs, _: inputs)
            return {"accuracy": accuracy(verified.predict(path, test), run.data.test.labels)}

        described = block.model_dump(mode="json") if block else None
        found: float = self._once(folder, write, precision, ranges, described)["accuracy"]
        return found

    def _once(self, folder: Path, work: Callable[[], dict[str, Any]], *inputs: Any) -> dict[str, Any]:
        stage = Stage(
            folder, fingerprint(self._run.stages[self._kind.name].fingerprint, self._seed, folder.name, *inputs)
        )
        if stage.result() is None:
            stage.begin()
            stage.finish(work())
        result: dict[str, Any] = stage.result()
        return result


def measured(recipe: Recipe, runs: Path) -> dict[int, dict[str, float]]:
    """Returns the accuracies of every seed."""
    folder = RunFolder(runs / recipe.name)
    with locked(folder.path):
        run = open_run(recipe, folder, for_output())
        run_stages(run, "student", folder.path)
        run.start_tensorflow()
        return {seed: Student(run, seed).accuracies() for seed in run.result(STUDENT).seeds}


def summary(found: dict[int, dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Returns mean and spread of the loss against the float student, in points, and the goals."""
    rows = {}
    for name, goal in GOALS.items():
        drops = [100 * (accuracies["float"] - accuracies[name]) for accuracies in found.values()]
        rows[name] = {
            "mean_drop": round(statistics.fmean(drops), 3),
            "standard_deviation": round(statistics.stdev(drops), 3) if len(drops) > 1 else None,
            "drops": [round(drop, 3) for drop in drops],
            "goal": goal,
        }
    return rows


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Returns the summary as a table for the terminal."""
    lines = [f"{'points lost to the float student':34}{'mean':>7}{'goal':>7}   by seed"]
    for name, row in rows.items():
        goal = "" if row["goal"] is None else f"{row['goal']:.1f}"
        lines.append(f"{name:34}{row['mean_drop']:7.2f}{goal:>7}   {', '.join(f'{d:.2f}' for d in row['drops'])}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", help="key=value")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that keeps the trainings")
    parser.add_argument("--out", type=Path, help="file for a copy of the JSON")
    options = parser.parse_args()
    try:
        recipe = files.load(options.recipe, options.overrides)
        with contextlib.redirect_stdout(sys.stderr):  # progress
            found = measured(recipe, options.runs)
    except TfkdError as error:
        parser.error(str(error))
    rows = summary(found)
    report = {
        "benchmark": "compression_accuracy",
        "command": shlex.join(["python", *sys.argv]),
        "machine": machine.environment(),
        "recipe": recipe.model_dump(mode="json"),
        "accuracies": found,
        "points_lost": rows,
    }
    print(table(rows), file=sys.stderr)
    print(json.dumps(report, indent=2))
    if options.out:
        write_json(options.out, report)


if __name__ == "__main__":
    main()
