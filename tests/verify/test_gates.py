import math

import pytest

from tfkd.errors import RequestError
from tfkd.export.manifest import Artifact, Delegation, InputOutput, Tensor
from tfkd.recipe import Gates
from tfkd.verify.gates import Measured, judge

NAN = math.nan
OFF = Gates(
    max_accuracy_drop=None,
    min_agreement=None,
    min_float_agreement=None,
    max_float_error=None,
    max_half_error=None,
    one_partition=False,
)


def make_artifact(precision: str = "int8", **changes: object) -> Artifact:
    tensor = Tensor(name="t", shape=[1], dtype="uint8")
    values = {
        "path": f"android/n_{precision}.tflite",
        "format": "tflite",
        "precision": precision,
        "bytes": 1,
        "sha256": "0",
        "accuracy": 0.9,
        "agreement": 0.9,
        "max_abs_error": 0.0,
        "top1_vs_keras": 1.0,
        "delegation": Delegation(partitions=1, operators=10, outside=[]),
        "io": InputOutput(input=tensor, output=tensor),
    }
    return Artifact(**{**values, **changes})


def make_measured(*artifacts: Artifact, student: float = 0.9, **changes: float) -> Measured:
    values = {"teacher": 0.95, "control": 0.88, "size_ratio": 10.0, "speed_ratio": 5.0}
    return Measured(list(artifacts), student=student, **{**values, **changes})


def only(gates: dict[str, float | bool], measured: Measured) -> bool:
    (gate,) = judge(OFF.model_copy(update=gates), measured)
    return gate.passed


@pytest.mark.parametrize(
    ("gate", "limit", "changes", "passed"),
    [
        ("max_accuracy_drop", 0.02, {"accuracy": 0.95}, True),
        ("max_accuracy_drop", 0.02, {"accuracy": 0.881}, True),
        ("max_accuracy_drop", 0.02, {"accuracy": 0.879}, False),
        ("max_accuracy_drop", 0.02, {"accuracy": NAN}, False),
        ("min_agreement", 0.95, {"top1_vs_keras": 0.95}, True),
        ("min_agreement", 0.95, {"top1_vs_keras": 0.949}, False),
        ("min_agreement", 0.0, {"top1_vs_keras": NAN}, False),
        ("max_float_error", 1e-3, {"precision": "fp32", "max_abs_error": 1e-3}, True),
        ("max_float_error", 1e-3, {"precision": "fp32", "max_abs_error": 1.1e-3}, False),
        ("min_float_agreement", 0.995, {"precision": "fp16", "top1_vs_keras": 0.995}, True),
        ("min_float_agreement", 0.995, {"precision": "fp32", "top1_vs_keras": 0.994}, False),
        ("min_float_agreement", 0.0, {"precision": "fp32", "top1_vs_keras": NAN}, False),
        ("max_half_error", 0.03, {"precision": "fp16", "max_abs_error": 0.02}, True),
        ("max_half_error", 0.03, {"precision": "fp16", "max_abs_error": 0.031}, False),
        ("max_half_error", 0.03, {"precision": "fp16", "max_abs_error": NAN}, False),
    ],
)
def test_gates_of_a_file(gate: str, limit: float, changes: dict[str, object], passed: bool) -> None:
    assert only({gate: limit}, make_measured(make_artifact(**changes))) is passed


@pytest.mark.parametrize(
    ("precision", "partitions", "outside", "value", "passed"),
    [
        ("fp32", 1, [], 1, True),
        ("fp16", 2, [], 2, False),
        ("fp32", 1, ["SOFTMAX"], 2, False),
        ("int8", 1, [], 1, True),
        ("int8", 1, ["QUANTIZE", "HARD_SWISH", "QUANTIZE"], 4, False),
        ("int8", 20, ["QUANTIZE"], 21, False),
        ("fp32", 0, ["CONV_2D"], 1, False),
    ],
)
def test_one_partition(precision: str, partitions: int, outside: list[str], value: float, passed: bool) -> None:
    delegation = Delegation(partitions=partitions, operators=10, outside=outside)
    measured = make_measured(make_artifact(precision, delegation=delegation))
    (gate,) = judge(OFF.model_copy(update={"one_partition": True}), measured)
    assert (gate.value, gate.passed) == (value, passed)


@pytest.mark.parametrize(
    ("gate", "limit", "changes", "passed"),
    [
        ("min_relative_accuracy", 0.9, {"student": 0.9, "teacher": 1.0}, True),
        ("min_relative_accuracy", 0.9, {"student": 0.89, "teacher": 1.0}, False),
        ("min_relative_accuracy", 0.0, {"teacher": 0.0}, False),
        ("min_relative_accuracy", 0.0, {"teacher": NAN}, False),
        ("min_gain_over_control", -0.01, {"student": 0.875}, True),
        ("min_gain_over_control", 0.01, {"student": 0.885}, False),
        ("min_gain_over_control", -1.0, {"control": NAN}, False),
        ("min_size_ratio", 10.0, {}, True),
        ("min_size_ratio", 10.1, {}, False),
        ("min_size_ratio", 0.1, {"size_ratio": NAN}, False),
        ("min_speed_ratio", 5.0, {}, True),
        ("min_speed_ratio", 5.1, {}, False),
        ("min_speed_ratio", 0.1, {"speed_ratio": NAN}, False),
    ],
)
def test_gates_of_a_run(gate: str, limit: float, changes: dict[str, float], passed: bool) -> None:
    assert only({gate: limit}, make_measured(**changes)) is passed


def test_a_difference_that_equals_its_limit_passes() -> None:
    assert 0.768 - 0.763 > 0.005, "in floating point"
    assert only({"max_accuracy_drop": 0.005}, make_measured(make_artifact(accuracy=0.763), student=0.768))


def test_default_gates_judge_every_file() -> None:
    files = [make_artifact(precision) for precision in ("fp32", "fp16", "dynamic", "int8")]
    coreml = [
        make_artifact(precision, path=f"ios/n.{precision}.{format}", format=format, delegation=None)
        for format, precision in (("mlmodel", "fp32"), ("mlpackage", "fp16"), ("mlpackage", "int8"))
    ]
    names = [gate.name for gate in judge(Gates(), make_measured(*files, *coreml))]
    assert len(names) == len(set(names)) == 7 + 7 + 4 + 3
    assert {"max_accuracy_drop/n_int8.tflite", "max_half_error/n.fp16.mlpackage"} < set(names)
    assert {"min_agreement/n.int8.mlpackage", "min_float_agreement/n.fp32.mlmodel"} < set(names)
    assert "one_partition/n_dynamic.tflite" not in names
    assert "max_float_error/n_int8.tflite" not in names


@pytest.mark.parametrize("precision", ["palette6", "palette4", "pruned"])
def test_forms_that_give_answers_up_are_judged_by_their_accuracy(precision: str) -> None:
    file = make_artifact(precision, format="mlpackage", top1_vs_keras=0.5, delegation=None)
    (gate,) = judge(Gates(), make_measured(file))
    assert (gate.name, gate.passed) == (f"max_accuracy_drop/n_{precision}.tflite", True)


def test_a_gate_without_its_number_says_what_to_do() -> None:
    with pytest.raises(RequestError, match=r"set distill\.control=true"):
        judge(OFF.model_copy(update={"min_gain_over_control": 0.0}), make_measured(control=None))
    with pytest.raises(RequestError, match=r"add int8 to export\.tflite"):
        judge(OFF.model_copy(update={"min_speed_ratio": 2.0}), make_measured(speed_ratio=None))
    with pytest.raises(RequestError, match=r"needs the delegation of n_int8\.tflite"):
        judge(OFF.model_copy(update={"one_partition": True}), make_measured(make_artifact(delegation=None)))
