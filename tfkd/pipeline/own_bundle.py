"""Bundles of models that were trained elsewhere: opens, exports, verifies and benchmarks them."""

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfkd.bundle import assembly, monitoring
from tfkd.bundle.manifest import ComparisonRow, Manifest, StudentEntry
from tfkd.bundle.results import BenchEntry
from tfkd.data import Dataset, Split, open_evaluation
from tfkd.data.adapting import loaded
from tfkd.distill.measures import calibration_error_of, logits_of
from tfkd.errors import RequestError
from tfkd.files import content_digest
from tfkd.formats import TIMED
from tfkd.inputs.image.tensors import side_if_image
from tfkd.labels import outputs_of
from tfkd.pipeline import own_inputs, pages
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.rejections import choose_for_files, require_validation
from tfkd.pipeline.stages.verify import measure_files
from tfkd.pipeline.uses_of_test import note, uses_of_test
from tfkd.progress import Progress, counted
from tfkd.recipe import Data
from tfkd.verification import calibration, thresholds
from tfkd.verification.class_gates import promises, require_known
from tfkd.verification.records import Artifact, Diagnosis, OutputTemperature, Rejection, Threshold
from tfkd.verification.scores import by_class
from tfkd.writers import Card, Exported, card_of

if TYPE_CHECKING:
    from tfkd.bundle.evidence import Evidence
    from tfkd.pipeline.own_request import Request
    from tfkd.writers.own import OwnModel

BATCH = 64
_DECIMALS = 4  # of probabilities that tell models apart


@dataclass(frozen=True)
class ExportSubject:
    """A trained model and the examples to measure it on.

    Attributes:
        model: the model.
        data: examples with the model's classes.
        card: metadata of exported files.
    """

    model: "OwnModel"
    data: Dataset
    card: Card


def open_subject(
    request: "Request", labels: tuple[str, ...], folder: RunFolder, progress: Progress, in_memory: Any = None
) -> ExportSubject:
    """Opens the model and the examples.

    Args:
        request: the request.
        labels: the classes of the model, in the order of its outputs.
        folder: folder of the export.
        progress: shows progress.
        in_memory: a keras.Model in memory; default: that of the request's file.

    Raises:
        RequestError: the model cannot be opened, or the labels or the examples do not fit it.
    """
    require_known(request.gates, labels)
    model = own_inputs.opened(request, in_memory, progress)
    if model.classes != len(labels):
        raise RequestError(
            f"{request.labels} names {len(labels)} classes, {model.name} has {model.classes} outputs; "
            "write one line per output."
        )
    data = with_labels(_open_examples(request, folder, progress), labels)
    require_validation(request.export, data)
    for text in data.reading.input_notes(loaded(data.test), model.signature):
        progress.say(f"  {text}")
    return ExportSubject(model, data, card_of(request.model_dump(mode="json"), labels, data.fingerprint))


def _open_examples(request: "Request", folder: RunFolder, progress: Progress) -> Dataset:
    with progress.task("checking examples", None, "examples") as advance:
        # Only the splits matter here; the size of the examples is set where they are read.
        found = open_evaluation(
            Data(source=request.data, kind=request.kind), request.seed, counted(advance), folder.checked
        )
    progress.say(
        f"data: {found.source}, {len(found.classes)} classes ({found.named()}), {len(found.test):,} examples to "
        f"measure, {len(found.train):,} training examples"
    )
    for text in found.described():
        progress.say(f"  {text}")
    return found


def with_labels(data: Dataset, labels: tuple[str, ...]) -> Dataset:
    """Returns the examples with the model's classes: label i is output i.

    Raises:
        RequestError: the data have a class that the model lacks.
    """
    outputs = np.array(outputs_of(data.classes, labels, "the labels"), np.int64)

    def renumbered(split: Split) -> Split:
        return dataclasses.replace(split, labels=outputs[split.labels])

    return dataclasses.replace(
        data,
        classes=labels,
        train=renumbered(data.train),
        validation=renumbered(data.validation),
        test=renumbered(data.test),
    )


def write(subject: ExportSubject, request: "Request", folder: RunFolder, progress: Progress) -> Manifest:
    """Exports, verifies and benchmarks the model, writes its bundle, and returns the manifest."""
    from tfkd.benchmark import host
    from tfkd.distill.measures import accuracy

    bundle = folder.own_bundle
    temperature = _temperature(subject, request, progress)
    if temperature is not None:
        subject = dataclasses.replace(subject, model=subject.model.divided(temperature.value))
    probabilities = _predictions(subject, subject.data.test, "the model's predictions", progress)
    found = _thresholds(subject, request, progress)
    subject = dataclasses.replace(subject, card=subject.card.with_thresholds(thresholds.values_by_name(found)))
    diagnosis = _diagnosed(subject, probabilities, folder, request.seed)
    exported = _exported(subject, request, bundle, progress)
    rejections = _rejections(subject, request, exported, bundle, progress)
    artifacts = _measured(subject, request, exported, probabilities, bundle, progress, rejections)
    timed = {artifact.path: bundle / artifact.path for artifact in artifacts if artifact.format in TIMED}
    bench = host.measure(timed, request.bench, lambda text: progress.say(f"  {text}"))
    right = accuracy(probabilities, subject.data.test.labels)
    _note_use_of_test(subject, probabilities, folder)
    manifest = assembly.judged_manifest(
        request,
        subject.data,
        teachers=[],
        student=_student(subject, right, probabilities, temperature),
        thresholds=found,
        artifacts=artifacts,
        missing=exported.missing,
        comparison=_comparison(right, artifacts, timed, bench),
        bench=bench,
        diagnosis=diagnosis,
    ).model_copy(update={"test_uses": uses_of_test(folder, subject.data)})
    model, data, count = subject.model, subject.data, request.export.golden_images
    golden = assembly.golden_examples(bundle, artifacts, data, model.signature, count, request.seed, model.predict)
    pages.complete(bundle, manifest, golden, _evidence(subject, probabilities, request.seed))
    return manifest


def _note_use_of_test(subject: ExportSubject, probabilities: np.ndarray, folder: RunFolder) -> None:
    """Notes the model, which is known by its predictions, as it may come from memory."""
    model = hashlib.sha256(np.round(probabilities, _DECIMALS).tobytes()).hexdigest()[:16]
    note(folder, subject.data, "export", [model])
    if not len(subject.data.train):
        note(folder, subject.data, "calibration", [model])


def _batches(subject: ExportSubject, split: Split) -> Any:
    from tfkd.data.batches import plain_batches

    return plain_batches(split, subject.model.signature, BATCH).map(lambda inputs, _: inputs)


def _thresholds(subject: ExportSubject, request: "Request", progress: Progress) -> dict[str, Threshold]:
    """Chooses the thresholds of the promised classes on the validation split, where the source has one."""
    split, classes = subject.data.validation, subject.data.classes
    promised = promises(request.gates, classes) if request.export.thresholds else {}
    if promised and len(split):
        probabilities = _predictions(subject, split, "predictions for the thresholds", progress)
        found = thresholds.choose(split.labels, probabilities, promised, classes)
    else:
        found = thresholds.without_images(promised)
    for name, threshold in found.items():
        progress.say(f"  {thresholds.described(name, threshold)}")
    return found


def _temperature(subject: ExportSubject, request: "Request", progress: Progress) -> OutputTemperature | None:
    if request.export.temperature is None:
        return None
    split = subject.data.validation
    probabilities = _predictions(subject, split, "predictions for the temperature", progress)
    found = calibration.fitted(logits_of(probabilities), split.labels)
    progress.say(f"  {calibration.described(found)}")
    return found


def _rejections(
    subject: ExportSubject, request: "Request", exported: Exported, bundle: Path, progress: Progress
) -> dict[str, Rejection]:
    """Chooses the thresholds below which the files give no label."""
    split, signature = subject.data.validation, subject.model.signature
    if request.export.reject is None:
        return {}
    return choose_for_files(
        bundle,
        exported.files,
        request.export.reject,
        subject.card,
        signature,
        _batches(subject, split),
        split.labels,
        lambda text: progress.say(f"  {text}"),
    )


def _predictions(subject: ExportSubject, split: Split, title: str, progress: Progress) -> np.ndarray:
    """Returns the model's predictions for the examples of a split, float32 [n, classes]."""
    from tfkd.data.batches import example_errors

    with progress.task(title, len(split), "examples") as advance, example_errors():

        def predictions() -> Iterator[np.ndarray]:
            for inputs in _batches(subject, split):
                yield subject.model.predict(inputs.numpy())
                advance(len(inputs))

        return np.concatenate(list(predictions()))


def _exported(subject: ExportSubject, request: "Request", bundle: Path, progress: Progress) -> Exported:
    from tfkd.writers import export, samples

    model, count = subject.model, request.export.calibration_images
    examples = samples.calibration(subject.data, model.signature, count, request.seed)
    return export(model, request.export, subject.card, examples, bundle, lambda path: progress.say(f"  {path}"))


def _measured(
    subject: ExportSubject,
    request: "Request",
    exported: Exported,
    probabilities: np.ndarray,
    bundle: Path,
    progress: Progress,
    rejections: dict[str, Rejection],
) -> list[Artifact]:
    from tfkd.verification.artifacts import Reference

    reference = Reference(
        batches=_batches(subject, subject.data.test),
        labels=subject.data.test.labels,
        keras=probabilities,
        teacher=None,
        signature=subject.model.signature,
        rejections=rejections,
    )

    def say(artifact: Artifact) -> None:
        lacking = artifact.not_verified
        progress.say(f"  {artifact.path}: {f'not verified here: {lacking}' if lacking else 'loaded again and run'}")

    def keep(path: str, predicted: np.ndarray) -> None:
        digest, labels = content_digest(bundle / path), subject.data.test.labels
        found = monitoring.reference(path, digest, predicted, labels, seed=request.seed)
        if found is not None:
            monitoring.write(bundle, found)

    return measure_files(bundle, exported.files, reference, subject.card, say, keep)


def _diagnosed(subject: ExportSubject, probabilities: np.ndarray, folder: RunFolder, seed: int) -> list[Diagnosis]:
    """Looks for causes of wrong predictions and, if many are wrong, tests other normalizations."""
    from tfkd.verification import diagnosis

    model, data = subject.model, subject.data
    wording = diagnosis.Wording(
        lambda words: f"--normalization {words}",
        lambda names: f"--labels {diagnosis.write_labels(folder.proposed_labels, names)}",
    )
    examined = diagnosis.DiagnosisSubject(
        model.name, model.predict, model.normalization, data.classes, wording, data.kind
    )
    test = data.test.labels
    if not diagnosis.is_suspicious(test, probabilities.argmax(axis=1)):
        return diagnosis.order_of_labels(examined, probabilities, test)
    examined = dataclasses.replace(examined, weights=diagnosis.initial_weights(model.opened))
    examples, labels = diagnosis.probe_images(data, model.signature, seed)
    return diagnosis.diagnose(examined, examples, labels)


def _student(
    subject: ExportSubject, accuracy: float, probabilities: np.ndarray, temperature: OutputTemperature | None
) -> StudentEntry:
    model, labels, classes = subject.model, subject.data.test.labels, subject.data.classes
    limits = thresholds.by_number(subject.card.thresholds, classes)
    return StudentEntry(
        model=model.name,
        parameters=model.parameters,
        image_size=side_if_image(model.signature),
        signature=model.signature,
        accuracy=accuracy,
        control_accuracy=None,
        accuracies=[accuracy],
        control_accuracies=[],
        seeds=[],
        exported_seed=None,
        agreement_with_teacher=None,
        calibration_error=calibration_error_of(probabilities, labels),
        output_temperature=temperature,
        **by_class(labels, probabilities.argmax(axis=1), probabilities, limits, classes),
        seconds_training=None,
        teacher_seconds=None,
    )


def _comparison(
    keras: float, artifacts: list[Artifact], timed: dict[str, Path], bench: list[BenchEntry]
) -> Iterator[ComparisonRow]:
    for artifact in artifacts:
        if artifact.path in timed and artifact.accuracy is not None:
            files = {artifact.path: timed[artifact.path]}
            yield assembly.comparison_row(artifact.precision, files, bench, artifact.accuracy, keras)


def _evidence(subject: ExportSubject, probabilities: np.ndarray, seed: int) -> "Evidence":
    from tfkd.bundle import predictions

    signature = subject.model.signature
    return predictions.evidence(
        "the Keras model", subject.data, signature, seed, {"student": probabilities}, lambda rows: rows
    )
