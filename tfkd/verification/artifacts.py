"""Measures one exported file: what the manifest says about it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.distill.measures import calibration_error_of
from tfkd.files import content_digest, content_size
from tfkd.formats import FORMATS, Format, load
from tfkd.formats.families import FAMILIES
from tfkd.signature import Signature
from tfkd.verification import NotVerifiedError, VerifyError, rejection, requirements, thresholds
from tfkd.verification.flips import negative_flips
from tfkd.verification.records import Artifact, InputOutput, Rejection
from tfkd.verification.scores import by_class
from tfkd.verification.truth import chance_test
from tfkd.writers import Card, ExportedFile


@dataclass(frozen=True)
class Reference:
    """What a file is compared with, on the test split.

    Attributes:
        batches: raw inputs of the signature, [b, ...], the examples in order; read once for each file.
        labels: int64 [n], the true classes; None where the student was trained on these examples.
        keras: float32 [n, classes], the Keras student's probabilities.
        teacher: float [n, classes], the teacher's probabilities; None where it was not measured, or there is none.
        signature: what the student takes.
        control_top1: int64 [n], the control's classes; None where there is no control.
        rejections: of the files that withhold labels, by path.
        outside: raw inputs of examples of no class, as `batches`; None without any.
    """

    batches: Iterable[Any]
    labels: np.ndarray | None
    keras: np.ndarray
    teacher: np.ndarray | None
    signature: Signature
    control_top1: np.ndarray | None = None
    rejections: Mapping[str, Rejection] = field(default_factory=dict)
    outside: Iterable[Any] | None = None


def measure(
    folder: Path,
    file: ExportedFile,
    reference: Reference,
    card: Card,
    on_predicted: Callable[[str, np.ndarray], None] = lambda path, probabilities: None,
) -> Artifact:
    """Loads a file again, checks it, runs it on the test examples, and returns its entry in the manifest.

    Where nothing here can run it although it may be right, the entry says why and has no accuracy.

    Args:
        folder: of the bundle.
        file: which file.
        reference: the examples, with the expected predictions.
        card: what the file must contain.
        on_predicted: receives the path of a file that was run, and its probabilities, float32 [n, classes].

    Raises:
        VerifyError: the file cannot be loaded or run, or it is not what the card says.
    """
    path, format = folder / file.path, _format(file.format)
    rejected = reference.rejections.get(file.path)
    io = check(
        path, file.format, card.with_score_threshold(rejected.threshold if rejected else None), reference.signature
    )
    try:
        probabilities = predict(path, file.format, reference.batches)
        found = _compared(probabilities, path, reference, card)
        if rejected is not None and reference.labels is not None:
            outside = None if reference.outside is None else predict(path, file.format, reference.outside)
            found["rejection"] = rejection.measured(rejected, probabilities, reference.labels, outside)
        on_predicted(file.path, probabilities)
    except NotVerifiedError as error:
        found = {"not_verified": error.reason}
    needed = requirements.of(path, file.format)
    return Artifact(
        path=file.path,
        format=file.format,
        precision=file.precision,
        bytes=content_size(path),
        sha256=content_digest(path),
        **found,
        golden_tolerances=dict(format.precision(file.precision).tolerances),
        min_runtime=needed.min_runtime,
        operator_versions=needed.operator_versions,
        delegation=needed.delegation,
        accelerators=load(format.accelerators)(path) if format.accelerators else [],
        io=io,
    )


def _compared(probabilities: np.ndarray, path: Path, reference: Reference, card: Card) -> dict[str, Any]:
    """Returns the fields of the manifest that compare a file's probabilities with the truth, teacher and student."""
    if probabilities.shape != reference.keras.shape:
        raise VerifyError(
            f"{path}: gives {probabilities.shape} probabilities where the Keras student gives {reference.keras.shape}."
        )
    top1, differences = probabilities.argmax(axis=1), np.abs(probabilities - reference.keras)
    return {
        **_against_truth(probabilities, reference, card),
        "max_abs_error": min(float(differences.max()), 1.0),
        "mean_total_variation": min(float(differences.sum(axis=1).mean() / 2), 1.0),
        "top1_vs_keras": _fraction(top1 == reference.keras.argmax(axis=1)),
    }


def _against_truth(probabilities: np.ndarray, reference: Reference, card: Card) -> dict[str, Any]:
    """Returns the fields that need true classes of examples that the student was not trained on."""
    labels, teacher, top1 = reference.labels, reference.teacher, probabilities.argmax(axis=1)
    if labels is None:
        return {}
    classes, limits = card.classes, thresholds.by_number(card.thresholds, card.classes)
    taught = None if teacher is None else teacher.argmax(axis=1)
    return {
        "accuracy": _fraction(top1 == labels),
        "calibration_error": calibration_error_of(probabilities, labels),
        "chance": chance_test(labels, top1),
        "agreement": None if taught is None else _fraction(top1 == taught),
        "negative_flips": None if teacher is None else negative_flips(labels, probabilities, teacher, classes),
        **by_class(labels, top1, probabilities, limits, classes, taught, reference.control_top1),
    }


def check(path: Path, format: str, card: Card, signature: Signature) -> InputOutput:
    """Checks what a file says of itself; returns its input and output.

    Args:
        path: of the file or package.
        format: a name of `tfkd.formats.FORMATS`.
        card: what it must contain.
        signature: what it must take.

    Raises:
        VerifyError: it cannot be read, or it is not what the card says.
    """
    found: InputOutput = load(_format(format).check)(path, card, signature)
    return found


def predict(path: Path, format: str, batches: Iterable[Any], family: str | None = None) -> np.ndarray:
    """Runs a file on raw inputs with something that is not its converter.

    Args:
        path: of the file or package.
        format: a name of `tfkd.formats.FORMATS`.
        batches: raw inputs, [b, ...], or as golden files hold them; read once, in order.
        family: a name of `tfkd.formats.families.FAMILIES` that can be run here; default: the format's reference.

    Returns:
        float32 [n, classes] probabilities.

    Raises:
        NotVerifiedError: nothing here can run it although it may be right.
        VerifyError: it cannot be loaded or run, or its predictions are not numbers.
    """
    options = FAMILIES[family].options if family else {}
    if options is None:
        raise VerifyError(f"{path}: nothing here computes as {FAMILIES[str(family)].title}.")
    probabilities: np.ndarray = load(_format(format).predict)(path, batches, **options)
    return probabilities


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise VerifyError(f"Nothing runs files of the format {name!r}; known: {', '.join(FORMATS)}.")
    return FORMATS[name]


def _fraction(equal: np.ndarray) -> float:
    return float(np.mean(equal))
