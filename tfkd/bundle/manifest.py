"""`manifest.json`: the contract of a bundle. The report, the gates and other programs read only this.

It is composed of the records that writers and verification produce. Fractions (accuracy, agreement, calibration error)
run from 0 to 1, latencies are milliseconds, sizes are bytes. The ranges are part of the JSON Schema that
`tfkd schema manifest` prints.
"""

import datetime
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from tfkd.bundle.costs import CostEntry
from tfkd.bundle.results import BenchEntry
from tfkd.bundle.vocabulary import with_vocabulary
from tfkd.errors import RequestError, first_fault
from tfkd.inputs import kind_of
from tfkd.inputs.image.tensors import signature
from tfkd.recipe import NAME
from tfkd.records import Count, Entry, Fraction, Number
from tfkd.signature import Signature
from tfkd.verification.records import (
    Artifact,
    ChanceTest,
    Diagnosis,
    Gate,
    NegativeFlips,
    OrderAgreement,
    OutputTemperature,
    PairedTest,
    RecallChanges,
    Scores,
    Threshold,
)
from tfkd.writers.records import MissingFile

SCHEMA = "tfkd-manifest-1"
TEST: Literal["test"] = "test"  # the split that accuracies are measured on

Difference = Annotated[float, Field(ge=-1, le=1)]  # of two fractions
Seconds = Annotated[float, Field(ge=0)]
Milliseconds = Annotated[float, Field(gt=0)]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]


def _ascending(ends: tuple[float, float]) -> tuple[float, float]:
    if not ends[0] <= ends[1]:
        raise ValueError("must be two numbers, the smaller one first")
    return ends


def _with_test_images(splits: dict[Any, int]) -> dict[Any, int]:
    if splits.get(TEST, 0) < 1:
        raise ValueError("has no examples of the test split")
    return splits


def _in_utc(text: str) -> str:
    try:
        known = datetime.datetime.fromisoformat(text).utcoffset() == datetime.timedelta(0)
    except ValueError:
        known = False
    if not known:
        raise ValueError("must be a time in UTC by ISO 8601, such as 2026-05-04T12:30:00+00:00")
    return text


Ends = Annotated[tuple[float, float], AfterValidator(_ascending)]
Splits = Annotated[
    dict[Literal["train", "validation", "test"], Count],
    AfterValidator(_with_test_images),
    Field(json_schema_extra={"required": [TEST]}),
]
Utc = Annotated[str, AfterValidator(_in_utc), Field(json_schema_extra={"format": "date-time"})]


class DataEntry(Entry):
    source: str
    fingerprint: Fingerprint
    classes: list[str] = Field(min_length=2)
    splits: Splits = Field(description="examples per split: train, validation, test")
    rejected: list[str] = Field([], description="files that could not be decoded, with the reason")
    pixel_ranges: dict[str, Ends] = Field(
        {}, description="values that became 0 and 255 in photos of more than 8 bits, by kind"
    )
    warnings: list[str] = Field([], description="what is probably wrong with the examples")
    for_evaluation: bool = Field(
        False, description="the examples were not divided: the test split, or all of them, measured a finished model"
    )


class TuningEntry(Entry):
    """What fine_tune="auto" compared: validation accuracies; the teacher is the better network."""

    before: Fraction = Field(description="with the head alone, or as the network came")
    after: Fraction = Field(description="after the backbone was trained too")


class DomainEntry(Entry):
    """The examples that a teacher knows: its accuracy is on those of the test split."""

    pattern: str = Field(description="of their paths in the source")
    images: Number = Field(description="test examples in the domain")


class TeacherEntry(Entry):
    model: str
    weights: str
    fingerprint: Fingerprint
    parameters: Number | None = Field(description="None where it is not known, as image_size")
    image_size: Number | None
    accuracy: Fraction | None = Field(description="on the test split; None where it was not measured there")
    calibration_error: Fraction | None = Field(
        description="expected calibration error, 15 equal bins (Guo et al. 2017)"
    )
    chance: ChanceTest | None = Field(None, description="of a specialist: on examples of the classes that it knows")
    domain: DomainEntry | None = Field(
        None, description="of a teacher of some examples: accuracy, calibration_error and chance are on its own"
    )
    scores: Scores | None = Field(None, description="as chance; None where it was not measured on the test split")
    tuning: TuningEntry | None = Field(None, description="None where fine-tuning was not weighed")
    not_exported: str | None = Field(
        None, description="why it has no .tflite file, so that the comparison has no row of it; None where it has one"
    )


class CompressionEntry(Entry):
    kind: str = Field(description="prune, cluster or qat")
    epochs: Count
    seconds: Seconds
    validation_accuracy: Fraction = Field(description="of the network as it was trained: with int8 rounding after qat")
    accuracy: Fraction = Field(description="the same on the test split")
    sparsity: Fraction = Field(description="fraction of zeros among the weights that are pruned and clustered")
    clusters: Count = Field(description="largest number of different weights among these layers")


class FoldsEntry(Entry):
    """How the accuracies were measured: each labelled example once, by a network that was trained without its fold."""

    folds: Number = Field(description="number of parts that were left out of the training in turn")
    interval: Ends = Field(description="of the student's accuracy: 95 %, by Wilson's score")
    chance: ChanceTest = Field(description="the student's predictions against chance")


class StudentEntry(Entry):
    """The network that ships; training fields are null for models trained outside tfkd."""

    model: str
    parameters: Number
    image_size: Number | None = Field(None, description="side of the input, pixels; None where it is no image")
    signature: Signature | None = Field(
        None,
        description="raw inputs, of texts with the vocabulary in vocab.txt, of tables with columns.json; None "
        "in bundles of earlier versions: one square RGB image of image_size",
    )
    accuracy: Fraction = Field(
        description="of the exported network in Keras, on the test split; with folds, of the networks without a fold"
    )
    folds: FoldsEntry | None = Field(
        None,
        description="how accuracies were measured with data.folds, which train the exported network on all labelled "
        "examples; None where the test split was kept apart",
    )
    control_accuracy: Fraction | None = Field(
        description="of the control with the same seed; None where it was not run"
    )
    accuracies: list[Fraction] = Field(description="of every seed before compressions, in the order of the seeds")
    control_accuracies: list[Fraction]
    seeds: list[Count]
    exported_seed: Count | None = Field(description="the seed with the best validation accuracy")
    agreement_with_teacher: Fraction | None = Field(description="equal top-1 on the test split")
    negative_flips: NegativeFlips | None = Field(
        None, description="against the teacher on the test split; None where the teacher was not measured there"
    )
    wrong_classes: OrderAgreement | None = Field(
        None, description="student and teacher on the order of the wrong classes; None where that was not measured"
    )
    control_wrong_classes: OrderAgreement | None = Field(
        None, description="the same of control and teacher; None without a control"
    )
    against_control: PairedTest | None = Field(None, description="against the control of its seed; None without one")
    scores: Scores | None = Field(None, description="of the most probable classes, on the test split")
    scores_with_thresholds: Scores | None = Field(
        None, description="of the classes by the bundle's thresholds; None without them"
    )
    control_scores: Scores | None = Field(None, description="of the control of its seed; None without one")
    recall_changes: RecallChanges | None = Field(
        None, description="of the classes by the thresholds, if there are any; None without teacher and control"
    )
    calibration_error: Fraction | None = Field(
        None, description="as that of a teacher, of the probabilities of the Keras model; None in earlier bundles"
    )
    output_temperature: OutputTemperature | None = Field(
        None, description="of export.temperature, in all files and all figures of the student; None without it"
    )
    temperature: Annotated[float, Field(ge=1, le=8)] | None = Field(
        None, description="chosen from the stored predictions for the exported seed; None where the recipe names all"
    )
    compressions: list[CompressionEntry] = Field([], description="what was done after the training, in order")
    seconds_training: Seconds | None
    teacher_seconds: Seconds | None = Field(description="fine-tuning and answering every view, paid once")


class ComparisonRow(Entry):
    variant: str
    bytes: Number
    compressed_bytes: Number | None = Field(None, description="deflated, as an app's download carries it")
    latency_ms: Milliseconds = Field(description="median, one thread")
    latency_all_ms: Milliseconds | None = Field(
        None, description="median, a thread for every core; None on a single core"
    )
    peak_memory_mb: float | None = Field(
        None,
        ge=0,
        description="gained at the peak by loading and running it on this machine with one thread, MB of 10⁶ bytes; "
        "the largest of several files, which run one after the other; None where it was not measured",
    )
    accuracy: Fraction
    drop: Difference | None = Field(
        description="accuracy of the teacher, or without one of the Keras model, minus this one's; None where that of "
        "the teacher was not measured"
    )
    agreement: Fraction | None = Field(None, description="equal top-1 with the teacher")
    seconds: Seconds | None = Field(None, description="of the training of this network, without that of its teacher")


class ChoiceEntry(Entry):
    field: str = Field(description="dotted path of the recipe's field that said auto")
    value: str = Field(description="what it got, in a few words; recipe has the value itself")
    why: str


class RescueTry(Entry):
    """A remedy that was tried after a student missed a gate on accuracy or classes."""

    cause: str = Field(description="as in diagnosis")
    overrides: list[str] = Field(min_length=1, description="what it changed in the recipe")
    validation_accuracies: list[Fraction] = Field([], description="of every seed; empty where it was not trained")
    on_classes: dict[str, Difference] = Field({}, description="as in the record of the rescue")
    kept: bool = Field(description="whether this bundle is of that recipe")
    reason: str = Field("", description="why it was not trained; empty where it was")

    @model_validator(mode="after")
    def _trained_or_not(self) -> "RescueTry":
        if bool(self.reason) is bool(self.validation_accuracies) or (self.kept and self.reason):
            raise ValueError(
                f"the remedy {' '.join(self.overrides)} was either trained, or has a reason and is not kept"
            )
        return self


class RescueEntry(Entry):
    """What `tfkd run --rescue` tried; the validation examples alone decided."""

    missed: list[str] = Field(description="gates on accuracy and classes that the student of the recipe missed")
    validation_accuracies: list[Fraction] = Field(description="of every seed of that recipe")
    on_classes: dict[str, Difference] = Field(
        {},
        description="what the gates on classes measure on the validation examples, and the balanced accuracy, means "
        "over the seeds: they decide; empty where no such gate was missed, so that the accuracies decide",
    )
    tries: list[RescueTry]

    @model_validator(mode="after")
    def _one_kept(self) -> "RescueEntry":
        if sum(each.kept for each in self.tries) > 1:
            raise ValueError("keeps more than one remedy")
        return self


HeldOutPart = Literal["train", "validation", "test", "folds"]
Judge = Literal["teacher", "student"]


class SuspectedLabels(Entry):
    """How many labels are probably wrong (Northcutt et al. 2021). They are suspects: nothing was changed."""

    judges: list[Judge] = Field(min_length=1, description="whose predictions judged, the mean of both where both did")
    parts: list[HeldOutPart] = Field(
        min_length=1, description="splits of the examples; folds: all labelled ones, each judged without its fold"
    )
    examples: Number = Field(description="labelled examples that were judged")
    suspects: Count = Field(description="labels that are probably wrong; how many of them are depends on the judges")
    reason: str = Field("", description="why nothing could be judged; empty where it could")

    @model_validator(mode="after")
    def _of_the_judged(self) -> "SuspectedLabels":
        if self.suspects > (0 if self.reason else self.examples):
            raise ValueError(f"counts {self.suspects} suspected labels of {self.examples} examples{self.reason}")
        return self


UserOfTest = Literal["teacher", "run", "rescue", "sweep", "fit", "compare", "export", "calibration"]


class UseOfTest(Entry):
    """Who looked at the test split before this bundle was finished."""

    what: UserOfTest = Field(
        description="teacher: each was measured and compared with chance; calibration: test examples set the int8 "
        "ranges, where there are no others; otherwise the command that computed test figures"
    )
    recipes: list[Fingerprint] = Field(
        min_length=1, description="of each recipe that looked, or of its teachers, or of the model"
    )


class Manifest(Entry):
    schema_: str = Field(SCHEMA, alias="schema", json_schema_extra={"const": SCHEMA})
    name: str = Field(pattern=NAME)
    tfkd_version: str = Field(pattern=r"^[0-9]+(\.[0-9]+)*[A-Za-z0-9.+-]{0,64}$")
    created: Utc = Field(description="UTC, ISO 8601")
    recipe: dict[str, Any] = Field(description="resolved: without auto")
    choices: list[ChoiceEntry] = Field([], description="what the run chose where its recipe said auto")
    rescue: RescueEntry | None = Field(None, description="None where no remedy was tried")
    environment: dict[str, str] = Field(description="libraries and processor that the report was made with")
    environments: dict[str, dict[str, str]] = Field(
        {}, description="the same of each stage that was made elsewhere, by its name: what differs from `environment`"
    )
    seed: int = Field(ge=0, lt=2**31)
    data: DataEntry
    teachers: list[TeacherEntry] = Field(description="empty for models trained outside tfkd")
    student: StudentEntry
    thresholds: dict[str, Threshold] = Field({}, description="of classes in gates.min_recall")
    artifacts: list[Artifact]
    missing: list[MissingFile] = Field([], description="requested files that could not be made")
    comparison: list[ComparisonRow]
    bench: list[BenchEntry]
    gates: list[Gate]
    diagnosis: list[Diagnosis] = Field([], description="likely causes of a low accuracy, the best supported first")
    test_uses: list[UseOfTest] = Field(
        [], description="what has looked at the test split in the folder of the run; empty in earlier bundles"
    )
    suspected_labels: SuspectedLabels | None = Field(
        None, description="None where no network predicted examples that it has not learned from"
    )
    cost: CostEntry | None = Field(None, description="what the run cost; None for models trained outside tfkd")

    @field_validator("recipe")
    @classmethod
    def _finite(cls, value: dict[str, Any]) -> dict[str, Any]:
        json.dumps(value, allow_nan=False)
        return value

    @property
    def recipes_tested(self) -> set[str]:
        """The recipes whose test figures were computed in the folder of the run, this one included."""
        uses = [use for use in self.test_uses if use.what not in ("teacher", "calibration")]
        return {recipe for use in uses for recipe in use.recipes}

    @property
    def signature(self) -> Signature:
        """What the student takes."""
        return self.student.signature or signature(self.student.image_size or 0)

    @property
    def noun(self) -> str:
        """Word for one example, such as "image"; its plural ends in s."""
        return kind_of(self.signature.kind).noun

    def with_vocabulary(self, folder: Path) -> "Manifest":
        """Returns the manifest of a bundle in this folder with the vocabulary of its signature.

        Raises:
            RequestError: it has none that fits.
        """
        found = with_vocabulary(self.student.signature, folder)
        return self.model_copy(update={"student": self.student.model_copy(update={"signature": found})})

    @property
    def teacher_ms(self) -> float | None:
        """Latency of the teacher with all cores, milliseconds; None where it was not measured."""
        row = next((row for row in self.comparison if row.variant.startswith("teacher")), None)
        return (row.latency_all_ms or row.latency_ms) if row else None

    @property
    def folds(self) -> int | None:
        """Over how many folds the accuracies are pooled; None where a test split was kept apart."""
        return self.student.folds.folds if self.student.folds else None

    @property
    def images(self) -> int:
        """How many images the accuracies were measured on."""
        return self.data.splits[TEST]


def single(teachers: list[TeacherEntry]) -> list[TeacherEntry]:
    """Returns the teachers without what they are together, which comes first where there are several."""
    return teachers[1:] or teachers


def total(numbers: Iterable[int | None]) -> int | None:
    """Returns the sum of numbers; None where one is not known."""
    found = [*numbers]
    return None if None in found else sum(number for number in found if number is not None)


def latency(bench: Iterable[BenchEntry], files: Collection[str], single: bool) -> float | None:
    """Returns what files take that run one after the other, milliseconds: the sum of their median latencies.

    Args:
        bench: the measured latencies.
        files: their names in `bench`.
        single: with one thread; else with several.

    Returns:
        None where one of the files was not timed so.
    """
    medians = {
        entry.artifact: entry.latency_ms.median
        for entry in bench
        if entry.latency_ms is not None and entry.threads is not None and (entry.threads == 1) is single
    }
    found = [medians[name] for name in files if name in medians]
    return sum(found) if len(found) == len(files) else None


def peak_memory(bench: Iterable[BenchEntry], files: Collection[str]) -> float | None:
    """Returns the peak memory of files that run one after the other with one thread, MB: the largest of them.

    Args:
        bench: the measurements.
        files: their names in `bench`.

    Returns:
        None where that of one of the files was not measured.
    """
    peaks = {
        entry.artifact: entry.peak_memory_mb
        for entry in bench
        if entry.threads == 1 and entry.peak_memory_mb is not None
    }
    found = [peaks[name] for name in files if name in peaks]
    return max(found) if found and len(found) == len(files) else None


def read_manifest(folder: Path) -> Manifest:
    """Reads a bundle's manifest.

    Raises:
        RequestError: there is none, or it is not of this version's schema.
    """
    path = folder / "manifest.json"
    if path.exists() and not path.is_file():
        raise RequestError(f"{path} is no file. Name a folder that tfkd run made, e.g. exported_models/quickstart.")
    try:
        return Manifest.model_validate_json(path.read_bytes()).with_vocabulary(folder)
    except OSError as error:
        raise RequestError(
            f"{folder} is no bundle: cannot read {path.name}: {error.strerror}. "
            "Name a folder that tfkd run made, e.g. exported_models/quickstart."
        ) from None
    except ValidationError as error:
        raise RequestError(f"{path}: {first_fault(error)}. Make the bundle again with this version.") from None
