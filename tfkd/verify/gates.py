"""Judges the numbers of a run against the limits of its recipe."""

from collections.abc import Iterator
from dataclasses import dataclass

from tfkd.errors import RequestError
from tfkd.export.manifest import Artifact, Gate
from tfkd.recipe import Gates

_WHOLE = ("fp32", "fp16", "int8")  # run in one piece; what XNNPACK makes of other precisions is told, not judged
_FLOAT = ("fp32", "fp16")
_ROUNDING = 1e-9  # of differences between shares: 0.768 - 0.763 is a little more than 0.005
_TOLD = ("palette6", "palette4", "pruned")  # give answers up on purpose: their accuracy alone is judged


@dataclass(frozen=True)
class Measured:
    """What the gates judge.

    Attributes:
        artifacts: the verified files.
        student: accuracy of the Keras student on the test split, 0..1.
        teacher: accuracy of the teacher.
        control: accuracy of the control; None where it was not run.
        size_ratio: bytes of the teacher's fp32 .tflite / bytes of the student's int8 .tflite; None without either.
        speed_ratio: one-thread latency of the same two files, teacher / student; None without either.
    """

    artifacts: list[Artifact]
    student: float
    teacher: float
    control: float | None = None
    size_ratio: float | None = None
    speed_ratio: float | None = None


def judge(gates: Gates, measured: Measured) -> list[Gate]:
    """Returns every gate that is switched on with its verdict; a value that is not a number never passes.

    Raises:
        RequestError: a gate needs a number that this run does not measure.
    """
    return [*_file_gates(gates, measured), *_run_gates(gates, measured)]


def _file_gates(gates: Gates, measured: Measured) -> Iterator[Gate]:
    for artifact in measured.artifacts:
        file = artifact.path.rpartition("/")[2]
        if gates.max_accuracy_drop is not None:
            drop = measured.student - _number(artifact.accuracy, f"{file}'s accuracy")
            yield _at_most(f"max_accuracy_drop/{file}", drop, gates.max_accuracy_drop)
        name, limit = _agreement(gates, artifact.precision)
        if limit is not None:
            agreement = _number(artifact.top1_vs_keras, f"{file}'s agreement with the Keras student")
            yield _at_least(f"{name}/{file}", agreement, limit)
        for precision, name, limit in (
            ("fp32", "max_float_error", gates.max_float_error),
            ("fp16", "max_half_error", gates.max_half_error),
        ):
            if limit is not None and artifact.precision == precision:
                error = _number(artifact.max_abs_error, f"{file}'s largest error")
                yield _at_most(f"{name}/{file}", error, limit)
        if gates.one_partition and artifact.format == "tflite" and artifact.precision in _WHOLE:
            yield _one_partition(file, artifact)


def _agreement(gates: Gates, precision: str) -> tuple[str, float | None]:
    if precision in _FLOAT:
        return "min_float_agreement", gates.min_float_agreement
    return "min_agreement", None if precision in _TOLD else gates.min_agreement


def _one_partition(file: str, artifact: Artifact) -> Gate:
    """Counts the pieces a graph runs in: XNNPACK's partitions, and every operator outside."""
    if artifact.delegation is None:
        raise RequestError(f"The gate one_partition needs the delegation of {file}; verify that file or switch it off.")
    partitions, outside = artifact.delegation.partitions, len(artifact.delegation.outside)
    passed = partitions == 1 and not outside
    return Gate(name=f"one_partition/{file}", value=partitions + outside, limit=1, passed=passed)


def _run_gates(gates: Gates, measured: Measured) -> Iterator[Gate]:
    if gates.min_relative_accuracy is not None:
        ratio = measured.student / measured.teacher if measured.teacher else float("nan")
        yield _at_least("min_relative_accuracy", ratio, gates.min_relative_accuracy)
    if gates.min_gain_over_control is not None:
        gain = measured.student - _number(measured.control, "a control; set distill.control=true")
        yield _at_least("min_gain_over_control", gain, gates.min_gain_over_control)
    if gates.min_size_ratio is not None:
        ratio = _number(measured.size_ratio, "an int8 file; add int8 to export.tflite")
        yield _at_least("min_size_ratio", ratio, gates.min_size_ratio)
    if gates.min_speed_ratio is not None:
        ratio = _number(measured.speed_ratio, "an int8 file; add int8 to export.tflite")
        yield _at_least("min_speed_ratio", ratio, gates.min_speed_ratio)


def _number(value: float | None, what: str) -> float:
    if value is None:
        raise RequestError(f"A gate needs {what}; or set that gate to None.")
    return value


def _at_most(name: str, value: float, limit: float) -> Gate:
    return Gate(name=name, value=value, limit=limit, passed=bool(value <= limit + _ROUNDING))


def _at_least(name: str, value: float, limit: float) -> Gate:
    return Gate(name=name, value=value, limit=limit, passed=bool(value >= limit - _ROUNDING))
