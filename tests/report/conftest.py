"""A whole, plausible run for the tests of the report, with made-up but consistent numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tfkd.bundle.evidence import Confusion, Evidence, EvidencePoint, Example, Flip, Mistake, Prediction
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.predictions import frequent_pairs
from tfkd.inputs.image.files import encode_shown
from tfkd.inputs.image.tensors import signature
from tfkd.recipe import Data, Recipe, Teacher
from tfkd.verification.records import Gate, Verdict
from tfkd.verification.truth import exact_test

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
IMAGES = 1000


@pytest.fixture(scope="session")
def make_manifest() -> Callable[..., Manifest]:
    return build_manifest


@pytest.fixture(scope="session")
def make_evidence() -> Callable[..., Evidence]:
    return build_evidence


def give(gate: Gate, verdict: Verdict, reason: str = "") -> None:
    """Changes the verdict on a gate of a manifest."""
    gate.verdict, gate.passed, gate.reason = verdict, verdict == "passed", reason


def build_manifest(
    classes: tuple[str, ...] = CLASSES, seeds: int = 3, control: bool = True, **changes: Any
) -> Manifest:
    """Builds a manifest of a student with four .tflite and two Core ML files; `changes` replace whole parts."""
    recipe = Recipe(
        name="quickstart",
        data=Data(source="embedded:fashion_mnist_mini"),
        teachers=[Teacher(model="efficientnet_lite0")],
    )
    controls = [0.871, 0.868, 0.874][:seeds]
    students = [0.889, 0.884, 0.886][:seeds]
    tflite = [
        _tflite("fp32", 6_120_400, 0.889, 1.0, 3.1e-7, classes, []),
        _tflite("fp16", 3_084_200, 0.889, 1.0, 4.2e-4, classes, []),
        _tflite("dynamic", 1_702_800, 0.888, 0.994, 0.031, classes, ["MEAN", "FULLY_CONNECTED"]),
        _tflite("int8", 1_655_300, 0.887, 0.989, 0.042, classes, []),
    ]
    comparison = [
        _row("teacher fp32", 18_592_000, 21.42, 0.914),
        *([_row("control fp32", 6_120_400, 1.451, 0.871)] if control else []),
        _row("student fp32", 6_120_400, 1.447, 0.889),
        _row("student fp16", 3_084_200, 1.634, 0.889),
        _row("student dynamic", 1_702_800, 1.791, 0.888),
        _row("student int8", 1_655_300, 1.392, 0.887),
    ]
    values = {
        "name": "quickstart",
        "tfkd_version": "0.1.0",
        "created": "2026-05-04T12:30:00Z",
        "recipe": recipe.model_dump(mode="json"),
        "environment": {"python": "3.11.2", "tensorflow": "2.21.0", "keras": "3.15.1", "platform": "Linux x86_64"},
        "seed": 1,
        "data": {
            "source": "embedded:fashion_mnist_mini",
            "fingerprint": "0123456789abcdef",
            "classes": list(classes),
            "splits": {"train": 5400, "validation": 600, "test": IMAGES},
        },
        "teachers": [
            {
                "model": "efficientnet_lite0",
                "weights": "imagenet",
                "fingerprint": "fedcba9876543210",
                "parameters": 3_425_834,
                "image_size": 224,
                "accuracy": 0.914,
                "calibration_error": 0.021,
            }
        ],
        "student": {
            "model": "mobilenet_v3_small",
            "parameters": 1_526_106,
            "image_size": 96,
            "accuracy": students[0],
            "control_accuracy": controls[0] if control else None,
            "accuracies": students,
            "control_accuracies": controls if control else [],
            "seeds": [1, 2, 3][:seeds],
            "exported_seed": 1,
            "agreement_with_teacher": 0.921,
            "negative_flips": _flips(classes, 0.889),
            "wrong_classes": _order(0.62),
            "control_wrong_classes": _order(0.48) if control else None,
            "seconds_training": 95.2,
            "teacher_seconds": 61.4,
        },
        "artifacts": [*tflite, *(_coreml(kind, len(classes)) for kind in ("mlmodel", "mlpackage"))],
        "comparison": comparison,
        "bench": [
            _bench(name, threads, median / (1 if threads == 1 else 1.6))
            for threads in (1, 2)
            for name, median in [("teacher", 21.42), *((row["path"], 1.4) for row in tflite)]
        ],
        "gates": [
            {"name": "max_accuracy_drop/quickstart_int8.tflite", "value": 0.002, "limit": 0.02, "passed": True},
            {"name": "min_agreement/quickstart_int8.tflite", "value": 0.989, "limit": 0.95, "passed": True},
            {"name": "one_partition/quickstart_int8.tflite", "value": 1, "limit": 1, "passed": True},
            {"name": "min_speed_ratio", "value": 15.39, "limit": 3.0, "passed": True},
        ],
    }
    return Manifest.model_validate(values | changes)


def build_evidence(classes: tuple[str, ...] = CLASSES, seeds: int = 3, control: bool = True) -> Evidence:
    """Builds evidence that fits `build_manifest` with the same arguments."""
    random = np.random.default_rng(1)
    count = len(classes)
    counts = random.multinomial(8, np.full(count, 1 / count), size=count) + np.diag(np.full(count, 92))
    who = {"teacher": 0.93, "control": 0.87, "student": 0.89}
    confusion = Confusion(variant="student int8", counts=counts.tolist())
    return Evidence(
        curves={
            kind: {seed: _curve(best, seed) for seed in range(1, 1 + (1 if kind == "teacher" else seeds))}
            for kind, best in who.items()
            if control or kind != "control"
        },
        confusion=confusion,
        examples=[_example(classes, random, control) for _ in range(6)],
        mistakes=[
            _mistake(classes[truth], classes[predicted], random, control)
            for truth, predicted, _ in frequent_pairs(confusion.cells)
        ],
        flips=[_flip(classes, random) for _ in range(3)],
        wrong_class_orders={
            who: np.histogram(random.normal(centre, 0.3, 3 * IMAGES).clip(-1, 1)[:IMAGES], 20, (-1, 1))[0].tolist()
            for who, centre in (("student", 0.62), ("control", 0.48))
            if control or who == "student"
        },
    )


def _curve(best: float, seed: int) -> list[EvidencePoint]:
    random = np.random.default_rng([seed, int(1000 * best)])
    return [
        EvidencePoint(
            epoch=epoch,
            loss=float(1.8 * np.exp(-epoch / 5) + 1 - best),
            validation_accuracy=float(best - 0.4 * np.exp(-epoch / 4) + random.normal(0, 0.006)),
            learning_rate=2e-3 * (1 - epoch / 20),
        )
        for epoch in range(1, 21)
    ]


def _example(classes: tuple[str, ...], random: np.random.Generator, control: bool) -> Example:
    truth = int(random.integers(len(classes)))

    def probabilities(sureness: float) -> list[float]:
        logits = random.normal(0, 1, len(classes))
        logits[truth] += sureness
        return [float(share) for share in np.exp(logits) / np.exp(logits).sum()]

    return Example(
        image=_image(random),
        label=classes[truth],
        teacher=probabilities(4),
        control=probabilities(1.5) if control else None,
        student=probabilities(3),
    )


def _mistake(truth: str, predicted: str, random: np.random.Generator, control: bool) -> Mistake:
    return Mistake(
        image=_image(random),
        label=truth,
        teacher=Prediction(label=truth, probability=0.71),
        control=Prediction(label=predicted, probability=0.64) if control else None,
        student=Prediction(label=predicted, probability=0.93),
    )


def _image(random: np.random.Generator) -> str:
    tint = random.integers(60, 220, 3)
    noise = random.normal(0, 14, (48, 48, 3))
    return encode_shown(np.clip(noise + tint * np.hanning(48)[:, None, None], 0, 255).astype(np.uint8), signature(48))


def _flip(classes: tuple[str, ...], random: np.random.Generator) -> Flip:
    truth, *others = random.permutation(len(classes))[:3]
    names = ["student", "android/quickstart_fp32.tflite", "android/quickstart_int8.tflite"]
    wrong = [Prediction(label=classes[others[i // 2 % len(others)]], probability=0.71) for i in range(3)]
    return Flip(
        image=_image(random),
        label=classes[truth],
        teacher=Prediction(label=classes[truth], probability=0.97),
        wrong=dict(zip(names, wrong, strict=True)),
    )


def _flips(classes: tuple[str, ...], accuracy: float) -> dict[str, Any]:
    """Returns negative flips against a teacher of 914 images: 16 in the first class, 17 in the second, ..."""
    gained = sum(range(16, 16 + min(len(classes), 13))) - round(IMAGES * (0.914 - accuracy))
    counts = {name: count for count, name in enumerate(classes[:13], 16)}
    per_class = [{"label": name, "flips": count, "right": 60} for name, count in reversed(counts.items())]
    return {"right": 914, "test": exact_test(gained, sum(counts.values()), IMAGES), "per_class": per_class}


def _order(correlation: float) -> dict[str, Any]:
    return {"correlation": correlation, "standard_error": 0.008, "images": IMAGES}


def _row(variant: str, size: int, latency: float, accuracy: float) -> dict[str, Any]:
    return {"variant": variant, "bytes": size, "latency_ms": latency, "accuracy": accuracy, "drop": 0.914 - accuracy}


def _tflite(
    precision: str, size: int, accuracy: float, top1: float, error: float, classes: tuple[str, ...], outside: list[str]
) -> dict[str, Any]:
    quantized = precision == "int8"
    dtype = "uint8" if quantized else "float32"
    scales = (
        ({"scale": 0.0078125, "zero_point": 128}, {"scale": 0.00390625, "zero_point": 0}) if quantized else ({}, {})
    )
    return {
        "path": f"android/quickstart_{precision}.tflite",
        "format": "tflite",
        "precision": precision,
        "bytes": size,
        "sha256": "0" * 64,
        "accuracy": accuracy,
        "chance": {
            "balanced_accuracy": accuracy - 0.001,
            "chance_level": 1 / len(classes),
            "p_value": 0.0001,
            "perfect_p_value": 0.0,
        },
        "agreement": 0.92,
        "negative_flips": _flips(classes, accuracy),
        "max_abs_error": error,
        "top1_vs_keras": top1,
        "delegation": {"partitions": 1 + 4 * len(outside), "operators": 112, "outside": outside},
        "io": {
            "input": {"name": "image", "shape": [1, 96, 96, 3], "dtype": dtype, "range": [0, 255], **scales[0]},
            "output": {
                "name": "probabilities",
                "shape": [1, len(classes)],
                "dtype": dtype,
                "range": [0, 1],
                **scales[1],
            },
        },
    }


def _coreml(kind: str, classes: int) -> dict[str, Any]:
    return {
        "path": f"ios/quickstart.{kind}",
        "format": kind,
        "precision": "fp16" if kind == "mlpackage" else "fp32",
        "bytes": 3_100_000,
        "sha256": "0" * 64,
        "io": {
            "input": {"name": "image", "shape": [1, 96, 96, 3], "dtype": "image", "range": [0, 255]},
            "output": {"name": "probabilities", "shape": [1, classes], "dtype": "float32", "range": [0, 1]},
        },
    }


def _bench(artifact: str, threads: int, median: float) -> dict[str, Any]:
    return {
        "target": "host",
        "device": "AMD EPYC",
        "runtime": "LiteRT 2.3.0",
        "artifact": artifact,
        "threads": threads,
        "runs": 50,
        "latency_ms": {"median": median, "p90": 1.08 * median, "min": 0.97 * median},
        "emulated": False,
    }
