"""Compares tfkd's int8 files with those of other quantizers, for one trained student.

Measures bytes, accuracy, XNNPACK partitions and latency.

    python -m venv peer
    peer/bin/pip install litert-quantizer
    python tools/benchmarks/quantizers.py pipelines/quickstart.py --peer peer/bin/python --out quantizers.json

    float           tfkd's fp32 file, which litert-quantizer starts from
    tfkd_…          tfkd's int8 file, with either kind of ranges
    converter       tf.lite.TFLiteConverter with a representative dataset, from the SavedModel behind the other files
    litert_…        litert-quantizer's static int8, by the methods of litert_quantize.py

The student is the one that the recipe ships; all calibrate on the same training images and are run on all test images.
litert-quantizer has an environment of its own because each of its versions pins one version of ai-edge-litert (0.11.0:
==2.3.0): in the same environment it would choose the runtime of tfkd, which takes >=2.3,<3.

The result contains the message of litert-quantizer if it refuses a method. After a kill it resumes; latency is measured
again, by one process without TensorFlow, all files in turn. The table goes to stderr, JSON to stdout.
"""

import argparse
import contextlib
import functools
import json
import os
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfkd import machine
from tfkd.benchmark import host
from tfkd.data.batches import plain_batches
from tfkd.distill.measures import accuracy
from tfkd.errors import RequestError, TfkdError
from tfkd.files import fingerprint, write_json
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import STUDENT_MODEL, RunFolder
from tfkd.pipeline.run import open_run, run_stages
from tfkd.pipeline.stage import Stage, locked
from tfkd.pipeline.stages.student import STUDENT, best_folder
from tfkd.progress import for_output
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import Bench, Recipe
from tfkd.recipe import files as recipe_files
from tfkd.training.saving import load_model
from tfkd.verification import tflite
from tfkd.writers import samples
from tfkd.writers.graph import frozen
from tfkd.writers.tflite import write_tflite

SCRIPT = Path(__file__).with_name("litert_quantize.py")
METHODS = ("moving_average", "min_max", "octav", "octav_weights")
FLOAT, BASE = "float", "tfkd_min_max"


class Peer:
    """litert-quantizer in another environment.

    Args:
        python: the interpreter of that environment.

    Raises:
        RequestError: it cannot be started, or has no litert-quantizer.
    """

    def __init__(self, python: Path) -> None:
        self._python = python
        try:
            done = self._run()
        except OSError as error:
            raise RequestError(f"--peer {python}: {error.strerror}.") from None
        if done.returncode:
            raise RequestError(f"--peer {python}: {_last_line(done)}")
        self.versions: dict[str, str] = json.loads(done.stdout)

    def quantize(self, network: Path, images: Path, method: str, out: Path) -> str | None:
        """Writes a quantized file; returns the last line of the peer's output if it failed."""
        done = self._run(str(network), str(images), method, str(out))
        return _last_line(done) if done.returncode else None

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._python), str(SCRIPT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def _last_line(options: subprocess.CompletedProcess[str]) -> str:
    lines = options.stderr.strip().splitlines()
    return lines[-1] if lines else f"ended with code {options.returncode}"


class Contest:
    """The files of one student; all are in one folder."""

    def __init__(self, run: RunContext, peer: Peer) -> None:
        self._run, self._peer = run, peer
        self._seed = run.result(STUDENT).best.seed
        self._folder = run.folder.path / "quantizers"
        recipe, data = run.recipe, run.shipped
        signature, count = data.reading.signature(recipe.data), recipe.export.calibration_images
        self._images, _ = samples.examples(data.train, signature, count, recipe.seed)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Returns the results of every contestant except latency, or the reason why there is no file."""
        self._folder.mkdir(exist_ok=True)
        np.save(self._calibration, self._images)
        own = {
            FLOAT: functools.partial(self._own, "fp32", "min_max"),
            BASE: functools.partial(self._own, "int8", "min_max"),
            "tfkd_mse": functools.partial(self._own, "int8", "mse"),
        }
        others = {f"litert_{method}": functools.partial(self._peers, method) for method in METHODS}
        done = {name: self._once(name, write, pixels=True) for name, write in own.items()}
        done["converter"] = self._once("converter", self._converter, pixels=False)
        done |= {name: self._once(name, write, self._peer.versions, pixels=False) for name, write in others.items()}
        return {name: {"refused": refused} if refused else self._described(name) for name, refused in done.items()}

    def path(self, name: str) -> Path:
        """Returns the file of a contestant."""
        return self._folder / name / "model.tflite"

    @property
    def _calibration(self) -> Path:
        return self._folder / "calibration.npy"

    @functools.cached_property
    def _student(self) -> Any:
        return load_model(best_folder(self._run) / STUDENT_MODEL)

    def _own(self, precision: str, ranges: str, path: Path) -> None:
        write_tflite(self._student, precision, path, self._run.card, self._images, ranges=ranges)

    def _converter(self, path: Path) -> None:
        import plain_converter
        import tensorflow as tf

        with frozen(self._student, self._run.card) as graph, native_logs_silenced():
            converter = tf.lite.TFLiteConverter.from_saved_model(str(graph.saved_model))
            path.write_bytes(plain_converter.quantized(converter, self._images))

    def _peers(self, method: str, path: Path) -> str | None:
        return self._peer.quantize(self.path(FLOAT), self._calibration, method, path)

    def _once(self, name: str, write: Callable[[Path], str | None], *inputs: Any, pixels: bool) -> str | None:
        """Writes a contestant's file and its predictions on the test images, unless they exist; see `_feed`."""
        path = self.path(name)
        stage = Stage(path.parent, fingerprint(self._run.stages["student"].fingerprint, self._seed, *inputs))
        if stage.result() is None:
            self._run.progress.say(f"  {name}")
            stage.begin()
            refused = write(path)
            if not refused:
                signature = self._run.data.reading.signature(self._run.recipe.data)
                test = plain_batches(self._run.shipped.test, signature, 64)
                feed = _feed(path, pixels)
                answers = tflite.predict(path, (feed(np.asarray(images)) for images, _ in test))
                np.save(path.with_name("answers.npy"), answers)
            stage.finish({"refused": refused})
        result: dict[str, Any] = stage.result() or {}
        return result["refused"]

    def _answers(self, name: str) -> np.ndarray:
        answers: np.ndarray = np.load(self.path(name).with_name("answers.npy"), allow_pickle=False)
        return answers

    def _described(self, name: str) -> dict[str, Any]:
        answers, wanted = self._answers(name), self._answers(FLOAT)
        found, details = tflite.delegation(self.path(name)), tflite.io(self.path(name))
        return {
            "bytes": self.path(name).stat().st_size,
            "accuracy": accuracy(answers, self._run.data.test.labels),
            "agreement": float(np.mean(answers.argmax(axis=1) == wanted.argmax(axis=1))),
            "mean_probability_difference": float(np.abs(answers - wanted).mean()),
            "input": details.input.dtype,
            "output": details.output.dtype,
            "operators": found.operators,
            "partitions": found.partitions,
            "outside": dict(Counter(found.outside)),
        }


def _feed(path: Path, pixels: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the function that converts raw RGB to the values that `predict` rounds and gives to a file.

    Args:
        path: of the file.
        pixels: its bytes are pixels, as in tfkd's files; otherwise scale and zero point of the file apply.
    """
    details = tflite.load(path).get_input_details()[0]
    scale, zero_point = details["quantization"]
    if pixels or not scale:
        return lambda images: images
    shift = zero_point - np.iinfo(details["dtype"]).min  # `predict` subtracts 128 for an int8 file
    return lambda images: images / np.float32(scale) + np.float32(shift)


def measured(recipe: Recipe, runs: Path, peer: Peer, bench: Bench) -> dict[str, Any]:
    """Returns the report: the contestants, and what they have in common."""
    folder = RunFolder(runs / recipe.name)
    with locked(folder.path):
        run = open_run(recipe, folder, for_output())
        run_stages(run, "student", folder.path)
        run.start_tensorflow()
        contest = Contest(run, peer)
        rows = contest.rows()
        load = os.getloadavg()[0]
        files = {name: contest.path(name) for name, row in rows.items() if "refused" not in row}
        entries = host.measure(files, bench, run.progress.say)
        for name in files:
            rows[name]["latency_ms"] = {
                f"threads_{entry.threads}": entry.latency_ms.model_dump()
                for entry in entries
                if entry.artifact == name and entry.latency_ms
            }
            rows[name][f"latency_ratio_to_{BASE}"] = round(host.ratio(entries, name, BASE), 4)
        return {
            "seeds": {"recipe": recipe.seed, "student": run.result(STUDENT).best.seed},
            "test_images": len(run.data.test),
            "timed_runs": bench.runs,
            "load_before": load,
            "contestants": rows,
        }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Returns the result as a table for the terminal: latency with one thread."""
    lines = [
        f"{'':24}{'bytes':>11}{'accuracy':>10}{'as float':>10}{'parts':>7}{'outside':>9}{'median ms':>11}{'ratio':>8}"
    ]
    for name, row in rows.items():
        if "refused" in row:
            lines.append(f"{name:24}   refused: {row['refused']}")
            continue
        lines.append(
            f"{name:24}{row['bytes']:11,}{row['accuracy']:10.1%}{row['agreement']:10.1%}{row['partitions']:7}"
            f"{sum(row['outside'].values()):9}{row['latency_ms']['threads_1']['median']:11.3f}"
            f"{row[f'latency_ratio_to_{BASE}']:8.3f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", help="key=value")
    parser.add_argument("--peer", type=Path, required=True, help="a Python interpreter with litert-quantizer")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that keeps the trainings")
    parser.add_argument("--timed", type=int, default=1000, help="timed runs per file")
    parser.add_argument("--out", type=Path, help="file for a copy of the JSON")
    options = parser.parse_args()
    try:
        peer = Peer(options.peer)
        recipe = recipe_files.load(options.recipe, options.overrides)
        with contextlib.redirect_stdout(sys.stderr):  # progress
            found = measured(recipe, options.runs, peer, Bench(runs=options.timed, warmup=20))
    except TfkdError as error:
        parser.error(str(error))
    report = {
        "benchmark": "quantizers",
        "command": shlex.join(["python", *sys.argv]),
        "machine": machine.environment(),
        "peer": peer.versions,
        "recipe": recipe.model_dump(mode="json"),
        **found,
    }
    print(table(found["contestants"]), file=sys.stderr)
    print(json.dumps(report, indent=2))
    if options.out:
        write_json(options.out, report)


if __name__ == "__main__":
    main()
