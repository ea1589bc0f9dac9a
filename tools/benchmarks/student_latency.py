"""Measures the int8 and fp32 files of every student on this machine, for `tfkd list students`.

    python tools/benchmarks/student_latency.py --out docs/evidence/student_latency.json

All students have width 1, relu6, 1000 classes and random weights, which are as fast as trained ones. LiteRT runs the
files in turn, a few calls each, with one thread; the latency is the median over the rounds of the fastest call's
processor time, so that other load on the machine counts little. The table goes to stderr, JSON to stdout. The figures
belong into `STUDENTS` in tfkd/models/__init__.py, as the table prints them.
"""

import time
from pathlib import Path
from typing import Any

import files_in_turn
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student, students_of
from tfkd.recipe import Bench, Student, TflitePrecision
from tfkd.writers import Card
from tfkd.writers.tflite import write_tflite

CLASSES, SEED, CALIBRATION = 1000, 1, 8
REFERENCE = "mobilenet_v3_small"
CALLS = 8  # per round and file; the first finds the caches filled by the other files
PRECISIONS: tuple[TflitePrecision, ...] = ("int8", "fp32")
CARD = Card("latency", tuple(f"class {number}" for number in range(CLASSES)), "", "", "", "")


def write_files(folder: Path, size: int) -> dict[str, Path]:
    """Writes the files of every student; returns the paths by `NAME PRECISION`."""
    images = np.random.default_rng(SEED).integers(0, 256, (CALIBRATION, size, size, 3), dtype=np.uint8)
    paths = {}
    for name in students_of("image"):
        student = build_student(Student(model=name, activation="relu6"), signature(size), CLASSES, SEED)
        for precision in PRECISIONS:
            paths[f"{name} {precision}"] = path = folder / f"{name}_{precision}.tflite"
            write_tflite(student, precision, path, CARD, images)
    return paths


def result(paths: dict[str, Path], bench: Bench, say: Any) -> dict[str, Any]:
    """Times the files and returns bytes, medians, and ratios to the reference of the same precision."""
    medians = {name: float(np.median(times)) for name, times in _timed(paths, bench, say).items()}
    return {
        "classes": CLASSES,
        "runs": bench.runs,
        "students": {
            name: {
                precision: {
                    "bytes": paths[f"{name} {precision}"].stat().st_size,
                    "median_ms": round(medians[f"{name} {precision}"], 4),
                    "relative": round(medians[f"{name} {precision}"] / medians[f"{REFERENCE} {precision}"], 2),
                }
                for precision in PRECISIONS
            }
            for name in students_of("image")
        },
    }


def _timed(paths: dict[str, Path], bench: Bench, say: Any) -> dict[str, list[float]]:
    """Returns the processor time of the fastest of a few inferences per round and file, milliseconds."""
    interpreters = {name: Interpreter(model_path=str(path), num_threads=1) for name, path in paths.items()}
    for interpreter in interpreters.values():
        interpreter.allocate_tensors()
    times: dict[str, list[float]] = {name: [] for name in paths}
    for number in range(bench.warmup + bench.runs):
        say(f"round {number + 1} of {bench.warmup + bench.runs}")
        for name, interpreter in interpreters.items():
            fastest = min(_milliseconds(interpreter) for _ in range(CALLS))
            if number >= bench.warmup:
                times[name].append(fastest)
    return times


def _milliseconds(interpreter: Any) -> float:
    began = time.thread_time()
    interpreter.invoke()
    return 1e3 * (time.thread_time() - began)


def table(measured: dict[str, Any]) -> str:
    """Returns the result as a table for the terminal."""
    lines = [f"{'':26}{'':6}{'bytes':>12}{'median ms':>11}{'relative':>10}"]
    for name, by_precision in measured["students"].items():
        for precision, found in by_precision.items():
            lines.append(
                f"{name:26}{precision:6}{found['bytes']:12,}{found['median_ms']:11.3f}{found['relative']:10.2f}"
            )
    for name, found in measured["students"].items():
        int8, fp32 = found["int8"], found["fp32"]
        lines.append(f"{name}: StudentCost({int8['bytes']:_}, {int8['relative']}, {fp32['relative']})")
    return "\n".join(lines)


if __name__ == "__main__":
    files_in_turn.main("student_latency", __doc__, write_files, result, table, runs=100)
