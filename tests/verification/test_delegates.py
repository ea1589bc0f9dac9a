from pathlib import Path

import pytest

from tests.verification.conftest import Exported
from tfkd.verification import operators
from tfkd.verification.delegates import DELEGATES, DelegateReport, accelerators, reports
from tfkd.verification.operators import Operand, Operator


def judged(path: Path) -> dict[str, DelegateReport]:
    return {report.delegate.split()[0]: report for report in reports(operators.read(path))}


def operator(kind: str, dtype: str = "float32", version: int = 1, **options: object) -> Operator:
    image = Operand(0, "x", (1, 8, 8, 4), dtype, 0, None, None)
    return Operator(0, kind, version, (image,), (image,), options)


def verdicts(found: Operator) -> list[str]:
    (gpu, nnapi, coreml, _) = reports([found])
    return [report.findings[0].verdict if report.findings else "taken" for report in (gpu, nnapi, coreml)]


def test_every_operator_is_taken_or_has_a_reason(exported: Exported) -> None:
    for precision in ("fp32", "fp16", "dynamic", "int8"):
        for report in judged(exported.path(f"_{precision}.tflite")).values():
            assert report.taken + len(report.findings) == report.operators > 5
            assert all(finding.reason for finding in report.findings)


def test_dequantized_weights_do_not_count(exported: Exported) -> None:
    single, half = (judged(exported.path(f"_{kind}.tflite")) for kind in ("fp32", "fp16"))
    assert {name: report.operators for name, report in half.items()} == {
        name: report.operators for name, report in single.items()
    }
    assert half["GPU"].findings == ()


def test_float_files_fall_off_core_ml_at_the_means_alone(exported: Exported) -> None:
    found = judged(exported.path("_fp32.tflite"))
    assert (found["GPU"].findings, found["NNAPI"].findings) == ((), ())
    (mean,) = found["Core"].findings
    assert (mean.kind, mean.verdict) == ("MEAN", "left out")
    assert "keepdims=True" in mean.change


def test_quantized_files_are_not_for_core_ml(exported: Exported) -> None:
    found = judged(exported.path("_int8.tflite"))
    assert found["GPU"].findings == ()
    quantized = [each for each in operators.read(exported.path("_int8.tflite")) if each.outputs[0].dtype == "int8"]
    assert {each.number for each in quantized} <= {finding.number for finding in found["Core"].findings}


@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_no_other_file_is_advised_for_ids_and_conditions(dtype: str) -> None:
    gpu, nnapi, coreml, _ = (report.findings[0] for report in reports([operator("ADD", dtype)]))
    assert gpu.reason == nnapi.reason == coreml.reason == f"{dtype} values are not taken"
    assert (gpu.change, nnapi.change, coreml.change) == ("", "", "ship the .mlpackage")


def test_quantized_weights_on_float_values() -> None:
    image = Operand(0, "x", (1, 64), "float32", 0, None, None)
    weights = Operand(1, "w", (16, 64), "int8", 16 * 64, 0.1, 0)
    found = [Operator(0, "FULLY_CONNECTED", 12, (image, weights), (image,), {})]
    gpu, nnapi, _, _ = (report.findings[0] for report in reports(found))
    assert gpu.verdict == "not stated"
    assert "5 is the newest it takes" in nnapi.reason
    assert "int8" in nnapi.change


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (operator("HARD_SWISH"), ["taken", "taken", "taken"]),
        (operator("HARD_SWISH", "int8"), ["taken", "taken", "left out"]),
        (operator("CONV_2D", "int16"), ["left out", "left out", "left out"]),
        (operator("GELU"), ["taken", "left out", "left out"]),
        (operator("ROLL_DICE"), ["left out", "left out", "left out"]),
        (operator("RELU6", version=2), ["taken", "taken", "left out"]),
        (operator("SOFTMAX", beta=2.0), ["left out", "taken", "left out"]),
        (operator("AVERAGE_POOL_2D", fusedActivationFunction=3), ["taken", "taken", "left out"]),
        (operator("CONCATENATION", fusedActivationFunction=1), ["taken", "left out", "taken"]),
        (operator("MEAN", keepDims=True), ["taken", "taken", "taken"]),
        (operator("MEAN", keepDims=False), ["taken", "taken", "left out"]),
        (operator("EXP", "int8"), ["taken", "left out", "left out"]),
    ],
)
def test_rules(found: Operator, expected: list[str]) -> None:
    assert verdicts(found) == expected


@pytest.mark.parametrize(
    ("left", "right", "fits"),
    [
        ((1, 8, 8, 4), (1, 8, 8, 4), True),
        ((1, 8, 8, 4), (1, 1, 1, 4), True),
        ((1, 8, 8, 4), (4,), True),
        ((1, 8, 8, 4), (1, 8, 8, 1), True),
        ((1, 8, 8, 4), (1, 1, 8, 4), False),
        ((1, 8, 8, 4), (2, 8, 8, 4), False),
    ],
)
def test_what_core_ml_broadcasts(left: tuple[int, ...], right: tuple[int, ...], fits: bool) -> None:
    first, second = (Operand(index, "x", shape, "float32", 0, None, None) for index, shape in enumerate((left, right)))
    report = reports([Operator(0, "MUL", 1, (first, second), (first,), {})])[2]
    assert (report.taken == 1) is fits


def test_rules_have_addresses() -> None:
    for delegate in DELEGATES:
        assert delegate.sources
        assert all(source.startswith("https://") for source in delegate.sources)


def test_the_neural_engine_is_not_judged(exported: Exported) -> None:
    report = judged(exported.path("_fp32.tflite"))["Apple"]
    assert {finding.verdict for finding in report.findings} == {"not stated"}
    assert report.taken == 0


def test_the_manifest_gets_the_same_judgement_in_short(exported: Exported) -> None:
    path = exported.path("_int8.tflite")
    short = {each.name: each for each in accelerators(path)}
    *judged, unstated = reports(operators.read(path))
    assert {finding.verdict for finding in unstated.findings} == {"not stated"}
    for report in judged:
        entry = short.pop(report.delegate)
        assert (entry.operators, entry.taken) == (report.operators, report.taken)
        assert {*entry.left_out, *entry.not_stated} == {finding.kind for finding in report.findings}
    assert not short
