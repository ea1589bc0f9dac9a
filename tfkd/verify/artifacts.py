"""Measures one exported file: what the manifest says about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.export import Card, ExportedFile, bundle
from tfkd.export.manifest import Artifact
from tfkd.verify import VerifyError, coreml, tflite


@dataclass(frozen=True)
class Reference:
    """What a file is compared with, on the test split.

    Attributes:
        batches: float32 [b, S, S, 3] raw RGB 0..255, the images in order; read once for each file.
        labels: int64 [n], the true classes.
        keras: float32 [n, classes], the Keras student's probabilities.
        teacher_top1: int64 [n], the teacher's classes.
        size: S, side of the student's input, pixels.
    """

    batches: Iterable[Any]
    labels: np.ndarray
    keras: np.ndarray
    teacher_top1: np.ndarray
    size: int


def measure(folder: Path, file: ExportedFile, reference: Reference, card: Card) -> Artifact:
    """Loads a file again, checks and (TFLite) runs it on the test images, and returns its entry in the manifest.

    Core ML files cannot be run here: their description is checked, and their accuracies stay None.

    Raises:
        VerifyError: the file cannot be loaded, or it is not what the card says.
    """
    path = folder / file.path
    if file.format != "tflite":
        return _artifact(path, file, io=coreml.check(path, card, reference.size))
    if tflite.labels(path) != card.classes:
        raise VerifyError(f"{path}: the class names packed into it are not those of the student, in order.")
    probabilities = tflite.predict(path, reference.batches)
    if probabilities.shape != reference.keras.shape:
        raise VerifyError(
            f"{path}: gives {probabilities.shape} probabilities where the Keras student gives {reference.keras.shape}."
        )
    top1 = probabilities.argmax(axis=1)
    return _artifact(
        path,
        file,
        accuracy=_share(top1 == reference.labels),
        agreement=_share(top1 == reference.teacher_top1),
        max_abs_error=float(np.abs(probabilities - reference.keras).max()),
        top1_vs_keras=_share(top1 == reference.keras.argmax(axis=1)),
        delegation=tflite.delegation(path),
        io=tflite.io(path),
    )


def _artifact(path: Path, file: ExportedFile, **measured: Any) -> Artifact:
    return Artifact(
        path=file.path,
        format=file.format,
        precision=file.precision,
        bytes=bundle.size(path),
        sha256=bundle.digest(path),
        **measured,
    )


def _share(equal: np.ndarray) -> float:
    return float(np.mean(equal))
