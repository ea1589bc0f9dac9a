"""`manifest.json`: the contract of a bundle. The report, the gates and other programs read only this.

Shares (accuracy, agreement, calibration error) run from 0 to 1, latencies are milliseconds, sizes are bytes. The ranges
are part of the JSON Schema that `tfkd schema manifest` prints.
"""

import datetime
import json
from collections.abc import Collection, Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from tfkd.recipe import NAME

SCHEMA = "tfkd-manifest-1"
TEST: Literal["test"] = "test"  # the split that accuracies are measured on

Share = Annotated[float, Field(ge=0, le=1)]
Difference = Annotated[float, Field(ge=-1, le=1)]  # of two shares
Count = Annotated[int, Field(ge=0)]
Number = Annotated[int, Field(ge=1)]  # of things that there must be
Seconds = Annotated[float, Field(ge=0)]
Milliseconds = Annotated[float, Field(gt=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]


def _ascending(ends: tuple[float, float]) -> tuple[float, float]:
    if not ends[0] <= ends[1]:
        raise ValueError("must be two numbers, the smaller one first")
    return ends


def _with_test_images(splits: dict[Any, int]) -> dict[Any, int]:
    if splits.get(TEST, 0) < 1:
        raise ValueError("has no images of the test split")
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


class Entry(BaseModel):
    """A part of the manifest; unknown fields and numbers that are not finite are errors."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class DataEntry(Entry):
    source: str
    fingerprint: Fingerprint
    classes: list[str] = Field(min_length=2)
    splits: Splits = Field(description="images a split: train, validation, test")
    rejected: list[str] = Field([], description="files that could not be decoded, with the reason")
    pixel_ranges: dict[str, Ends] = Field(
        {}, description="values that became 0 and 255 in photos of more than 8 bits, by kind"
    )
    warnings: list[str] = Field([], description="what is probably wrong with the images")
    for_evaluation: bool = Field(
        False, description="the images were not divided: the test split, or all of them, measured a finished model"
    )


class ChanceTest(Entry):
    """A permutation test of predictions on the test split: do they know more of the labels than chance?"""

    balanced_accuracy: Share = Field(description="mean over the split's classes of the share of images that are right")
    chance_level: float = Field(gt=0, le=1, description="balanced accuracy of guessing: 1 / classes of the split")
    p_value: float = Field(gt=0, le=1, description="probability of this balanced accuracy, or more, by chance")
    perfect_p_value: Share = Field(description="p-value without one wrong prediction: the least that the split allows")


class PairedTest(Entry):
    """A one-sided exact McNemar test of one classifier against another on the test split."""

    gained: Count = Field(description="images that only the first predicts rightly")
    lost: Count = Field(description="images that only the second predicts rightly")
    p_value: Share = Field(description="probability of as many losses or more where both are equally good")
    worst_p_value: Share = Field(description="the least that the test split allows: the first is always wrong")


class TeacherEntry(Entry):
    model: str
    weights: str
    fingerprint: Fingerprint
    parameters: Number
    image_size: Number
    accuracy: Share = Field(description="on the test split")
    calibration_error: Share = Field(description="expected calibration error, 15 equal bins (Guo et al. 2017)")
    chance: ChanceTest | None = Field(None, description="of a specialist: on images of the classes that it knows")
    not_exported: str | None = Field(
        None, description="why it has no .tflite file, so that the comparison has no row of it; None where it has one"
    )


class Compression(Entry):
    kind: str = Field(description="prune, cluster or qat")
    epochs: Count
    seconds: Seconds
    validation_accuracy: Share = Field(description="of the network as it was trained: with int8 rounding after qat")
    accuracy: Share = Field(description="the same on the test split")
    sparsity: Share = Field(description="share of zeros among the weights that are pruned and clustered")
    clusters: Count = Field(description="largest number of different weights among these layers")


class StudentEntry(Entry):
    """The network that ships; what its training tells is None where tfkd was given it trained, without a teacher."""

    model: str
    parameters: Number
    image_size: Number
    accuracy: Share = Field(description="of the exported network in Keras, on the test split")
    control_accuracy: Share | None = Field(description="of the control with the same seed; None where it was not run")
    accuracies: list[Share] = Field(description="of every seed before compressions, in the order of the seeds")
    control_accuracies: list[Share]
    seeds: list[Count]
    exported_seed: Count | None = Field(description="the seed with the best validation accuracy")
    agreement_with_teacher: Share | None = Field(description="equal top-1 on the test split")
    against_control: PairedTest | None = Field(None, description="against the control of its seed; None without one")
    compressions: list[Compression] = Field([], description="what was done after the training, in order")
    seconds_training: Seconds | None
    teacher_seconds: Seconds | None = Field(description="fine-tuning and answering every view, paid once")


class Tensor(Entry):
    name: str
    shape: list[Number]
    dtype: str
    scale: float | None = Field(None, gt=0, description="of a quantized tensor: what a step of 1 is worth")
    zero_point: int | None = Field(None, ge=-(2**15), lt=2**15, description="of a quantized tensor: what stands for 0")
    range: list[float] | None = Field(None, description="smallest and largest value that may come in or out")


class InputOutput(Entry):
    input: Tensor
    output: Tensor


class Delegation(Entry):
    partitions: Count = Field(description="XNNPACK partitions; 1 means that the whole graph runs inside")
    operators: Count = Field(description="operators of the graph before delegation")
    outside: list[str] = Field(description="operators that XNNPACK does not run")


class Accelerator(Entry):
    name: str
    operators: Count = Field(description="operators that run for every image")
    taken: Count = Field(description="those that the published rules let it take")
    left_out: list[str] = Field(description="kinds of the operators that a rule leaves out")
    not_stated: list[str] = Field(description="kinds of the operators that no published rule speaks of")

    @model_validator(mode="after")
    def _taken_of_all(self) -> "Accelerator":
        if self.taken > self.operators:
            raise ValueError(f"{self.name} takes {self.taken} of {self.operators} operators")
        return self


class Artifact(Entry):
    path: str = Field(description="inside the bundle, with forward slashes")
    format: str = Field(description="tflite, mlmodel, mlpackage or onnx")
    precision: str = Field(description="fp32, fp16, dynamic, int8 or 16x8")
    bytes: Number
    sha256: Sha256 = Field(description="of the file; of a folder: of its sorted `sha256  path` lines")
    accuracy: Share | None = Field(None, description="on the test split; None where the file was not run")
    chance: ChanceTest | None = Field(None, description="None where the file was not run")
    agreement: Share | None = Field(None, description="equal top-1 with the teacher")
    max_abs_error: Share | None = Field(None, description="largest probability difference from the Keras student")
    mean_total_variation: Share | None = Field(
        None,
        description="mean over the test images of the probability mass that is elsewhere than in the Keras student",
    )
    top1_vs_keras: Share | None = Field(None, description="equal top-1 with the Keras student")
    golden_tolerances: dict[str, Annotated[float, Field(ge=0)]] = Field(
        {}, description="largest difference from the golden answers that passes, by runtime family; wider is ignored"
    )
    min_runtime: str | None = Field(
        None, description="oldest runtime that loads the file, such as TensorFlow Lite 2.17.0 or iOS 15; None: unknown"
    )
    operator_versions: dict[str, Number] = Field(
        {}, description="of a .tflite file: the newest version of each operator"
    )
    not_verified: str | None = Field(
        None, description="what this machine lacks to run the file, such as an operator; None where it was run"
    )
    delegation: Delegation | None = None
    accelerators: list[Accelerator] = Field([], description="what phones' accelerators take, by published rules")
    io: InputOutput


class MissingFile(Entry):
    """A file that was asked for and could not be made."""

    path: str = Field(description="where it would be in the bundle")
    format: str = Field(description="tflite, mlmodel, mlpackage or onnx")
    precision: str
    reason: str
    required: bool = Field(description="the recipe's export.require names it: the gate of its name failed")


class ComparisonRow(Entry):
    variant: str
    bytes: Number
    compressed_bytes: Number | None = Field(None, description="deflated, as an app's download carries it")
    latency_ms: Milliseconds = Field(description="median, one thread")
    latency_all_ms: Milliseconds | None = Field(
        None, description="median, a thread for every core; None on a single core"
    )
    accuracy: Share
    drop: Difference = Field(description="accuracy of the teacher, or without one of the Keras model, minus this one's")
    agreement: Share | None = Field(None, description="equal top-1 with the teacher")
    seconds: Seconds | None = Field(None, description="of the training of this network, without that of its teacher")


class Latency(Entry):
    median: Milliseconds
    p90: Milliseconds | None = Field(None, description="None where the tool tells p95 alone")
    p95: Milliseconds | None = None
    min: float = Field(ge=0)
    p99: Milliseconds | None = None
    interval: Ends | None = Field(None, description="95 % confidence interval of the median")
    throttled: bool | None = Field(None, description="the device became slower while it was measured")

    @model_validator(mode="after")
    def _ordered(self) -> "Latency":
        rising = [each for each in (self.min, self.median, self.p90, self.p95, self.p99) if each is not None]
        if rising != sorted(rising):
            raise ValueError("min, median, p90, p95 and p99 must not fall in this order")
        return self


class BenchEntry(Entry):
    target: str
    device: str
    runtime: str
    artifact: str
    threads: Number | None = Field(description="None where the runtime decides")
    runs: Number
    latency_ms: Latency | None = Field(description="None where only instructions are counted")
    emulated: bool
    delegate: str | None = None
    soc: str | None = Field(None, description="processor, where the device has a name of its own; or the emulated one")
    rung: str | None = Field(None, description="of the verification ladder")
    partitions: Count | None = None
    init_ms: float | None = Field(None, ge=0)
    first_inference_ms: float | None = Field(None, ge=0)
    peak_memory_mb: float | None = Field(None, ge=0)
    instructions: dict[str, Count] | None = Field(None, description="of one inference, by class, and their total")
    golden_error: float | None = Field(
        None, ge=0, description="largest difference from the golden answers on the device"
    )
    golden_passed: bool | None = None
    golden_family: str | None = Field(
        None, description="runtime family whose golden answers matched, or are nearest; None in older bundles"
    )


Verdict = Literal["passed", "failed", "not judged"]


class Gate(Entry):
    name: str
    value: float | None = Field(description="what was measured; None where nothing was, or where it is no number")
    limit: float | None = Field(description="None where the gate was not judged")
    passed: bool = Field(description="True only where the verdict is passed")
    verdict: Verdict = Field("failed", description="where it is missing, `passed` decides between passed and failed")
    reason: str = Field("", description="what the value means, or why the gate was not judged")

    @model_validator(mode="before")
    @classmethod
    def _with_verdict(cls, values: Any) -> Any:
        if isinstance(values, dict) and "verdict" not in values:
            return {**values, "verdict": "passed" if values.get("passed") is True else "failed"}
        return values

    @model_validator(mode="after")
    def _of_one_mind(self) -> "Gate":
        if self.passed != (self.verdict == "passed"):
            raise ValueError(f"the gate {self.name} has passed = {self.passed} and the verdict {self.verdict!r}")
        return self


class Diagnosis(Entry):
    """A likely cause of a low accuracy; nothing of it was applied."""

    subject: str = Field(description="the model, or which teacher or student")
    cause: str = Field(description="labels, pixels, pixels and labels, untrained, other classes, fine-tuning, ...")
    evidence: str
    proposal: str = Field("", description="the flag or the field of the recipe to change")
    normalization: str | None = Field(None, description="the proposed words; None where the pixels are right")
    labels: list[str] = Field([], description="the proposed names of the outputs, in order; empty where they are right")

    def __str__(self) -> str:
        return f"{self.evidence} Try {self.proposal}."


class Manifest(Entry):
    schema_: str = Field(SCHEMA, alias="schema", json_schema_extra={"const": SCHEMA})
    name: str = Field(pattern=NAME)
    tfkd_version: str = Field(pattern=r"^[0-9]+(\.[0-9]+)*[A-Za-z0-9.+-]{0,64}$")
    created: Utc = Field(description="UTC, ISO 8601")
    recipe: dict[str, Any]
    environment: dict[str, str] = Field(description="libraries and processor that the report was made with")
    environments: dict[str, dict[str, str]] = Field(
        {}, description="the same of each stage that was made elsewhere, by its name: what differs from `environment`"
    )
    seed: int = Field(ge=0, lt=2**31)
    data: DataEntry
    teachers: list[TeacherEntry] = Field(description="empty where tfkd was given a trained model")
    student: StudentEntry
    artifacts: list[Artifact]
    missing: list[MissingFile] = Field([], description="files that were asked for and could not be made")
    comparison: list[ComparisonRow]
    bench: list[BenchEntry]
    gates: list[Gate]
    diagnosis: list[Diagnosis] = Field([], description="likely causes of a low accuracy, the best supported first")

    @field_validator("recipe")
    @classmethod
    def _finite(cls, value: dict[str, Any]) -> dict[str, Any]:
        json.dumps(value, allow_nan=False)
        return value

    @property
    def images(self) -> int:
        """How many images the accuracies were measured on."""
        return self.data.splits[TEST]


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
