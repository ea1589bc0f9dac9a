"""Compares the Core ML evaluator with Keras on whole networks: differences and speed.

    python tools/benchmarks/coreml_evaluator.py --models MobileNetV2 mobilenet_v3_small:hard_swish --out evaluator.json

Every network is written as .mlmodel and .mlpackage and evaluated from these files on generated images. The weights
are random; the statistics of batch normalisation are those of the images, and the last layer is scaled until the logits
have a deviation of 2 around 0, because an untrained network gives every image the same prediction. Keras and the
evaluator take turns; the shortest turn of each counts. The table goes to stderr, JSON to stdout.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd import machine
from tfkd.errors import TfkdError
from tfkd.files import write_json
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student, students_of
from tfkd.recipe import Student
from tfkd.verification import coreml
from tfkd.writers import Card
from tfkd.writers.coreml import write_coreml

CLASSES, SEED, SPREAD = 10, 1, 2.0
FORMATS = ("mlmodel", "mlpackage")
ACTIVATIONS = ("relu", "relu6", "silu", "hard_swish")
FAMILIES = (
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    *(f"EfficientNetB{scale}" for scale in range(8)),
    *(f"EfficientNetV2{scale}" for scale in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    *(f"ResNet{depth}{version}" for depth in (50, 101, 152) for version in ("", "V2")),
    "DenseNet121",
    "NASNetMobile",
)
MODELS = (*(f"{student}:{activation}" for student in students_of("image") for activation in ACTIVATIONS), *FAMILIES)


def build(name: str, size: int, pictures: np.ndarray) -> Any:
    """Builds a network whose predictions differ from image to image."""
    keras.utils.set_random_seed(SEED)
    student, _, activation = name.partition(":")
    if activation:
        chosen = Student(model=student, activation=activation)
        model = build_student(chosen, signature(size), classes=CLASSES, seed=SEED)
    else:
        model = getattr(keras.applications, name)(
            input_shape=(size, size, 3), weights=None, classes=CLASSES, classifier_activation=None
        )
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(pictures, training=True)
    last = [layer for layer in model.layers if hasattr(layer, "kernel")][-1]
    logits = model(pictures, training=False).numpy()
    scale = SPREAD / logits.std(0).mean()
    last.kernel.assign(last.kernel * scale)
    last.bias.assign(last.bias - logits.mean(0) * scale)
    return model


def pictures_of(size: int, count: int) -> np.ndarray:
    """Returns float32 [count, size, size, 3] of smooth colours with some grain, 0..255."""
    random = np.random.default_rng(SEED)
    coarse = random.uniform(0, 255, (count, 6, 6, 3))
    smooth = tf.image.resize(coarse, (size, size), "bicubic").numpy()
    return np.clip(np.rint(smooth + random.normal(0, 8, smooth.shape)), 0, 255).astype(np.float32)


def compare(name: str, size: int, batch: int, rounds: int) -> dict[str, Any]:
    """Returns, for each format, the difference from Keras and the seconds per batch."""
    pictures = pictures_of(size, batch)
    model = build(name, size, pictures)
    answer = tf.function(lambda images: tf.nn.softmax(model(images, training=False)), jit_compile=False)
    wanted = answer(pictures).numpy()
    card = Card(name, tuple(f"class {k}" for k in range(CLASSES)), "tfkd", "Apache-2.0", "1", "A benchmark")
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in FORMATS:
            path = Path(folder) / f"model.{kind}"
            write_coreml(model, kind, path, card)
            evaluator = coreml.load(path)
            got = evaluator(pictures)
            ours, theirs = _seconds([evaluator, answer], pictures, rounds)
            result[kind] = {
                "largest_difference": float(np.abs(got - wanted).max()),
                "top1_equal": float(np.mean(got.argmax(1) == wanted.argmax(1))),
                "seconds": round(ours, 4),
                "keras_seconds": round(theirs, 4),
                "times_keras": round(ours / theirs, 3),
            }
    return result


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--size", type=int, default=96, help="side of the images, pixels")
    parser.add_argument("--batch", type=int, default=64, help="images per batch")
    parser.add_argument("--rounds", type=int, default=5, help="turns per contestant")
    parser.add_argument("--out", type=Path, help="file for a copy of the JSON")
    options = parser.parse_args(arguments)
    load, compared = os.getloadavg()[0], {}
    for name in options.models:
        try:
            compared[name] = compare(name, options.size, options.batch, options.rounds)
        except TfkdError as error:
            parser.error(f"{name}: {error}")
        for kind, found in compared[name].items():
            print(
                f"{name:30} {kind:9} {found['largest_difference']:9.2e} off, {found['top1_equal']:7.2%} same top-1, "
                f"{found['times_keras']:5.2f} times Keras",
                file=sys.stderr,
            )
        keras.backend.clear_session()
    result = {
        "benchmark": "coreml_evaluator",
        "image_size": options.size,
        "batch": options.batch,
        "rounds": options.rounds,
        "machine": machine.environment(),
        "load_before": load,
        "models": compared,
    }
    print(json.dumps(result, indent=2))
    if options.out:
        write_json(options.out, result)


def _seconds(contestants: list[Callable[[Any], Any]], pictures: np.ndarray, rounds: int) -> list[float]:
    """Returns the seconds of each contestant's shortest turn."""
    seconds = [float("inf")] * len(contestants)
    for _ in range(rounds):
        for number, turn in enumerate(contestants):
            start = time.perf_counter()
            np.asarray(turn(pictures))
            seconds[number] = min(seconds[number], time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
