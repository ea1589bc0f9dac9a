"""`manifest.json`: the contract of a bundle. The report, the gates and other programs read only this.

Shares (accuracy, agreement, drop, calibration error) run from 0 to 1, latencies are milliseconds, sizes are bytes.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA = "tfkd-manifest-1"


class Entry(BaseModel):
    """A part of the manifest; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class DataEntry(Entry):
    source: str
    fingerprint: str
    classes: list[str]
    splits: dict[str, int] = Field(description="images a split: train, validation, test")
    rejected: list[str] = Field([], description="files that could not be decoded, with the reason")
    pixel_ranges: dict[str, tuple[float, float]] = Field(
        {}, description="values that became 0 and 255 in photos of more than 8 bits, by kind"
    )
    warnings: list[str] = Field([], description="what is probably wrong with the images")
    for_evaluation: bool = Field(
        False, description="the images were not divided: the test split, or all of them, measured a finished model"
    )


class ChanceTest(Entry):
    """A permutation test of predictions on the test split: do they know more of the labels than chance?"""

    balanced_accuracy: float = Field(description="mean over the split's classes of the share of images that are right")
    chance_level: float = Field(description="balanced accuracy of guessing: 1 / classes of the split")
    p_value: float = Field(description="probability of this balanced accuracy, or more, by chance")
    perfect_p_value: float = Field(description="p-value without one wrong prediction: the least that the split allows")


class TeacherEntry(Entry):
    model: str
    weights: str
    fingerprint: str
    parameters: int
    image_size: int
    accuracy: float = Field(description="on the test split")
    calibration_error: float = Field(description="expected calibration error, 15 equal bins (Guo et al. 2017)")
    chance: ChanceTest | None = Field(None, description="of a specialist: on images of the classes that it knows")
    not_exported: str | None = Field(
        None, description="why it has no .tflite file, so that the comparison has no row of it; None where it has one"
    )


class Compression(Entry):
    kind: str = Field(description="prune, cluster or qat")
    epochs: int
    seconds: float
    validation_accuracy: float = Field(description="of the network as it was trained: with int8 rounding after qat")
    accuracy: float = Field(description="the same on the test split")
    sparsity: float = Field(description="share of zeros among the weights that are pruned and clustered")
    clusters: int = Field(description="largest number of different weights among these layers")


class StudentEntry(Entry):
    """The network that ships; what its training tells is None where tfkd was given it trained, without a teacher."""

    model: str
    parameters: int
    image_size: int
    accuracy: float = Field(description="of the exported network in Keras, on the test split")
    control_accuracy: float | None = Field(description="of the control with the same seed; None where it was not run")
    accuracies: list[float] = Field(description="of every seed before compressions, in the order of the seeds")
    control_accuracies: list[float]
    seeds: list[int]
    exported_seed: int | None = Field(description="the seed with the best validation accuracy")
    agreement_with_teacher: float | None = Field(description="equal top-1 on the test split")
    compressions: list[Compression] = Field([], description="what was done after the training, in order")
    seconds_training: float | None
    teacher_seconds: float | None = Field(description="fine-tuning and answering every view, paid once")


class Tensor(Entry):
    name: str
    shape: list[int]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None
    range: list[float] | None = Field(None, description="smallest and largest value that may come in or out")


class InputOutput(Entry):
    input: Tensor
    output: Tensor


class Delegation(Entry):
    partitions: int = Field(description="XNNPACK partitions; 1 means that the whole graph runs inside")
    operators: int = Field(description="operators of the graph before delegation")
    outside: list[str] = Field(description="operators that XNNPACK does not run")


class Accelerator(Entry):
    name: str
    operators: int = Field(description="operators that run for every image")
    taken: int = Field(description="those that the published rules let it take")
    left_out: list[str] = Field(description="kinds of the operators that a rule leaves out")
    not_stated: list[str] = Field(description="kinds of the operators that no published rule speaks of")


class Artifact(Entry):
    path: str = Field(description="inside the bundle, with forward slashes")
    format: str = Field(description="tflite, mlmodel, mlpackage or onnx")
    precision: str = Field(description="fp32, fp16, dynamic, int8 or 16x8")
    bytes: int
    sha256: str = Field(description="of the file; of a folder: of its sorted `sha256  path` lines")
    accuracy: float | None = Field(None, description="on the test split; None where the file was not run")
    chance: ChanceTest | None = Field(None, description="None where the file was not run")
    agreement: float | None = Field(None, description="equal top-1 with the teacher")
    max_abs_error: float | None = Field(None, description="largest probability difference from the Keras student")
    mean_total_variation: float | None = Field(
        None,
        description="mean over the test images of the probability mass that is elsewhere than in the Keras student",
    )
    top1_vs_keras: float | None = Field(None, description="equal top-1 with the Keras student")
    golden_tolerances: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        {}, description="largest difference from the golden answers that passes, by runtime family; wider is ignored"
    )
    min_runtime: str | None = Field(
        None, description="oldest runtime that loads the file, such as TensorFlow Lite 2.17.0 or iOS 15; None: unknown"
    )
    operator_versions: dict[str, int] = Field({}, description="of a .tflite file: the newest version of each operator")
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
    bytes: int
    compressed_bytes: int | None = Field(None, description="deflated, as an app's download carries it")
    latency_ms: float = Field(description="median, one thread")
    latency_all_ms: float | None = Field(None, description="median, a thread for every core; None on a single core")
    accuracy: float
    drop: float = Field(description="accuracy of the teacher, or without one of the Keras model, minus this one's")
    agreement: float | None = Field(None, description="equal top-1 with the teacher")
    seconds: float | None = Field(None, description="of the training of this network, without that of its teacher")


class Latency(Entry):
    median: float
    p90: float | None = Field(None, description="None where the tool tells p95 alone")
    p95: float | None = None
    min: float
    p99: float | None = None
    interval: tuple[float, float] | None = Field(None, description="95 % confidence interval of the median")
    throttled: bool | None = Field(None, description="the device became slower while it was measured")


class BenchEntry(Entry):
    target: str
    device: str
    runtime: str
    artifact: str
    threads: int | None = Field(description="None where the runtime decides")
    runs: int
    latency_ms: Latency | None = Field(description="None where only instructions are counted")
    emulated: bool
    delegate: str | None = None
    soc: str | None = Field(None, description="processor, where the device has a name of its own; or the emulated one")
    rung: str | None = Field(None, description="of the verification ladder")
    partitions: int | None = None
    init_ms: float | None = None
    first_inference_ms: float | None = None
    peak_memory_mb: float | None = None
    instructions: dict[str, int] | None = Field(None, description="of one inference, by class, and their total")
    golden_error: float | None = Field(None, description="largest difference from the golden answers on the device")
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
    schema_: str = Field(SCHEMA, alias="schema")
    name: str
    tfkd_version: str
    created: str = Field(description="UTC, ISO 8601")
    recipe: dict[str, Any]
    environment: dict[str, str]
    seed: int
    data: DataEntry
    teachers: list[TeacherEntry] = Field(description="empty where tfkd was given a trained model")
    student: StudentEntry
    artifacts: list[Artifact]
    missing: list[MissingFile] = Field([], description="files that were asked for and could not be made")
    comparison: list[ComparisonRow]
    bench: list[BenchEntry]
    gates: list[Gate]
    diagnosis: list[Diagnosis] = Field([], description="likely causes of a low accuracy, the best supported first")
