"""A whole bundle of the tiny classifier: every number of its manifest is measured, or follows from those that are."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.verification.conftest import CARD, SIGNATURE, SIZE, Exported
from tests.writers.conftest import DATA, RECIPE
from tfkd import machine
from tfkd.bundle import golden
from tfkd.bundle.manifest import DataEntry, Manifest, StudentEntry, TeacherEntry
from tfkd.bundle.results import BenchEntry, Latency
from tfkd.bundle.seal import seal
from tfkd.bundle.verdicts import measured
from tfkd.bundle.writing import assemble
from tfkd.distill.measures import softmax
from tfkd.recipe import Data, Gates
from tfkd.verification import artifacts
from tfkd.verification.flips import negative_flips
from tfkd.verification.gates import judge
from tfkd.verification.scores import recall_changes, scores
from tfkd.verification.truth import chance_test, exact_test
from tfkd.verification.wrong_classes import order_agreement, rank_correlations
from tfkd.writers import samples

GOLDEN = 2
_PHOTOS = (20, 3, 20)  # of each class; the untrained network seldom predicts the second


def write_photos(folder: Path, model: Any) -> None:
    """Writes class folders of coloured noise; each photo is of the class that the untrained network gives it."""
    draw = np.random.default_rng(3)
    levels = draw.integers(0, 256, (1500, 1, 1, 3))
    images = np.clip(levels + draw.integers(-20, 21, (1500, SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
    answers = softmax(model(images.astype(np.float32), training=False).numpy())
    ranked = np.sort(answers, axis=1)
    for label, (name, count) in enumerate(zip(CARD.classes, _PHOTOS, strict=True)):
        (folder / name).mkdir()
        sure = np.where(answers.argmax(axis=1) == label, ranked[:, -1] - ranked[:, -2], -1)
        for number in np.argsort(-sure)[:count]:
            Image.fromarray(images[number]).save(folder / name / f"{number}.png")


def write_bundle(folder: Path, exported: Exported, photos: Path) -> None:
    """Makes a sealed bundle, measured on the test split of the photos."""
    from tfkd.data import open_source
    from tfkd.data.batches import plain_batches

    shutil.copytree(exported.folder, folder)
    recipe = {**RECIPE, "data": {**RECIPE["data"], "source": f"folder:{photos}"}, "gates": Gates().model_dump()}
    data = open_source(Data.model_validate(recipe["data"]), seed=1)
    batches = [images.numpy() for images, _ in plain_batches(data.test, SIGNATURE, 64)]
    keras = _answers(exported, np.concatenate(batches))
    teacher = keras.copy()
    teacher[0] = np.roll(teacher[0], 1)
    reference = artifacts.Reference(batches, data.test.labels, keras, teacher, SIGNATURE)
    files = [artifacts.measure(folder, file, reference, CARD) for file in exported.files]
    images, positions = samples.examples(data.test, SIGNATURE, GOLDEN, 1)
    stored = golden.collect(folder, files, images, data.test.labels[positions], _answers(exported, images))
    manifest = _manifest(recipe, files, data.test.labels, keras, teacher)
    manifest = _compared(manifest, folder)
    assemble(folder, manifest.model_copy(update={"gates": judge(Gates(), measured(manifest))}), stored)
    seal(folder)


def _answers(exported: Exported, images: np.ndarray) -> np.ndarray:
    return softmax(exported.model(images.astype(np.float32), training=False).numpy()).astype(np.float32)


def _manifest(
    recipe: dict[str, Any], files: list[Any], labels: np.ndarray, keras: np.ndarray, probabilities: np.ndarray
) -> Manifest:
    predicted, taught = keras.argmax(axis=1), probabilities.argmax(axis=1)
    images, right = len(labels), int((predicted == labels).sum())
    paired = exact_test(2, 0, images)
    order = order_agreement(rank_correlations(labels, keras, probabilities), len(CARD.classes))
    teacher = {
        "weights": "none",
        "fingerprint": "0123456789abcdef",
        "image_size": SIZE,
        "accuracy": float(np.mean(taught == labels)),
        "calibration_error": 0.1,
        "chance": chance_test(labels, taught),
        "scores": scores(labels, taught, CARD.classes),
    }
    return Manifest(
        name="tiny",
        tfkd_version="0.1.0",
        created="2026-01-01T00:00:00Z",
        recipe=recipe,
        environment=machine.environment(),
        seed=1,
        data=DataEntry(
            source=recipe["data"]["source"], fingerprint=DATA, classes=list(CARD.classes), splits={"test": images}
        ),
        teachers=[
            TeacherEntry(model="large + larger", parameters=30, **teacher | {"weights": "together"}),
            TeacherEntry(model="large", parameters=10, **teacher),
            TeacherEntry(model="larger", parameters=20, **teacher),
        ],
        student=StudentEntry(
            model="tiny",
            parameters=1,
            image_size=SIZE,
            signature=SIGNATURE,
            accuracy=right / images,
            control_accuracy=(right - 2) / images,
            accuracies=[right / images],
            control_accuracies=[(right - 2) / images],
            seeds=[1],
            exported_seed=1,
            agreement_with_teacher=float(np.mean(predicted == taught)),
            negative_flips=negative_flips(labels, keras, probabilities, CARD.classes),
            wrong_classes=order,
            control_wrong_classes=order,
            against_control=paired,
            scores=scores(labels, predicted, CARD.classes),
            control_scores=scores(labels, _worse(labels, predicted), CARD.classes),
            recall_changes=recall_changes(labels, predicted, taught, None, CARD.classes),
            seconds_training=1.0,
            teacher_seconds=1.0,
        ),
        artifacts=files,
        comparison=[],
        bench=[],
        gates=[],
    )


def _worse(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Returns the predictions with two mistakes more."""
    changed, right = predicted.copy(), np.flatnonzero(predicted == labels)[:2]
    changed[right] = (changed[right] + 1) % len(CARD.classes)
    return changed


def _compared(manifest: Manifest, folder: Path) -> Manifest:
    """Adds made-up latencies, and the rows that follow from them."""
    from tfkd.bundle import assembly

    tflite = [each for each in manifest.artifacts if each.format == "tflite"]
    taught = dict.fromkeys(("teacher_fp32", "teacher_fp32-2"), folder / tflite[0].path)
    bench = [
        BenchEntry(
            target="host",
            device="a machine",
            runtime="LiteRT",
            artifact=name,
            threads=threads,
            runs=5,
            latency_ms=Latency(median=2.0 / threads, min=1.0 / threads),
            emulated=False,
        )
        for name in (*taught, *(each.path for each in tflite))
        for threads in (1, 2)
    ]
    reference = manifest.teachers[0].accuracy
    rows = [assembly.comparison_row("teacher fp32", taught, bench, reference, reference)]
    rows += [
        assembly.comparison_row(
            f"student {each.precision}",
            {each.path: folder / each.path},
            bench,
            each.accuracy or 0.0,
            reference,
            each.agreement,
            manifest.student.seconds_training,
        )
        for each in tflite
    ]
    return manifest.model_copy(update={"bench": bench, "comparison": rows})
