"""Measures the latency of pruned files, with TFLite's sparse encoding and without.

    python tools/benchmarks/sparse_latency.py --out sparse_latency.json

MobileNetV3-Small with random weights, of which the smallest of every pruned layer are zero: half of them, 80 %, 90 %,
or two of each four. `dense_…` stores zeros like any weight, `sparse_…` is converted with EXPERIMENTAL_SPARSITY, for
which XNNPACK has kernels of its own. One process without TensorFlow times all files in turn, call by call. The table
goes to stderr, JSON to stdout.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import files_in_turn
import keras
import numpy as np
import tensorflow as tf

from tfkd.benchmark import host
from tfkd.compress.prepared import compressible
from tfkd.inputs.image.tensors import NAME, signature
from tfkd.models import build_student
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import Bench, Student
from tfkd.verification import tflite
from tfkd.writers import Card
from tfkd.writers.graph import frozen

CLASSES, SEED, CALIBRATION = 1000, 1, 4
PRECISIONS = ("fp32", "int8")
PRUNED = {"50%": 0.5, "80%": 0.8, "90%": 0.9, "2:4": None}
CARD = Card("sparse", tuple(f"class {number}" for number in range(CLASSES)), "", "", "", "")


def write_files(folder: Path, size: int) -> dict[str, Path]:
    """Writes every file; returns the paths by name."""
    paths = {}
    images = np.random.default_rng(SEED).integers(0, 256, (CALIBRATION, size, size, 3)).astype(np.float32)
    for name, sparsity in {"0%": 0.0, **PRUNED}.items():
        model = build_student(Student(model="mobilenet_v3_small"), signature(size), CLASSES, SEED)
        for layer in compressible(model):
            layer.kernel.assign(_pruned(np.asarray(layer.kernel), sparsity))
        with frozen(model, CARD) as graph:
            for precision in PRECISIONS:
                for encoding in ("dense", "sparse") if name in PRUNED else ("dense",):
                    path = paths[f"{precision} {name} {encoding}"] = folder / f"{len(paths)}.tflite"
                    path.write_bytes(_converted(graph.saved_model, precision, encoding == "sparse", images))
        keras.backend.clear_session()
    return paths


def _pruned(kernel: np.ndarray, sparsity: float | None) -> np.ndarray:
    """Returns a kernel [..., in, out] without its smallest weights; None: without two of each four along `in`."""
    size = np.abs(kernel)
    if sparsity is not None:
        return np.where(size >= np.quantile(size, sparsity), kernel, 0.0)
    fours = size.reshape(*size.shape[:-2], -1, 4, size.shape[-1])
    kept = fours.argsort(axis=-2).argsort(axis=-2) >= 2
    return np.where(kept.reshape(kernel.shape), kernel, 0.0)


def _converted(saved_model: Path, precision: str, sparse: bool, images: np.ndarray) -> bytes:
    def samples() -> Iterator[dict[str, np.ndarray]]:
        for image in images:
            yield {NAME: image[np.newaxis]}

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY] if sparse else []
    if precision == "int8":
        converter.optimizations.append(tf.lite.Optimize.DEFAULT)
        converter.representative_dataset = samples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    with native_logs_silenced():
        content: bytes = converter.convert()
    return content


def result(paths: dict[str, Path], bench: Bench, say: Any) -> dict[str, Any]:
    """Times the files; returns medians, ratios to the unpruned file of the same precision, sizes and partitions."""
    entries = host.measure(paths, bench, say)
    files = {}
    for name, path in paths.items():
        content, found = path.read_bytes(), tflite.delegation(path)
        files[name] = {
            "bytes": len(content),
            "deflated_bytes": len(zlib.compress(content, 9)),
            "partitions": found.partitions,
            "outside": len(found.outside),
            "ratio": round(host.ratio(entries, name, f"{name.split()[0]} 0% dense"), 4),
        }
    kept = {"artifact", "threads", "runs", "latency_ms"}
    return {"classes": CLASSES, "files": files, "latency_ms": [entry.model_dump(include=kept) for entry in entries]}


def table(measured: dict[str, Any]) -> str:
    """Returns the result as a table for the terminal: one thread, and the ratio to the unpruned file."""
    medians = {one["artifact"]: one["latency_ms"]["median"] for one in measured["latency_ms"] if one["threads"] == 1}
    lines = [f"{'':20}{'median ms':>11}{'ratio':>8}{'bytes':>12}{'deflated':>12}{'parts':>7}{'outside':>9}"]
    for name, file in measured["files"].items():
        lines.append(
            f"{name:20}{medians[name]:11.3f}{file['ratio']:8.3f}{file['bytes']:12,}{file['deflated_bytes']:12,}"
            f"{file['partitions']:7}{file['outside']:9}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    files_in_turn.main("sparse_latency", __doc__, write_files, result, table, runs=200)
