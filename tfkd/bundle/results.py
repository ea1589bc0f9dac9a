"""What every bench target gives: one schema, whoever measured, written and read as `tfkd-bench-1` JSON.

Latencies are milliseconds, memory is MB of 10⁶ bytes, shares run from 0 to 1. A result holds a latency or instructions;
a target that only counts instructions (`arm64`) has no latency. The programs on phones write the same JSON. What a
device sends is validated here before anything else reads it.
"""

import datetime
import math
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from tfkd import files
from tfkd.errors import RequestError, first_fault
from tfkd.records import Count, Entry, Sha256
from tfkd.version import __version__

SCHEMA: Literal["tfkd-bench-1"] = "tfkd-bench-1"
LARGEST_FILE = 1 << 28  # bytes of JSON; a device may send anything

DURATIONS = ("samples_ms", "cpu_ms", "yardstick_ms")

Rung = Literal["x86", "arm64 emulated", "core ml on linux", "mediapipe", "virtual device", "device"]


class Cores(Entry):
    """Cores of one kind."""

    count: int = Field(ge=1)
    max_mhz: int | None = Field(None, ge=1)


class Condition(Entry):
    """What changes on a device while it is measured."""

    celsius: float | None = Field(None, description="of the hottest sensor")
    thermal_status: str | None = Field(None, description="in the system's own word: none, light ... nominal, fair ...")
    battery: float | None = Field(None, ge=0, le=1, description="charge")
    charging: bool | None = Field(None, description="whether a charger is connected")
    load: float | None = Field(None, ge=0, description="processes that want to run, per core: average over a minute")


class Device(Entry):
    """The device that ran a file; None for properties that it does not report."""

    maker: str | None = None
    model: str | None = None
    soc: str | None = Field(None, description="processor or system on a chip; for an emulator the processor it plays")
    cores: list[Cores] = Field([], description="by kind, fastest first")
    os: str = Field(description="name and version")
    build: str | None = Field(None, description="of the operating system, in its own words")
    abi: str = Field(description="as the system calls it: x86_64, aarch64, arm64-v8a, arm64 ...")
    governor: str | None = Field(None, description="of the processor's frequency")
    before: Condition = Condition()
    after: Condition = Condition()

    @property
    def name(self) -> str:
        """The name of the device, or of its processor if it has none."""
        named = " ".join(part for part in (self.maker, self.model) if part)
        return named or self.soc or self.abi


class Runtime(Entry):
    name: str
    version: str


class File(Entry):
    path: str = Field(description="inside the bundle, with forward slashes")
    sha256: Sha256 = Field(description="as in the manifest")


class Latency(Entry):
    """Of one inference, batch 1, after the warm-up; milliseconds."""

    median: float = Field(ge=0)
    p90: float | None = Field(None, ge=0, description="None where the tool reports p95 only")
    p95: float | None = Field(None, ge=0)
    p99: float | None = Field(None, ge=0)
    min: float = Field(ge=0)
    interval: tuple[float, float] | None = Field(None, description="95 % confidence interval of the median")
    outliers: int | None = Field(None, ge=0, description="samples three interquartile ranges above the upper quartile")
    drift: float | None = Field(None, description="how much slower it became from first to last sample, as a share")
    throttled: bool | None = Field(None, description="the drift is upward, large and no chance: the device slowed down")

    @model_validator(mode="after")
    def _ordered(self) -> "Latency":
        quantiles = (self.min, self.median, self.p90, self.p95, self.p99)
        rising = [quantile for quantile in quantiles if quantile is not None]
        if rising != sorted(rising):
            raise ValueError("min, median, p90, p95 and p99 must not fall in this order")
        if self.interval is not None and self.interval[0] > self.interval[1]:
            raise ValueError("interval must be two numbers, the smaller one first")
        return self


class GoldenCheck(Entry):
    """Comparison of a device's predictions for the golden examples with the bundle's."""

    family: str | None = Field(
        None, description="runtime family whose golden predictions these match, or are nearest to; None: not reported"
    )
    fault: str | None = Field(
        None, description="why the predictions fail at any tolerance: all zero, constant, no numbers"
    )
    checked: int = Field(ge=1, description="examples")
    max_abs_error: float = Field(ge=0, description="largest difference of a probability")
    tolerance: float = Field(ge=0, description="the largest difference that passes")
    top1_equal: float = Field(ge=0, le=1, description="share of examples with the same class first")
    passed: bool


class MeasuredFile(Entry):
    """What every record of a measurement says, with its samples (`Result`) or without (`BenchEntry`)."""

    target: str = Field(description="name of the bench target, as `tfkd list targets` prints it")
    threads: int | None = Field(None, ge=1, description="None where the runtime decides")
    runs: int = Field(ge=1, description="timed inferences")
    latency_ms: Latency | None = None
    init_ms: float | None = Field(None, ge=0, description="loading the file until it can be run")
    first_inference_ms: float | None = Field(None, ge=0)
    peak_memory_mb: float | None = Field(
        None, ge=0, description="gained at the peak by running this file, the runtime's own included"
    )
    partitions: int | None = Field(None, ge=0, description="parts of the graph that the delegate took")
    instructions: dict[str, Count] | None = Field(None, description="of one inference, by class, and their `total`")
    emulated: bool


class Result(MeasuredFile):
    """One file on one device with one number of threads."""

    device: Device
    runtime: Runtime
    delegate: str = Field("cpu", description="what ran the graph: xnnpack, cpu, gpu, npu, cpuAndNeuralEngine ...")
    artifact: File
    warmup: int = Field(0, ge=0, description="untimed inferences before the timed ones, in each process")
    processes: int = Field(1, ge=1, description="that took the samples one after the other, in equal shares")
    samples_ms: list[float] = Field([], description="every timed inference in order; empty if only a summary is known")
    cpu_ms: list[float] = Field([], description="processor time of each sample; only with one thread, if reported")
    yardstick_ms: list[float] = Field(
        [], description="a fixed piece of work, timed in turn with each sample; as cpu_ms if that is there"
    )
    dropped: int = Field(0, ge=0, description="further timed inferences whose duration no clock can have measured")
    golden: GoldenCheck | None = Field(
        None, description="None where the bundle has no golden predictions for this file"
    )
    rung: Rung = Field(description="of the verification ladder")
    superseded: str | None = Field(
        None, description="UTC, ISO 8601: when a bundle was published in which this file is another, or no more"
    )

    @model_validator(mode="before")
    @classmethod
    def _without_impossible(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("runs"), int):
            return values
        durations, dropped = possible({name: values.get(name) for name in DURATIONS})
        if not dropped:
            return values
        return {**values, **durations, "runs": values["runs"] - dropped, "dropped": values.get("dropped", 0) + dropped}

    @model_validator(mode="after")
    def _whole(self) -> "Result":
        if self.latency_ms is None and self.instructions is None:
            raise ValueError("a result holds a latency or instructions")
        if self.samples_ms and len(self.samples_ms) != self.runs:
            raise ValueError(f"{len(self.samples_ms)} samples of {self.runs} runs")
        for name in ("cpu_ms", "yardstick_ms"):
            durations = getattr(self, name)
            if durations and (len(durations) != len(self.samples_ms) or min(durations) <= 0):
                raise ValueError(f"{name} holds one duration a sample, each above zero")
        if self.samples_ms and (self.latency_ms is None or min(self.samples_ms) < 0):
            raise ValueError("samples are durations, and come with their latency")
        if self.instructions is not None and "total" not in self.instructions:
            raise ValueError("instructions come with their total")
        return self

    @property
    def counted(self) -> int | None:
        """All instructions of one inference; None where they were not counted."""
        return None if self.instructions is None else self.instructions["total"]

    @property
    def key(self) -> tuple[str, str, str | None, str, str, int | None]:
        """What must be equal for two results to be comparable: all but the file's content and the runtime's version."""
        return self.target, self.device.name, self.device.soc, self.artifact.path, self.delegate, self.threads

    @property
    def title(self) -> str:
        """The file and how it was run, in a few words."""
        threads = "" if self.threads is None else f" {self.threads} thread{'s'[: self.threads > 1]}"
        # An emulator plays one processor after the other in one call.
        processor = f" {self.device.soc}" if self.emulated and self.device.soc else ""
        return f"{self.artifact.path}{threads} {self.delegate}{processor}"


class BenchEntry(MeasuredFile):
    """What the manifest keeps of a result: all but the samples."""

    device: str
    runtime: str = Field(description="name and version")
    artifact: str = Field(description="path in the bundle; or the name of a network that is none of its files")
    threads: int | None = Field(ge=1, description="None where the runtime decides")
    latency_ms: Latency | None = Field(description="None where only instructions are counted")
    delegate: str | None = None
    soc: str | None = Field(None, description="processor, where the device has a name of its own; or the emulated one")
    rung: str | None = Field(None, description="of the verification ladder")
    golden_error: float | None = Field(
        None, ge=0, description="largest difference from the golden predictions on the device"
    )
    golden_passed: bool | None = None
    golden_family: str | None = Field(
        None, description="runtime family whose golden predictions matched, or are nearest; None in older bundles"
    )

    @classmethod
    def of(cls, result: Result) -> "BenchEntry":
        """Returns the entry of a result."""
        golden = result.golden
        return cls(
            **{name: getattr(result, name) for name in MeasuredFile.model_fields},
            device=result.device.name,
            runtime=f"{result.runtime.name} {result.runtime.version}",
            artifact=result.artifact.path,
            delegate=result.delegate,
            soc=result.device.soc,
            rung=result.rung,
            golden_error=golden and golden.max_abs_error,
            golden_passed=golden and golden.passed,
            golden_family=golden and golden.family,
        )


class Skipped(Entry):
    """A file that a target did not measure on one of its delegates."""

    path: str = Field(description="as in the results")
    delegate: str
    reason: str


def possible(durations: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """Leaves out the samples whose duration is impossible: below zero, zero where work was done, or no number.

    Args:
        durations: the fields of DURATIONS of a result, as they were read.

    Returns:
        The fields without these samples, and how many there were; as they are where they are not lists of one length.

    Raises:
        ValueError: more than half of the samples are impossible: such a clock measures nothing.
    """
    samples = durations["samples_ms"]
    lists = {name: each for name, each in durations.items() if each}
    if not samples or any(not isinstance(each, list) or len(each) != len(samples) for each in lists.values()):
        return durations, 0
    good = [all(map(_is_possible, lists, row)) for row in zip(*lists.values(), strict=True)]
    if sum(good) * 2 < len(good):
        raise ValueError(f"{len(good) - sum(good)} of {len(good)} durations are impossible")
    return {**durations, **{name: list(compress(each, good)) for name, each in lists.items()}}, good.count(False)


def _is_possible(name: str, value: Any) -> bool:
    if value is None:  # what JSON makes of no number
        return False
    if not isinstance(value, int | float):
        return True  # another fault, which the schema names
    return math.isfinite(value) and (value >= 0 if name == "samples_ms" else value > 0)


class Results(Entry):
    """A file of results: those of one benchmark."""

    schema_: Literal["tfkd-bench-1"] = Field(SCHEMA, alias="schema")
    tfkd_version: str | None = Field(None, description="that measured; None: not reported, as by the apps on phones")
    created: str | None = Field(None, description="UTC, ISO 8601: when the measurement ended")
    results: list[Result]
    skipped: list[Skipped] = Field([], description="what a GPU or an NPU did not take, with the reason")


def now(measured: list[Result], skipped: Sequence[Skipped] = ()) -> Results:
    """Returns what was measured just now, by this version."""
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Results(tfkd_version=__version__, created=created, results=measured, skipped=list(skipped))


def write(path: Path, measured: list[Result], skipped: Sequence[Skipped] = ()) -> None:
    """Writes what was measured just now, whole or not at all.

    Raises:
        RequestError: the file cannot be written.
    """
    write_all(path, now(measured, skipped))


def write_all(path: Path, content: Results) -> None:
    """Writes a file of results, whole or not at all.

    Raises:
        RequestError: the file cannot be written.
    """
    files.write_json(path, content.model_dump(mode="json", by_alias=True))


def read(path: Path) -> list[Result]:
    """Returns the results in a file (see `read_all`)."""
    return read_all(path).results


def read_all(path: Path) -> Results:
    """Reads a file of results.

    Raises:
        RequestError: the file cannot be read or is not of this schema; says where.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise RequestError(f"Cannot read {path}: {error.strerror}. Name a JSON file that tfkd bench wrote.") from None
    if len(content) > LARGEST_FILE:
        raise RequestError(f"{path} is larger than any file of results. Name a JSON file that tfkd bench wrote.")
    return parse_all(content, str(path))


def parse(content: bytes | str, source: str) -> list[Result]:
    """Returns the results in a JSON text (see `parse_all`)."""
    return parse_all(content, source).results


def parse_all(content: bytes | str, source: str) -> Results:
    """Reads a JSON text.

    Args:
        content: UTF-8 JSON of `Results`.
        source: what the text is called in an error.

    Raises:
        RequestError: the text is not of this schema; says where.
    """
    try:
        return Results.model_validate_json(content)
    except ValidationError as error:
        raise RequestError(f"{source} is no {SCHEMA} file: {first_fault(error)}. Measure it again.") from None
