"""Measures int8 MobileNetV3-Small: tfkd's int8 and fp32 files, and the int8 file that Keras users get.

    python tools/benchmarks/int8_latency.py --out int8_latency.json

    ours_int8              tfkd's student with relu6, quantized by tfkd
    ours_fp32              the same in float
    ours_hard_swish_int8   tfkd's student with the paper's activation
    peer_int8              keras.applications.MobileNetV3Small through tf.lite.TFLiteConverter.from_keras_model
    peer_static_int8       the same through a SavedModel with a batch of one, which avoids some operators

All have 1000 classes and random weights, which are as fast as trained ones, and take uint8 or float32 pixels. One
process without TensorFlow times them in turn, call by call, so that other load on the machine affects all of them. The
table goes to stderr, JSON to stdout.
"""

import contextlib
import io
from collections import Counter
from pathlib import Path
from typing import Any

import files_in_turn
import keras
import numpy as np
import plain_converter
import tensorflow as tf

from tfkd.benchmark import host
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import Activation, Bench, Student
from tfkd.verification import tflite
from tfkd.writers import Card
from tfkd.writers.tflite import write_tflite

CLASSES, SEED, CALIBRATION = 1000, 1, 8
RATIOS = {("ours_int8", "peer_int8"): 0.40, ("ours_int8", "peer_static_int8"): None, ("ours_int8", "ours_fp32"): 1.05}
CARD = Card("latency", tuple(f"class {number}" for number in range(CLASSES)), "", "", "", "")


def write_files(folder: Path, size: int) -> dict[str, Path]:
    """Writes every contestant's file; returns the paths by name."""
    images = np.random.default_rng(SEED).integers(0, 256, (CALIBRATION, size, size, 3), dtype=np.uint8)
    names = ("ours_int8", "ours_fp32", "ours_hard_swish_int8", "peer_int8", "peer_static_int8")
    paths = {name: folder / f"{name}.tflite" for name in names}
    relu6 = _student("relu6", size)
    write_tflite(relu6, "int8", paths["ours_int8"], CARD, images)
    write_tflite(relu6, "fp32", paths["ours_fp32"], CARD)
    write_tflite(_student("hard_swish", size), "int8", paths["ours_hard_swish_int8"], CARD, images)
    peer = keras.applications.MobileNetV3Small(input_shape=(size, size, 3), weights=None, classes=CLASSES)
    with (
        native_logs_silenced(),
        contextlib.redirect_stdout(io.StringIO()),
    ):  # the exporter prints a long description
        plain = tf.lite.TFLiteConverter.from_keras_model(peer)
        paths["peer_int8"].write_bytes(plain_converter.quantized(plain, images))
        archive = keras.export.ExportArchive()
        archive.track(peer)
        archive.add_endpoint("serve", peer.call, input_signature=[tf.TensorSpec((1, size, size, 3), tf.float32)])
        archive.write_out(folder / "peer", verbose=False)
        static = tf.lite.TFLiteConverter.from_saved_model(str(folder / "peer"))
        paths["peer_static_int8"].write_bytes(plain_converter.quantized(static, images))
    return paths


def result(paths: dict[str, Path], bench: Bench, say: Any) -> dict[str, Any]:
    """Times the files and returns medians, ratios, and how XNNPACK takes each file."""
    entries = host.measure(paths, bench, say)
    return {
        "classes": CLASSES,
        "latency_ms": [entry.model_dump(include={"artifact", "threads", "runs", "latency_ms"}) for entry in entries],
        "ratios": {
            f"{upper} / {lower}": {"one_thread": round(host.ratio(entries, upper, lower), 4), "goal": goal}
            for (upper, lower), goal in RATIOS.items()
        },
        "files": {name: _described(path) for name, path in paths.items()},
    }


def table(measured: dict[str, Any]) -> str:
    """Returns the result as a table for the terminal."""
    lines = [f"{'':24}{'threads':>8}{'median ms':>11}{'min ms':>9}{'parts':>7}{'outside':>9}{'bytes':>12}"]
    for entry in measured["latency_ms"]:
        file, times = measured["files"][entry["artifact"]], entry["latency_ms"]
        lines.append(
            f"{entry['artifact']:24}{entry['threads']:8}{times['median']:11.3f}{times['min']:9.3f}"
            f"{file['partitions']:7}{sum(file['outside'].values()):9}{file['bytes']:12,}"
        )
    for name, ratio in measured["ratios"].items():
        goal = f"   goal: at most {ratio['goal']:.2f}" if ratio["goal"] else ""
        lines.append(f"{name:40}{ratio['one_thread']:11.3f}{goal}")
    return "\n".join(lines)


def _student(activation: Activation, size: int) -> keras.Model:
    return build_student(Student(model="mobilenet_v3_small", activation=activation), signature(size), CLASSES, SEED)


def _described(path: Path) -> dict[str, Any]:
    found = tflite.delegation(path)
    outside = dict(Counter(found.outside))
    return {"bytes": path.stat().st_size, "partitions": found.partitions, "outside": outside}


if __name__ == "__main__":
    files_in_turn.main("int8_latency", __doc__, write_files, result, table, runs=300)
