"""Measures the int8 and fp32 files of every student on this machine, for `tfkd list students`.

    python tools/benchmarks/student_latency.py --out docs/evidence/student_latency.json

All students have width 1, relu6, 1000 classes and random weights, which are as fast as trained ones. One process
without TensorFlow times the files in turn, call by call, so that other load on the machine affects all of them; a ratio
is that of two medians, with one thread. The table goes to stderr, JSON to stdout. The figures belong into `STUDENTS` in
tfkd/models/__init__.py.
"""

from pathlib import Path
from typing import Any

import files_in_turn
import numpy as np

from tfkd.benchmark import host
from tfkd.models import STUDENTS, build_student
from tfkd.recipe import Bench, Student, TflitePrecision
from tfkd.writers import Card
from tfkd.writers.tflite import write_tflite

CLASSES, SEED, CALIBRATION = 1000, 1, 8
REFERENCE = "mobilenet_v3_small"
PRECISIONS: tuple[TflitePrecision, ...] = ("int8", "fp32")
CARD = Card("latency", tuple(f"class {number}" for number in range(CLASSES)), "", "", "", "")


def write_files(folder: Path, size: int) -> dict[str, Path]:
    """Writes the files of every student; returns the paths by `NAME PRECISION`."""
    images = np.random.default_rng(SEED).integers(0, 256, (CALIBRATION, size, size, 3), dtype=np.uint8)
    paths = {}
    for name in STUDENTS:
        student = build_student(Student(model=name, activation="relu6"), size, CLASSES, SEED)
        for precision in PRECISIONS:
            paths[f"{name} {precision}"] = path = folder / f"{name}_{precision}.tflite"
            write_tflite(student, precision, path, CARD, images)
    return paths


def result(paths: dict[str, Path], bench: Bench, say: Any) -> dict[str, Any]:
    """Times the files and returns bytes, medians, and ratios to the reference of the same precision."""
    entries = [entry for entry in host.measure(paths, bench, say) if entry.threads == 1]
    medians = {entry.artifact: entry.latency_ms.median for entry in entries if entry.latency_ms}
    return {
        "classes": CLASSES,
        "runs": bench.runs,
        "students": {
            name: {
                precision: {
                    "bytes": paths[f"{name} {precision}"].stat().st_size,
                    "median_ms": medians[f"{name} {precision}"],
                    "relative": round(host.ratio(entries, f"{name} {precision}", f"{REFERENCE} {precision}"), 2),
                }
                for precision in PRECISIONS
            }
            for name in STUDENTS
        },
    }


def table(measured: dict[str, Any]) -> str:
    """Returns the result as a table for the terminal."""
    lines = [f"{'':26}{'':6}{'bytes':>12}{'median ms':>11}{'relative':>10}"]
    for name, by_precision in measured["students"].items():
        for precision, found in by_precision.items():
            lines.append(
                f"{name:26}{precision:6}{found['bytes']:12,}{found['median_ms']:11.3f}{found['relative']:10.2f}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    files_in_turn.main("student_latency", __doc__, write_files, result, table, runs=300)
