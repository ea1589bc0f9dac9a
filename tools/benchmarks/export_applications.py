"""Checks that `tfkd export` makes verified bundles of six networks of keras.applications.

    python tools/benchmarks/export_applications.py --out export_applications.json
    python tools/benchmarks/export_applications.py --epochs 8

Without training the weights are random, and so are the last biases, because predictions would be ties without them. The
predictions of such a network are almost constant: the run shows that every format can be written, read and run, and
that the numbers agree. After some epochs the predictions differ between images, so that equal predictions are evidence.
The images are those of the embedded set. Each export runs in a process of its own. The table goes to stderr, JSON to
stdout.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from tfkd import machine
from tfkd.bundle.manifest import Manifest
from tfkd.data import open_source
from tfkd.data.batches import plain_batches
from tfkd.files import write_json
from tfkd.inputs.image import normalization as pixels
from tfkd.inputs.image.tensors import signature
from tfkd.recipe import Data

SOURCE, SEED = "embedded:fashion_mnist_mini", 1
TRAIN, TEST = 40, 20  # images per class
TORCH = "123.675,116.28,103.53,58.395,57.12,57.375"
# Networks without a rescale of their own need pixels normalised as in their original training.
APPLICATIONS = {
    "MobileNetV2": "127.5,127.5",
    "MobileNetV3Large": "none",
    "EfficientNetB0": "none",
    "EfficientNetV2B0": "none",
    "ResNet50V2": "127.5,127.5",
    "DenseNet121": TORCH,
}


@dataclass(frozen=True)
class Photos:
    """Images on disk in class folders, and those of the training split: uint8 [n, size, size, 3], int64 [n]."""

    folder: Path
    classes: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray


def write_photos(folder: Path, size: int) -> Photos:
    """Writes a part of the embedded set as class folders."""
    data = open_source(Data(source=SOURCE, image_size=size), SEED)
    kept, labels = {}, {}
    for name, split, count in (("train", data.train, TRAIN), ("test", data.test, TEST)):
        positions = np.concatenate([np.flatnonzero(split.labels == k)[:count] for k in range(len(data.classes))])
        chosen = split.take(positions)
        labels[name] = chosen.labels
        kept[name] = np.concatenate(
            [images.numpy() for images, _ in plain_batches(chosen, signature(size), 64)]
        ).astype(np.uint8)
        for number, (image, label) in enumerate(zip(kept[name], chosen.labels, strict=True)):
            path = folder / "photos" / name / data.classes[label].replace("/", "-") / f"{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    (folder / "labels.txt").write_text("".join(f"{name.replace('/', '-')}\n" for name in data.classes))
    return Photos(folder, data.classes, kept["train"], labels["train"])


def build(name: str, normalization: str, photos: Photos, epochs: int) -> keras.Model:
    """Builds a network with random weights, and trains it if `epochs` is positive."""
    keras.utils.set_random_seed(SEED)
    size = photos.images.shape[1]
    model = getattr(keras.applications, name)(
        input_shape=(size, size, 3), weights=None, classes=len(photos.classes), classifier_activation="softmax"
    )
    if epochs:
        _train(model, pixels.parse(normalization)(photos.images), photos.labels, epochs)
    else:
        head = [layer for layer in model.layers if layer.weights][-1]
        head.bias.assign(np.random.default_rng(SEED).normal(size=len(photos.classes)))
    return model


def _train(model: keras.Model, given: np.ndarray, labels: np.ndarray, epochs: int) -> None:
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8  # Keras's 0.99 needs longer trainings
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(given, labels, batch_size=32, epochs=epochs, verbose=0)


def export(name: str, normalization: str, photos: Photos, options: argparse.Namespace) -> dict[str, Any]:
    """Exports one network with the command line; returns the result."""
    build(name, normalization, photos, options.epochs).save(photos.folder / f"{name}.keras")
    command = [sys.executable, "-m", "tfkd.cli", "export", f"{name}.keras", "--labels=labels.txt"]
    command += [
        "--data=folder:photos",
        f"--normalization={normalization}",
        f"--coreml={options.coreml}",
        "bench.runs=10",
    ]
    command += ["export.calibration_images=100", *(["--onnx"] if options.onnx else []), *options.overrides]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=photos.folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    places = [photos.folder / "exported_models" / name, photos.folder / "runs" / name / "bundle"]
    place = next((each / "manifest.json" for each in places if (each / "manifest.json").is_file()), None)
    found = {"exit_code": done.returncode, "seconds": round(seconds, 1), "error": done.stderr.strip()[-2000:]}
    if place is None:
        return found
    manifest = Manifest.model_validate_json(place.read_bytes())
    measured = {"accuracy", "max_abs_error", "top1_vs_keras", "bytes"}
    return found | {
        "parameters": manifest.student.parameters,
        "gates_failed": {gate.name: gate.value for gate in manifest.gates if not gate.passed},
        "files": {
            artifact.path: artifact.model_dump(include=measured)
            | ({"partitions": artifact.delegation.partitions} if artifact.delegation else {})
            for artifact in manifest.artifacts
        },
    }


def summary_line(name: str, found: dict[str, Any]) -> str:
    """Returns the result of one export as a line for the terminal."""
    lines = [f"{name}: exit code {found['exit_code']}, {found['seconds']} s {found['error'][-300:]}"]
    for path, file in found.get("files", {}).items():
        parts = f", {file['partitions']} partitions" if "partitions" in file else ""
        lines.append(
            f"  {path:44}{file['bytes']:12,} bytes, as Keras {file['top1_vs_keras']:.1%}, "
            f"largest difference {file['max_abs_error']:.2g}{parts}"
        )
    return "\n".join(lines + [f"  FAILED {gate}: {value:.4g}" for gate, value in found.get("gates_failed", {}).items()])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="passed on to tfkd export")
    parser.add_argument("--size", type=int, default=96, help="side of the images, pixels")
    parser.add_argument("--epochs", type=int, default=0, help="training epochs before the export")
    parser.add_argument("--only", choices=list(APPLICATIONS), action="append", help="networks to export")
    parser.add_argument("--coreml", default="mlmodel,mlpackage", help="Core ML files to write")
    parser.add_argument("--onnx", action="store_true", help="write .onnx files too")
    parser.add_argument("--out", type=Path, help="file for a copy of the JSON")
    options = parser.parse_args(arguments)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        photos = write_photos(Path(folder), options.size)
        for name in options.only or APPLICATIONS:
            found[name] = export(name, APPLICATIONS[name], photos, options)
            print(summary_line(name, found[name]), file=sys.stderr, flush=True)
    report = {
        "benchmark": "export_applications",
        "command": shlex.join(["python", *sys.argv]),
        "image_size": options.size,
        "epochs": options.epochs,
        "test_images": TEST * len(photos.classes),
        "machine": machine.environment(),
        "verified": sum(each["exit_code"] == 0 for each in found.values()),
        "applications": found,
    }
    print(json.dumps(report, indent=2))
    if options.out:
        write_json(options.out, report)
    sys.exit(0 if report["verified"] == len(found) else 1)


if __name__ == "__main__":
    main()
