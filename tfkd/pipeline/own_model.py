"""The second half of a run for a model of the user's own: exported, verified, timed and published as a bundle."""

import dataclasses
import datetime
import re
import shutil
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator, model_validator

from tfkd import machine
from tfkd.bundle.manifest import SCHEMA, ComparisonRow, Manifest, StudentEntry
from tfkd.bundle.publishing import require_writable
from tfkd.bundle.results import BenchEntry
from tfkd.bundle.verdicts import measured
from tfkd.data import Dataset, Split, open_evaluation
from tfkd.errors import InternalError, RequestError, TfkdError, of_the_machine
from tfkd.labels import outputs_of, read_labels
from tfkd.models import normalization
from tfkd.pipeline.run import CHECKED, PROPOSED_LABELS, Outcome, publish
from tfkd.pipeline.stage import locked
from tfkd.processes import FORKSERVER
from tfkd.progress import Progress, counted
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import NAME, Bench, Block, Data, Export, Gates
from tfkd.recipe import files as recipe_files
from tfkd.sandbox import Sandbox
from tfkd.verification.gates import OF_SEVERAL, is_on, judge
from tfkd.verification.records import Artifact, Diagnosis
from tfkd.version import __version__
from tfkd.writers import Exported, ExportedFile, card_of, check_installed
from tfkd.writers.records import MissingFile

if TYPE_CHECKING:
    import numpy as np

    from tfkd.bundle.golden import Golden
    from tfkd.report.evidence import Evidence
    from tfkd.writers.own import OwnModel

BATCH = 64


class Request(Block):
    """What `tfkd export` was asked for."""

    name: str = Field(pattern=NAME, description="names the bundle")
    model: str = Field(description="a .keras or .h5 file of Keras 2 or 3, or the folder of a SavedModel")
    labels: str = Field(description="a text file with one class name a line, in the order of the model's outputs")
    data: str = Field(
        description="embedded:NAME, tfds:NAME, folder:PATH or files:LIST.csv; its classes are among the labels"
    )
    normalization: str = Field(
        "none", description="what the model expects of pixels: none, tf, torch, caffe or numbers"
    )
    allow_code: bool = Field(False, description="run code that the model file brings along")
    imports: list[str] = Field([], description="modules that register the model's custom layers")
    image_size: int | None = Field(None, ge=8, le=1024, description="side of the input where the model leaves it free")
    export: Export
    bench: Bench
    gates: Gates
    seed: int = Field(1, ge=0, lt=2**31, description="draws the splits that the data lack, and the images")

    @field_validator("export")
    @classmethod
    def _measurable(cls, value: Export) -> Export:
        if not value.tflite:
            raise ValueError("names no .tflite file; a bundle's latencies are of those, so name at least fp32")
        return value

    @model_validator(mode="after")
    def _alone(self) -> "Request":
        for name in OF_SEVERAL:
            if is_on(getattr(self.gates, name)):
                raise ValueError(f"gates.{name} compares with a teacher or a control, and here is none; leave it out")
        return self


def name_of(model: str) -> str:
    """Returns a name for the bundle of a model's file or folder: its own, without what a name may not hold."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", Path(model).stem).strip("-_")[:64] or "model"


def request(given: dict[str, Any], files: dict[str, Any], overrides: list[str]) -> Request:
    """Puts a request together.

    Args:
        given: the fields of the request itself.
        files: which files to write, by the field of `export` that names them; those that are named must exist, unless
            the overrides set `export.require`.
        overrides: further fields as `key.path=value`.

    Raises:
        RequestError: a field is unknown or has a wrong value.
    """
    parts: dict[str, Block] = {
        "export": Export(description="Image classifier"),
        "bench": Bench(),
        # The network is what it is: operators that XNNPACK does not have are told, and judged on request.
        "gates": Gates(one_partition=False, min_relative_accuracy=None, not_worse_than_control=False),
    }
    values = {**given, **{name: part.model_dump(mode="json") for name, part in parts.items()}}
    named = [*files.get("tflite", []), *files.get("coreml", []), *(["onnx"] if files.get("onnx") else [])]
    values["export"] |= files | {"require": named}
    return recipe_files.validated(recipe_files.overridden(values, overrides), Request, "tfkd export")


def publish_own(request: Request, progress: Progress, runs: Path, bundles: Path) -> Outcome:
    """Makes a verified bundle of a trained classifier.

    A bundle is published as `bundles/<name>` unless a gate fails; then it stays at `runs/<name>/bundle`.

    Args:
        request: what to do.
        progress: shows what is going on.
        runs: where the folder of this work is made.
        bundles: the folder of the bundles.

    Raises:
        RequestError: the model, its labels or the data do not fit; says which and why.
        VerifyError: an exported file is not what it must be.
    """
    folder = runs / request.name
    check_installed(request.export)
    require_writable(bundles / request.name)
    labels = read_labels(Path(request.labels))
    with locked(folder):
        made = folder / "bundle"
        shutil.rmtree(made, ignore_errors=True)
        export = _Export(request, labels, folder / CHECKED, progress)
        manifest = export.write(made)
        export.data.require_unchanged()
        return publish(made, manifest, bundles / request.name, folder, progress)


def publish_own_apart(request: Request, progress: Progress, runs: Path, bundles: Path) -> Outcome:
    """Does what `publish_own` does in a process apart, as libraries can crash on a model or never end.

    With `allow_code` the model is trusted, and code in it needs what is in this process.

    Raises:
        RequestError, VerifyError: as of `publish_own`, or the process crashed or used more than it may.
        InternalError: something else failed.
    """
    if request.allow_code:
        return publish_own(request, progress, runs, bundles)
    with Sandbox(RequestError, context=FORKSERVER) as sandbox:
        outcome: Outcome = sandbox.call(Path(request.model), _published, request, runs, bundles, progress=progress)
    return outcome


def _published(request: Request, runs: Path, bundles: Path, progress: Progress) -> Outcome:
    try:
        return publish_own(request, progress, runs, bundles)
    except TfkdError:
        raise
    except Exception as error:
        raise of_the_machine(error) or InternalError(traceback.format_exc()) from error


def with_labels(data: Dataset, labels: tuple[str, ...]) -> Dataset:
    """Returns the images with the model's classes for their own: label i is output i.

    Raises:
        RequestError: the data have a class that the model does not know.
    """
    import numpy as np

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


class _Export:
    """One export: the model, the images and what is asked of them."""

    def __init__(self, request: Request, labels: tuple[str, ...], checked: Path, progress: Progress) -> None:
        self.request = request
        self.progress = progress
        with native_logs_silenced():
            from tfkd.writers import own
        chosen = normalization.parse(request.normalization)
        if chosen.changes:
            progress.say(f"pixels: {request.normalization} = {chosen}")
        self.model: OwnModel = own.load(
            Path(request.model), chosen, request.allow_code, request.imports, request.image_size
        )
        if self.model.classes != len(labels):
            raise RequestError(
                f"{request.labels} names {len(labels)} classes, {self.model.name} has {self.model.classes} outputs; "
                "give each output one line."
            )
        with progress.task("checking photos", None, "photos") as advance:
            # Only the splits are asked for: which size the images have is decided where they are read.
            found = open_evaluation(Data(source=request.data), request.seed, counted(advance), checked)
        progress.say(
            f"data: {found.source}, {len(found.classes)} classes ({found.named()}), {len(found.test):,} images to "
            f"measure, {len(found.train):,} training images"
        )
        for text in found.described():
            progress.say(f"  {text}")
        self.data = with_labels(found, labels)
        self.card = card_of(request.model_dump(mode="json"), labels, self.data.fingerprint)

    def write(self, folder: Path) -> Manifest:
        """Fills a bundle's folder and returns its manifest."""
        from tfkd.benchmark import host
        from tfkd.distill.measures import accuracy
        from tfkd.report import summary

        probabilities = self._answers()
        diagnosis = self._diagnosed(probabilities, folder.parent)
        made = self._exported(folder)
        artifacts = self._measured(folder, made.files, probabilities)
        timed = {artifact.path: folder / artifact.path for artifact in artifacts if artifact.format == "tflite"}
        entries = host.measure(timed, self.request.bench, lambda text: self.progress.say(f"  {text}"))
        right = accuracy(probabilities, self.data.test.labels)
        manifest = self._manifest(right, artifacts, made.missing, timed, entries, diagnosis)
        summary.complete(folder, manifest, self._golden(folder, artifacts), self._evidence(probabilities))
        return manifest

    def _exported(self, folder: Path) -> Exported:
        from tfkd.writers import export, samples

        asked = self.request.export
        images = samples.calibration(self.data, self.model.size, asked.calibration_images, self.request.seed)
        return export(self.model, asked, self.card, images, folder, lambda path: self.progress.say(f"  {path}"))

    def _batches(self) -> Any:
        from tfkd.data.batches import plain_batches
        from tfkd.inputs.image.tensors import signature as image_signature

        return plain_batches(self.data.test, image_signature(self.model.size), BATCH).map(lambda images, _: images)

    def _answers(self) -> "np.ndarray":
        """Returns what the model itself says of the test images, float32 [n, classes]."""
        import numpy as np

        from tfkd.data.batches import example_errors

        with self.progress.task("the model's own answers", len(self.data.test), "images") as advance, example_errors():

            def answers() -> Iterator[np.ndarray]:
                for images in self._batches():
                    yield self.model.answer(images.numpy())
                    advance(len(images))

            return np.concatenate(list(answers()))

    def _measured(self, folder: Path, files: Iterable[ExportedFile], probabilities: "np.ndarray") -> list[Artifact]:
        from tfkd.verification.artifacts import Reference, measure

        reference = Reference(
            batches=self._batches(),
            labels=self.data.test.labels,
            keras=probabilities,
            teacher_top1=None,
            size=self.model.size,
        )
        artifacts = []
        for file in files:
            artifacts.append(measure(folder, file, reference, self.card))
            lacking = artifacts[-1].not_verified
            told = f"not verified here: {lacking}" if lacking else "loaded again and run"
            self.progress.say(f"  {file.path}: {told}")
        return artifacts

    def _diagnosed(self, probabilities: "np.ndarray", folder: Path) -> list[Diagnosis]:
        """Looks for causes of wrong predictions: in those at hand, and with other pixels where many are wrong."""
        from tfkd.verification import diagnosis

        wording = diagnosis.Wording(
            lambda words: f"--normalization {words}",
            lambda names: f"--labels {diagnosis.write_labels(folder / PROPOSED_LABELS, names)}",
        )
        subject = diagnosis.Subject(
            self.model.name, self.model.answer, self.model.normalization, self.data.classes, wording
        )
        test = self.data.test.labels
        if not diagnosis.is_suspicious(test, probabilities.argmax(axis=1)):
            return diagnosis.order_of_labels(subject, probabilities, test)
        subject = dataclasses.replace(subject, weights=diagnosis.initial_weights(self.model.opened))
        images, labels = diagnosis.probe_images(self.data, self.model.size, self.request.seed)
        return diagnosis.diagnose(subject, images, labels)

    def _manifest(
        self,
        accuracy: float,
        artifacts: list[Artifact],
        missing: list[MissingFile],
        timed: dict[str, Path],
        entries: list[BenchEntry],
        diagnosis: list[Diagnosis],
    ) -> Manifest:
        from tfkd.report import summary

        manifest = Manifest(
            schema=SCHEMA,
            name=self.request.name,
            tfkd_version=__version__,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            recipe=self.request.model_dump(mode="json"),
            environment=machine.environment(),
            seed=self.request.seed,
            data=summary.data_entry(self.data),
            teachers=[],
            student=self._student(accuracy),
            artifacts=artifacts,
            missing=missing,
            comparison=list(self._comparison(accuracy, artifacts, timed, entries)),
            bench=entries,
            gates=[],
            diagnosis=diagnosis,
        )
        return manifest.model_copy(update={"gates": judge(self.request.gates, measured(manifest))})

    def _student(self, accuracy: float) -> StudentEntry:
        return StudentEntry(
            model=self.model.name,
            parameters=self.model.parameters,
            image_size=self.model.size,
            accuracy=accuracy,
            control_accuracy=None,
            accuracies=[accuracy],
            control_accuracies=[],
            seeds=[],
            exported_seed=None,
            agreement_with_teacher=None,
            seconds_training=None,
            teacher_seconds=None,
        )

    def _comparison(
        self, keras: float, artifacts: list[Artifact], timed: dict[str, Path], entries: list[BenchEntry]
    ) -> Iterator[ComparisonRow]:
        from tfkd.report import summary

        for artifact in artifacts:
            if artifact.path in timed and artifact.accuracy is not None:
                files = {artifact.path: timed[artifact.path]}
                yield summary.compared(artifact.precision, files, entries, artifact.accuracy, keras)

    def _golden(self, folder: Path, artifacts: list[Artifact]) -> "Golden":
        import numpy as np

        from tfkd.bundle import golden
        from tfkd.writers import samples

        count, test = self.request.export.golden_images, self.data.test
        images, positions = samples.photos(test, self.model.size, count, self.request.seed)
        keras = self.model.answer(images.astype(np.float32))
        return golden.collect(folder, artifacts, images, test.labels[positions], keras)

    def _evidence(self, probabilities: "np.ndarray") -> "Evidence":
        from tfkd.report import predictions

        size, seed = self.model.size, self.request.seed
        return predictions.evidence(
            "the Keras model", self.data, size, seed, {"student": probabilities}, lambda rows: rows
        )
