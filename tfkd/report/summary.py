"""Puts a run's results together: the manifest, the evidence, and with them the finished bundle."""

import datetime
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd import machine
from tfkd.bundle import golden, snippets
from tfkd.bundle.golden import Golden
from tfkd.bundle.layout import MANIFEST, MEASUREMENTS
from tfkd.bundle.manifest import (
    SCHEMA,
    ComparisonRow,
    Compression,
    DataEntry,
    Manifest,
    StudentEntry,
    TeacherEntry,
    latency,
)
from tfkd.bundle.results import BenchEntry
from tfkd.bundle.seal import seal
from tfkd.bundle.verdicts import measured
from tfkd.bundle.writing import assemble
from tfkd.data import Dataset
from tfkd.distill.measures import accuracy, calibration_error, softmax
from tfkd.errors import RequestError, cause
from tfkd.files import compressed_size, fingerprint, write_json
from tfkd.recipe import Recipe
from tfkd.report import predictions
from tfkd.report.card import write_model_card
from tfkd.report.devices import HTML
from tfkd.report.evidence import Evidence, Point, Trained
from tfkd.report.html import write_report
from tfkd.verification import diagnosis
from tfkd.verification.gates import TAUGHT, judge
from tfkd.verification.records import Artifact, ChanceTest, Diagnosis, Gate, PairedTest
from tfkd.verification.truth import chance_test, paired_test
from tfkd.version import __version__
from tfkd.writers import samples
from tfkd.writers.records import MissingFile

_TRUTH = ("better_than_chance", "not_worse_than_control", "min_relative_accuracy")


@dataclass(frozen=True)
class Run:
    """What the stages of a run left behind.

    Attributes:
        recipe: what was asked for.
        data: the images.
        folders: folder of every stage, by the stage's name.
        fingerprints: of all that each stage's result depends on, by the stage's name.
        environments: what differed from here where a stage was made, by the stage's name.
        results: result of every stage before the report, by the stage's name.
        chosen_seed: seed of the exported student.
        shipped: folder of the exported network: the student's, or that of what the compressions made of it.
        teacher_tests: each teacher against chance, by the name of its stage.
        diagnosis: likely causes of the teachers' wrong predictions, where the gate of that name is off.
        teacher_files: names of the teachers' fp32 .tflite in the bench results, and of the files in the export folder.
        teachers_not_exported: why each teacher has no .tflite file; None where it has one.
        teacher_logits: what the teachers answer together on the test split, float32 [n, classes].
        views_seconds: how long all answers took that were stored.
    """

    recipe: Recipe
    data: Dataset
    folders: dict[str, Path]
    fingerprints: dict[str, str]
    environments: dict[str, dict[str, str]]
    results: dict[str, Any]
    chosen_seed: int
    shipped: Path
    teacher_tests: dict[str, ChanceTest]
    diagnosis: list[Diagnosis]
    teacher_files: list[str]
    teachers_not_exported: list[str | None]
    teacher_logits: np.ndarray
    views_seconds: float

    @property
    def seeds(self) -> list[int]:
        """The seeds of the students, in order."""
        return [training["seed"] for training in self.results["student"]["trainings"]]

    @property
    def artifacts(self) -> list[Artifact]:
        """The verified files."""
        return [Artifact.model_validate(artifact) for artifact in self.results["verify"]["artifacts"]]

    @property
    def missing(self) -> list[MissingFile]:
        """The files that could not be made."""
        return [MissingFile.model_validate(file) for file in self.results["export"]["missing"]]

    @property
    def bench(self) -> list[BenchEntry]:
        """The measured latencies."""
        return [BenchEntry.model_validate(entry) for entry in self.results["bench"]["entries"]]

    @property
    def compressions(self) -> list[dict[str, Any]]:
        """What was done to the chosen student after its training, in order."""
        done: list[dict[str, Any]] = self.results.get("compress", {}).get("compressions", [])
        return done

    @property
    def seconds_training(self) -> float:
        """Of the exported network: its own training and its compressions."""
        chosen = self.training("student", self.chosen_seed)
        assert chosen is not None
        return float(chosen["seconds"] + sum(each["seconds"] for each in self.compressions))

    def training(self, kind: str, seed: int) -> dict[str, Any] | None:
        """Returns the result of one training, or None where there was none."""
        trainings: list[dict[str, Any]] = self.results[kind]["trainings"]
        return next((training for training in trainings if training["seed"] == seed), None)

    def logits(self, kind: str) -> np.ndarray | None:
        """Returns logits on the test split, float32 [n, classes], of "teacher", "student" as it ships, or "control"."""
        if kind == "teacher":
            return self.teacher_logits
        folder = self.shipped if kind == "student" else self.folders[kind] / f"seed-{self.chosen_seed}"
        path = folder / "test_logits.npy"
        return np.load(path, allow_pickle=False) if path.is_file() else None


def write(run: Run, folder: Path) -> Manifest:
    """Completes a bundle that holds the exported files: labels, golden images, manifest, card, report, checksums."""
    manifest = manifest_of(run)
    evidence = evidence_of(run)
    write_json(run.folders["report"] / "evidence.json", evidence.model_dump(mode="json"))
    complete(folder, manifest, _golden(run, folder), evidence)
    return manifest


def complete(folder: Path, manifest: Manifest, golden: Golden, evidence: Evidence) -> None:
    """Writes everything around the exported files of a bundle, and seals it."""
    assemble(folder, manifest, golden)
    snippets.write(manifest, folder)
    write_json(folder / "recipe.json", manifest.recipe)
    write_model_card(manifest, folder / "MODEL_CARD.md")
    write_report(manifest, evidence, folder / "report.html")
    seal(folder)


def rewrite(folder: Path) -> tuple[Manifest, Path]:
    """Writes the report of a finished run again, in the run's folder.

    Raises:
        RequestError: the folder is not that of a finished run.
    """
    made = folder / "report"
    try:
        manifest = Manifest.model_validate_json((made / "bundle" / "manifest.json").read_bytes())
    except (OSError, ValueError) as error:
        raise _unfinished(folder, error) from None
    return manifest, write_page(manifest, folder, made / "report.html")


def is_published(folder: Path, destination: Path) -> bool:
    """Tells whether a bundle is the one that a run made."""
    made, published = (each / MANIFEST for each in (folder / "report" / "bundle", destination))
    return published.is_file() and published.read_bytes() == made.read_bytes()


def write_page(manifest: Manifest, folder: Path, page: Path) -> Path:
    """Writes the report of a manifest with the evidence of a finished run's folder.

    Raises:
        RequestError: the folder is not that of a finished run.
    """
    try:
        evidence = Evidence.model_validate_json((folder / "report" / "evidence.json").read_bytes())
    except (OSError, ValueError) as error:
        raise _unfinished(folder, error) from None
    devices = folder / "report" / "bundle" / MEASUREMENTS / HTML
    write_report(manifest, evidence, page, os.path.relpath(devices, page.parent) if devices.is_file() else None)
    return page


def _unfinished(folder: Path, error: Exception) -> RequestError:
    return RequestError(f"{folder} is not the folder of a finished run ({cause(error)}); run its recipe first.")


def manifest_of(run: Run) -> Manifest:
    """Returns everything that the report shows, the gates judge and other programs read."""
    manifest = Manifest(
        schema=SCHEMA,
        name=run.recipe.name,
        tfkd_version=__version__,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        recipe=run.recipe.model_dump(mode="json"),
        environment=machine.environment(),
        environments=run.environments,
        seed=run.recipe.seed,
        data=data_entry(run.data),
        teachers=_teachers(run),
        student=_student(run),
        artifacts=run.artifacts,
        missing=run.missing,
        comparison=_comparison(run),
        bench=run.bench,
        gates=[],
        diagnosis=run.diagnosis,
    )
    gates = judge(run.recipe.gates, measured(manifest))
    diagnosis = [*run.diagnosis, *_why_the_student_failed(run, gates)]
    return manifest.model_copy(update={"gates": gates, "diagnosis": diagnosis})


def _why_the_student_failed(run: Run, gates: list[Gate]) -> list[Diagnosis]:
    """Looks for the cause where a gate against the truth failed; the teacher passed its own before."""
    student = run.logits("student")
    if student is None or not any(gate.verdict == "failed" and gate.name.startswith(_TRUTH) for gate in gates):
        return []
    training = run.recipe.distill.training
    steps = training.epochs * max(1, len(run.data.train) // training.batch_size)
    return diagnosis.of_student(student, run.teacher_logits, run.recipe.distill, steps)


def evidence_of(run: Run) -> Evidence:
    """Returns what the report shows beyond the manifest."""
    networks: tuple[Trained, ...] = ("teacher", "control", "student")
    logits = {who: found for who in networks if (found := run.logits(who)) is not None}
    size, seed = run.recipe.data.image_size, run.recipe.seed
    shown = predictions.evidence("the Keras student", run.data, size, seed, logits)
    return shown.model_copy(update={"curves": _curves(run)})


def data_entry(data: Dataset) -> DataEntry:
    """Returns what the manifest says of the images."""
    return DataEntry(
        source=data.source,
        fingerprint=data.fingerprint,
        classes=list(data.classes),
        splits={"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        rejected=list(data.rejected),
        pixel_ranges=dict(data.ranges),
        warnings=list(data.warnings),
        for_evaluation=data.for_evaluation,
    )


def _teachers(run: Run) -> list[TeacherEntry]:
    """Returns the teachers; where there are several, what they are together comes first."""
    single = [
        TeacherEntry(
            model=teacher.model,
            weights=teacher.weights,
            fingerprint=run.fingerprints[stage],
            parameters=run.results[stage]["parameters"],
            image_size=run.results[stage]["image_size"],
            accuracy=run.results[stage]["accuracy"],
            calibration_error=run.results[stage]["calibration_error"],
            chance=test,
            not_exported=reason,
        )
        for teacher, (stage, test), reason in zip(
            run.recipe.teachers, run.teacher_tests.items(), run.teachers_not_exported, strict=True
        )
    ]
    if len(single) == 1:
        return single
    labels = run.data.test.labels
    together = TeacherEntry(
        model=" + ".join(entry.model for entry in single),
        weights="together",
        fingerprint=fingerprint([entry.fingerprint for entry in single]),
        parameters=sum(entry.parameters for entry in single),
        image_size=max(entry.image_size for entry in single),
        accuracy=accuracy(run.teacher_logits, labels),
        calibration_error=calibration_error(run.teacher_logits, labels),
        chance=chance_test(labels, run.teacher_logits.argmax(axis=1)),
        not_exported=" ".join(reason for reason in run.teachers_not_exported if reason) or None,
    )
    return [together, *single]


def _student(run: Run) -> StudentEntry:
    chosen = run.training("student", run.chosen_seed)
    control = run.training("control", run.chosen_seed)
    student, teacher = run.logits("student"), run.logits("teacher")
    assert chosen is not None and student is not None and teacher is not None
    return StudentEntry(
        model=run.recipe.student.model,
        parameters=chosen["parameters"],
        image_size=run.recipe.data.image_size,
        accuracy=accuracy(student, run.data.test.labels),
        control_accuracy=control["accuracy"] if control else None,
        accuracies=[training["accuracy"] for training in run.results["student"]["trainings"]],
        control_accuracies=[training["accuracy"] for training in run.results["control"]["trainings"]],
        seeds=run.seeds,
        exported_seed=run.chosen_seed,
        agreement_with_teacher=float(np.mean(student.argmax(axis=1) == teacher.argmax(axis=1))),
        against_control=_paired(run),
        compressions=[Compression(**each) for each in run.compressions],
        seconds_training=run.seconds_training,
        teacher_seconds=sum(run.results[stage]["seconds"] for stage in run.teacher_tests) + run.views_seconds,
    )


def _paired(run: Run) -> PairedTest | None:
    """Tests the network that ships against the control of its seed; None without a control."""
    student, control = run.logits("student"), run.logits("control")
    assert student is not None
    if control is None:
        return None
    return paired_test(run.data.test.labels, student.argmax(axis=1), control.argmax(axis=1))


def _comparison(run: Run) -> list[ComparisonRow]:
    """The teachers' fp32 files with their Keras accuracy, then every .tflite of the student with its own."""
    teacher = accuracy(run.teacher_logits, run.data.test.labels)
    exported = run.folders["export"]
    taught = {name: exported / f"{name}.tflite" for name in run.teacher_files}
    seconds = sum(run.results[name]["seconds"] for name in run.teacher_tests)
    rows = [compared(TAUGHT, taught, run.bench, teacher, teacher, seconds=seconds)] if taught else []
    rows += [
        compared(
            f"student {artifact.precision}",
            {artifact.path: exported / "bundle" / artifact.path},
            run.bench,
            artifact.accuracy,
            teacher,
            artifact.agreement,
            run.seconds_training,
        )
        for artifact in run.artifacts
        if artifact.format == "tflite" and artifact.accuracy is not None
    ]
    return rows


def compared(
    variant: str,
    files: dict[str, Path],
    bench: list[BenchEntry],
    accuracy: float,
    reference: float,
    agreement: float | None = None,
    seconds: float | None = None,
) -> ComparisonRow:
    """Returns a row of the comparison.

    Args:
        variant: what it is of.
        files: its .tflite files, by the names that they have in the bench results; several answer one after the other.
        bench: the latencies of all files.
        accuracy: 0 to 1.
        reference: the accuracy that it is compared with.
        agreement: equal top-1 with the teacher.
        seconds: of the training.
    """
    one = latency(bench, files, single=True)
    assert one is not None
    return ComparisonRow(
        variant=variant,
        bytes=sum(path.stat().st_size for path in files.values()),
        compressed_bytes=sum(compressed_size(path) for path in files.values()),
        latency_ms=one,
        latency_all_ms=latency(bench, files, single=False),
        accuracy=accuracy,
        drop=reference - accuracy,
        agreement=agreement,
        seconds=seconds,
    )


def _golden(run: Run, folder: Path) -> Golden:
    from tfkd.distill.predict import predictor
    from tfkd.training.saving import load_model

    export = run.recipe.export
    images, positions = samples.photos(run.data.test, run.recipe.data.image_size, export.golden_images, run.recipe.seed)
    student = load_model(run.shipped / "student.keras")
    keras = softmax(predictor(student)(images.astype(np.float32)).numpy()).astype(np.float32)
    return golden.collect(folder, run.artifacts, images, run.data.test.labels[positions], keras)


def _curves(run: Run) -> dict[Trained, dict[int, list[Point]]]:
    curves: dict[Trained, dict[int, list[Point]]] = {}
    kinds: tuple[Trained, ...] = ("control", "student")
    for kind in kinds:
        for training in run.results[kind]["trainings"]:
            seed = training["seed"]
            curves.setdefault(kind, {})[seed] = _curve(run.folders[kind] / f"seed-{seed}")
    if teacher := _curve(run.folders["teacher"]):
        curves["teacher"] = {run.recipe.seed: teacher}
    return curves


def _curve(folder: Path) -> list[Point]:
    path = folder / "curve.json"
    points = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return [Point.model_validate(point) for point in points]
