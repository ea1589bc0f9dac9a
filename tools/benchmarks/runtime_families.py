"""Measures the differences between runtimes of one family, the basis of the tolerances of golden predictions.

Runs the files of a bundle, of EfficientNet-Lite0 with its 1,000 ImageNet classes, and of a network that was trained to
saturation on two easy classes, with several versions of every runtime, each in an environment of its own
(`python -m tests.tools.runtimes` creates them). Run it from a checkout: python -m tools.benchmarks.runtime_families
"""

import argparse
import dataclasses
import importlib.util
import itertools
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from tests.tools.compilers import MissingError
from tests.tools.runtimes import RUNTIMES, RefusedError, Runtime, family_of
from tfkd import machine
from tfkd.bundle import golden
from tfkd.bundle.golden_answers import answers_of, compare, tolerance
from tfkd.bundle.manifest import Manifest
from tfkd.errors import TfkdError
from tfkd.files import write_json
from tfkd.recipe import Data, Export, Student, Teacher
from tfkd.writers import ExportedFile, card_of, export

CROPS = 12  # of every photo
SIZE = 32  # pixels, of the network of two classes
EASY = ("Trouser", "Ankle boot")
EPOCHS = 60


@dataclass(frozen=True)
class Model:
    """Files of one network, with the images that they are run on.

    Attributes:
        name: in the report.
        folder: root of the files' paths.
        files: the files to run.
        images: uint8 [n, S, S, 3] raw RGB.
    """

    name: str
    folder: Path
    files: list[ExportedFile]
    images: np.ndarray


def main() -> int:
    """Measures, and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="such as exported_models/quickstart")
    parser.add_argument("--images", type=int, default=500, help="maximum number of the bundle's test images")
    parser.add_argument("--out", type=Path, help="file for the JSON")
    options = parser.parse_args()
    try:
        for runtime in RUNTIMES.values():
            runtime.check()
    except MissingError as error:
        parser.error(str(error))
    report: dict[str, Any] = {
        "benchmark": "runtime_families",
        "command": shlex.join(["python", "-m", "tools.benchmarks.runtime_families", *sys.argv[1:]]),
        "machine": machine.environment(),
        "runtimes": list(RUNTIMES),
        "models": [],
        "within_families": [],
        "between_families": [],
        "refused": [],
        "half_precision": [],
        "golden": [],
    }
    try:
        report["golden"] = list(golden_answers(options.bundle))
        with tempfile.TemporaryDirectory() as folder:
            for model in models(options.bundle, options.images, Path(folder)):
                measure(model, report)
    except TfkdError as error:
        parser.error(str(error))
    if options.out:
        write_json(options.out, report)
    return 0


def models(bundle: Path, images: int, folder: Path) -> Iterator[Model]:
    """Yields the networks: of a bundle, of 1,000 classes, of two saturated classes."""
    yield of_bundle(bundle, images)
    yield of_imagenet(folder / "imagenet")
    yield of_two_classes(folder / "two_classes")


def of_bundle(folder: Path, count: int) -> Model:
    from tfkd.data import open_source
    from tfkd.data.batches import plain_batches

    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    data = open_source(Data.model_validate(manifest.recipe["data"]), manifest.seed)
    batches = plain_batches(data.test, manifest.signature, 64)
    images = np.concatenate([np.asarray(pixels) for pixels, _ in batches])[:count]
    files = [ExportedFile(each.path, each.format, each.precision) for each in manifest.artifacts]
    return Model(manifest.name, folder, files, np.clip(np.rint(images), 0, 255).astype(np.uint8))


def of_imagenet(folder: Path) -> Model:
    """Exports EfficientNet-Lite0; its images are seeded crops of foolbox's ImageNet photos."""
    from tfkd.models import build_teacher

    name, size = "efficientnet_lite0", 224
    network = build_teacher(Teacher(model=name, weights="imagenet", image_size=size), classes=1000, seed=1)
    spec = importlib.util.find_spec("foolbox")
    if spec is None or not spec.submodule_search_locations:
        raise TfkdError("foolbox's photos are missing: pip install --no-deps foolbox==3.3.4")
    photos = sorted(Path(spec.submodule_search_locations[0], "data").glob("imagenet_*.jpg"))
    draw = np.random.default_rng(0)
    images = np.stack([crop(path, size, draw) for path in photos for _ in range(CROPS)])
    return exported(name, network, [str(number) for number in range(1000)], images, folder)


def crop(path: Path, size: int, draw: np.random.Generator) -> np.ndarray:
    """Returns a random square of at least 60 % of a photo's shorter side."""
    with Image.open(path) as photo:
        side = int(min(photo.size) * draw.uniform(0.6, 1))
        left, top = (int(draw.integers(0, length - side + 1)) for length in photo.size)
        box = (left, top, left + side, top + side)
        return np.asarray(photo.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, box))


def of_two_classes(folder: Path) -> Model:
    """Trains a network on two easy classes until its predictions are saturated, and exports it."""
    import keras

    from tfkd.data import open_source
    from tfkd.data.batches import plain_batches
    from tfkd.inputs.image.tensors import signature
    from tfkd.models import build_student

    data = open_source(Data(source="embedded:fashion_mnist_mini", image_size=SIZE), seed=1)
    chosen = [data.classes.index(name) for name in EASY]

    def read(split: Any) -> tuple[np.ndarray, np.ndarray]:
        pairs = [(np.asarray(x), np.asarray(y)) for x, y in plain_batches(split, signature(SIZE), 64)]
        images, labels = (np.concatenate(part) for part in zip(*pairs, strict=True))
        wanted = np.isin(labels, chosen)
        return images[wanted], (labels[wanted] == chosen[1]).astype(np.int64)

    keras.utils.set_random_seed(1)
    network = build_student(Student(activation="relu6"), signature(SIZE), classes=2, seed=1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(3e-3), loss, jit_compile=False)
    network.fit(*read(data.train), batch_size=32, epochs=EPOCHS, verbose=0)
    images, labels = read(data.test)
    images = np.concatenate([images, blends(images[labels == 0], images[labels == 1])])
    return exported("two_classes", network, list(EASY), np.clip(np.rint(images), 0, 255).astype(np.uint8), folder)


def blends(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns seeded mixtures of two classes, so that some predictions are not saturated."""
    count = min(len(first), len(second))
    fractions = np.random.default_rng(0).uniform(0.3, 0.7, (count, 1, 1, 1))
    return fractions * first[:count] + (1 - fractions) * second[:count]


def exported(name: str, network: Any, classes: list[str], images: np.ndarray, folder: Path) -> Model:
    texts = {"author": "tfkd", "license": "none", "version": "1", "description": "A benchmark's network"}
    card = card_of({"name": name, "data": {"image_size": images.shape[1]}, "export": texts}, classes, "0")
    options = Export(
        tflite=["fp32", "fp16", "dynamic", "int8", "16x8"], coreml=["mlmodel", "mlpackage", "mlpackage_int8"], onnx=True
    )
    files = export(network, options, card, images[:: max(1, len(images) // 100)], folder, lambda _: None).files
    return Model(name, folder, files, images)


def measure(model: Model, report: dict[str, Any]) -> None:
    """Adds the predictions of one network's files to the report."""
    print(f"{model.name}: {len(model.images)} images", file=sys.stderr, flush=True)
    answers = {file.path: answered(model, file, report["refused"]) for file in model.files}
    (float_file,) = [file.path for file in model.files if (file.format, file.precision) == ("tflite", "fp32")]
    reference = next(iter(answers[float_file]["xnnpack"].values()))
    report["models"].append(described(model, reference))
    for file in model.files:
        place = {"model": model.name, "file": file.path, "format": file.format, "precision": file.precision}
        families = answers[file.path]
        for family, found in families.items():
            if len(found) > 1:
                report["within_families"].append({**place, "family": family, **spread(found)})
        firsts = {family: next(iter(found.values())) for family, found in families.items()}
        for (one, first), (other, second) in itertools.combinations(firsts.items(), 2):
            report["between_families"].append({**place, "families": [one, other], **apart(first, second)})
        if file.precision == "fp16":
            exact = next(iter(firsts.values()))
            report["half_precision"].append({**place, "against": float_file, **apart(exact, reference)})
    for row in report["within_families"]:
        if row["model"] == model.name:
            print(row["family"], row["file"], row["probability"], row["mass"], file=sys.stderr, flush=True)


def golden_answers(folder: Path) -> Iterator[dict[str, Any]]:
    """Yields the differences of every runtime from the golden predictions of its family in a bundle."""
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    stored = golden.read(folder, manifest.data.classes, manifest.signature)
    for file in manifest.artifacts:
        if file.format not in ("tflite", "onnx"):
            continue
        expected = answers_of(stored, file)
        for runtime, own_kernels in setups(file.format):
            family = family_of(runtime, file.precision, own_kernels)
            place = {"file": file.path, "oldest": file.min_runtime, "runtime": titled(runtime, own_kernels)}
            try:
                answers = runtime.answers(folder / file.path, stored.images, own_kernels)
            except RefusedError as error:
                yield {**place, "refused": str(error)}
                continue
            allowed = {family: tolerance(file, family)}
            found = compare(answers, {family: expected[family]}, allowed, file.io.output.scale)
            yield {**place, **dataclasses.asdict(found), "passed": found.passed}


def described(model: Model, probabilities: np.ndarray) -> dict[str, Any]:
    best = np.sort(probabilities, axis=1)[:, -1]
    return {
        "name": model.name,
        "classes": probabilities.shape[1],
        "images": len(model.images),
        "best_probability": quantiles(best),
        "saturated": float(np.mean(best > 0.999)),
    }


def answered(model: Model, file: ExportedFile, refused: list[dict[str, str]]) -> dict[str, dict[str, np.ndarray]]:
    """Returns a file's probabilities by family and runtime, LiteRT's newest first."""
    path = model.folder / file.path
    if file.format in ("mlmodel", "mlpackage"):
        return coreml(path, file, model.images)
    found: dict[str, dict[str, np.ndarray]] = {}
    for runtime, own_kernels in setups(file.format):
        family = family_of(runtime, file.precision, own_kernels)
        title = titled(runtime, own_kernels)
        try:
            found.setdefault(family, {})[title] = runtime.answers(path, model.images, own_kernels)
        except RefusedError as error:
            refused.append({"model": model.name, "file": file.path, "runtime": title, "reason": str(error)})
    return {family: answers for family, answers in found.items() if answers}


def setups(format: str) -> Iterator[tuple[Runtime, bool]]:
    """Yields the runtimes of a format, the newest first, each with whether it runs without XNNPACK."""
    packages = {"onnx": ("onnxruntime",), "tflite": ("ai-edge-litert", "tflite-runtime", "mediapipe")}[format]
    for package in packages:
        for runtime in reversed(RUNTIMES.values()):
            if runtime.package == package:
                yield runtime, False
                if package in ("ai-edge-litert", "tflite-runtime"):
                    yield runtime, True


def titled(runtime: Runtime, own_kernels: bool) -> str:
    return f"{runtime.title} without XNNPACK" if own_kernels else runtime.title


def coreml(path: Path, file: ExportedFile, images: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Runs a Core ML file with the evaluator.

    A program in float16 is run twice: with every value rounded to float16, and with none rounded. A processor that
    keeps some values in more bits, or fuses operations, lies between the two.
    """
    from tfkd.verification.coreml import predict

    exact = {"evaluator": predict(path, [images])}
    if file.format == "mlmodel" or file.precision == "fp32":
        return {"coreml_fp32": exact}
    with mock.patch("tfkd.verification.coreml.program.rounded", lambda value: value):
        return {"coreml_fp16": exact | {"evaluator, nothing rounded": predict(path, [images])}}


def spread(answers: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns the largest differences of any two runtimes on every image, over the images."""
    pairs = list(itertools.combinations(answers.values(), 2))
    probability = np.max([np.abs(one - other).max(axis=1) for one, other in pairs], axis=0)
    mass = np.max([np.abs(one - other).sum(axis=1) / 2 for one, other in pairs], axis=0)
    top1 = min(float(np.mean(one.argmax(axis=1) == other.argmax(axis=1))) for one, other in pairs)
    return {
        "runtimes": list(answers),
        "probability": quantiles(probability),
        "mass": quantiles(mass),
        "top1_equal": top1,
    }


def apart(one: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    mass = np.abs(one - other).sum(axis=1) / 2
    return {
        "probability": quantiles(np.abs(one - other).max(axis=1)),
        "mass": {"mean": float(mass.mean()), **quantiles(mass)},
        "top1_equal": float(np.mean(one.argmax(axis=1) == other.argmax(axis=1))),
    }


def quantiles(values: np.ndarray) -> dict[str, float]:
    return {
        "median": float(np.median(values)),
        "p99": float(np.quantile(values, 0.99)),
        "max": float(values.max()),
        "min": float(values.min()),
    }


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(main())
