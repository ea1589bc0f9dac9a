"""Puts a bundle together from what was measured: manifest with its gates, comparison, golden examples."""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfkd import machine
from tfkd.bundle import golden, snippets
from tfkd.bundle.evidence import Evidence
from tfkd.bundle.golden import Golden
from tfkd.bundle.layout import EVIDENCE, RECIPE
from tfkd.bundle.manifest import (
    SCHEMA,
    ChoiceEntry,
    ComparisonRow,
    DataEntry,
    FoldsEntry,
    Manifest,
    StudentEntry,
    TeacherEntry,
    latency,
    peak_memory,
    total,
)
from tfkd.bundle.results import BenchEntry
from tfkd.bundle.verdicts import measured
from tfkd.bundle.writing import assemble
from tfkd.data import Dataset
from tfkd.distill.measures import accuracy, calibration_error
from tfkd.files import compressed_size, fingerprint, write_json
from tfkd.recipe import Gates
from tfkd.signature import Signature
from tfkd.verification import intervals
from tfkd.verification.gates import judge
from tfkd.verification.records import Artifact, Diagnosis, Threshold
from tfkd.verification.scores import scores
from tfkd.verification.truth import chance_test
from tfkd.version import __version__
from tfkd.writers import samples
from tfkd.writers.records import MissingFile


class Settings(Protocol):
    """A recipe, or the request of `tfkd export`."""

    @property
    def name(self) -> str:
        """The name of the bundle."""

    @property
    def seed(self) -> int:
        """Draws the splits and the examples."""

    @property
    def gates(self) -> Gates:
        """The limits."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Returns it as JSON."""


def judged_manifest(
    settings: Settings,
    data: Dataset,
    *,
    teachers: list[TeacherEntry],
    student: StudentEntry,
    artifacts: Iterable[Artifact],
    missing: Iterable[MissingFile],
    comparison: Iterable[ComparisonRow],
    bench: Iterable[BenchEntry],
    diagnosis: list[Diagnosis],
    environments: Mapping[str, dict[str, str]] | None = None,
    choices: Iterable[ChoiceEntry] = (),
    thresholds: Mapping[str, Threshold] | None = None,
) -> Manifest:
    """Returns a manifest with the verdict of every gate.

    Args:
        settings: what was to be made, with the limits of the gates.
        data: the images.
        teachers: empty for a model that was trained elsewhere.
        student: the network that ships.
        artifacts: the measured files.
        missing: files that could not be made.
        comparison: rows of teachers and students.
        bench: the latencies.
        diagnosis: likely causes of wrong predictions.
        environments: what differed from here where a part was made, by the part's name.
        choices: what the run chose where its recipe said `auto`.
        thresholds: of promised classes, by class.
    """
    manifest = Manifest(
        schema=SCHEMA,
        name=settings.name,
        tfkd_version=__version__,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        recipe=settings.model_dump(mode="json"),
        choices=list(choices),
        environment=machine.environment(),
        environments=dict(environments or {}),
        seed=settings.seed,
        data=data_entry(data),
        teachers=teachers,
        student=student,
        thresholds=dict(thresholds or {}),
        artifacts=list(artifacts),
        missing=list(missing),
        comparison=list(comparison),
        bench=list(bench),
        gates=[],
        diagnosis=diagnosis,
    )
    return manifest.model_copy(update={"gates": judge(settings.gates, measured(manifest))})


def data_entry(data: Dataset) -> DataEntry:
    """Returns what the manifest says of the images."""
    validation = 0 if data.is_pooled else len(data.validation)
    return DataEntry(
        source=data.source,
        fingerprint=data.fingerprint,
        classes=list(data.classes),
        splits={"train": len(data.train), "validation": validation, "test": len(data.test)},
        rejected=list(data.rejected),
        pixel_ranges=dict(data.ranges),
        warnings=list(data.warnings),
        for_evaluation=data.for_evaluation,
    )


def folds_entry(folds: int | None, logits: np.ndarray, labels: np.ndarray) -> FoldsEntry:
    """Returns what the manifest says of accuracies that are pooled over folds.

    Args:
        folds: number of folds.
        logits: of the student without the fold of each image, float32 [n, classes].
        labels: the true classes, int [n].
    """
    assert folds is not None
    predictions = logits.argmax(axis=1)
    interval = intervals.proportion(int((predictions == labels).sum()), len(labels))
    return FoldsEntry(folds=folds, interval=interval, chance=chance_test(labels, predictions))


def with_ensemble(
    teachers: list[TeacherEntry], logits: np.ndarray | None, labels: np.ndarray, classes: Sequence[str]
) -> list[TeacherEntry]:
    """Returns the teachers; where there are several, what they are together comes first.

    Args:
        teachers: one by one.
        logits: of all of them together on the test split, float32 [n, classes]; None where one was not measured.
        labels: the true classes, int [n].
        classes: the names of all classes.
    """
    if len(teachers) == 1:
        return teachers
    ensemble = TeacherEntry(
        model=" + ".join(entry.model for entry in teachers),
        weights="together",
        fingerprint=fingerprint([entry.fingerprint for entry in teachers]),
        parameters=total([entry.parameters for entry in teachers]),
        image_size=max((entry.image_size for entry in teachers if entry.image_size), default=None),
        accuracy=None if logits is None else accuracy(logits, labels),
        calibration_error=None if logits is None else calibration_error(logits, labels),
        chance=None if logits is None else chance_test(labels, logits.argmax(axis=1)),
        scores=None if logits is None else scores(labels, logits.argmax(axis=1), classes),
        not_exported=" ".join(entry.not_exported for entry in teachers if entry.not_exported) or None,
    )
    return [ensemble, *teachers]


def comparison_row(
    variant: str,
    files: Mapping[str, Path],
    bench: Iterable[BenchEntry],
    accuracy: float,
    reference: float | None,
    agreement: float | None = None,
    seconds: float | None = None,
    beside: Sequence[Path] = (),
) -> ComparisonRow:
    """Returns a row of the comparison.

    Args:
        variant: what it is of.
        files: its .tflite files, by the names that they have in the bench results; several run one after the other.
        bench: the measurements of all files.
        accuracy: 0 to 1.
        reference: the accuracy that it is compared with, if it was measured.
        agreement: equal top-1 with the teacher.
        seconds: of the training.
        beside: further files that belong to them, whose size counts too.
    """
    entries = list(bench)
    one = latency(entries, list(files), single=True)
    assert one is not None
    return ComparisonRow(
        variant=variant,
        bytes=sum(path.stat().st_size for path in (*files.values(), *beside)),
        compressed_bytes=sum(compressed_size(path) for path in (*files.values(), *beside)),
        latency_ms=one,
        latency_all_ms=latency(entries, list(files), single=False),
        peak_memory_mb=peak_memory(entries, list(files)),
        accuracy=accuracy,
        drop=None if reference is None else reference - accuracy,
        agreement=agreement,
        seconds=seconds,
    )


def golden_examples(
    folder: Path,
    artifacts: Iterable[Artifact],
    data: Dataset,
    signature: Signature,
    count: int,
    seed: int,
    predict: Callable[[np.ndarray], np.ndarray],
) -> Golden:
    """Returns real examples of the test split with the predictions of every file and of the Keras model.

    Args:
        folder: the bundle, which holds the files.
        artifacts: the files.
        data: the images.
        signature: what the model takes.
        count: how many examples.
        seed: draws the examples.
        predict: of the Keras model: raw inputs [n, ...] to float32 [n, classes] probabilities.
    """
    found, positions = samples.examples(data.test, signature, count, seed)
    keras = predict(found.astype(signature.single.dtype))
    return golden.collect(folder, list(artifacts), found, data.test.labels[positions], keras)


def write(folder: Path, manifest: Manifest, examples: Golden, evidence: Evidence) -> None:
    """Writes what belongs to the exported files: labels, golden examples, manifest, evidence, code to copy, recipe."""
    assemble(folder, manifest, examples)
    write_json(folder / EVIDENCE, evidence.model_dump(mode="json"))
    snippets.write(manifest, folder)
    write_json(folder / RECIPE, manifest.recipe)
