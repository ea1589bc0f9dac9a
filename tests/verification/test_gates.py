import math
from typing import Any

import pytest

from tfkd.errors import RequestError
from tfkd.recipe import Gates
from tfkd.verification.gates import Measured, better_than_chance, judge
from tfkd.verification.records import (
    Artifact,
    ChanceTest,
    ClassFlips,
    Delegation,
    Diagnosis,
    Gate,
    InputOutput,
    NegativeFlips,
    PairedTest,
    Tensor,
)
from tfkd.verification.truth import exact_test
from tfkd.writers.records import MissingFile

NAN = math.nan
OFF = Gates(
    better_than_chance=False,
    not_worse_than_control=False,
    diagnosis=False,
    min_relative_accuracy=None,
    max_accuracy_drop=None,
    min_agreement=None,
    min_float_agreement=None,
    max_float_error=None,
    max_half_error=None,
    max_half_shift=None,
    one_partition=False,
)


def chance(p_value: float, perfect_p_value: float = 0.0) -> ChanceTest:
    return ChanceTest(balanced_accuracy=0.9, chance_level=0.1, p_value=p_value, perfect_p_value=perfect_p_value)


def make_artifact(precision: str = "int8", **changes: object) -> Artifact:
    tensor = Tensor(name="t", shape=[1], dtype="uint8")
    values = {
        "path": f"android/n_{precision}.tflite",
        "format": "tflite",
        "precision": precision,
        "bytes": 1,
        "sha256": "0" * 64,
        "accuracy": 0.9,
        "chance": chance(p_value=0.0001),
        "agreement": 0.9,
        "max_abs_error": 0.0,
        "mean_total_variation": 0.0,
        "top1_vs_keras": 1.0,
        "delegation": Delegation(partitions=1, operators=10, outside=[]),
        "io": InputOutput(input=tensor, output=tensor),
    }
    unchecked = {name: value for name, value in changes.items() if value is NAN}
    return Artifact(**{**values, **changes, **dict.fromkeys(unchecked)}).model_copy(update=unchecked)


def make_measured(*artifacts: Artifact, student: float = 0.9, **changes: Any) -> Measured:
    values: dict[str, Any] = {"teacher": 0.95, "images": 1_000, "control": 0.88, "size_ratio": 10.0, "speed_ratio": 5.0}
    return Measured(list(artifacts), student=student, **{**values, **changes})


def judged(gates: Gates, measured: Measured) -> list[Gate]:
    """Returns the gates that are on."""
    return [gate for gate in judge(gates, measured) if not gate.reason.startswith("switched off")]


def only(gates: dict[str, float | bool], measured: Measured) -> bool:
    (gate,) = judged(OFF.model_copy(update=gates), measured)
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
        ("max_half_error", 0.03, {"precision": "fp16", "max_abs_error": 0.03}, True),
        ("max_half_error", 0.03, {"precision": "fp16", "max_abs_error": 0.031}, False),
        ("max_half_error", 0.03, {"precision": "fp16", "max_abs_error": NAN}, False),
        ("max_half_shift", 0.01, {"precision": "fp16", "mean_total_variation": 0.01}, True),
        ("max_half_shift", 0.01, {"precision": "fp16", "mean_total_variation": 0.011}, False),
        ("max_half_shift", 0.01, {"precision": "fp16", "mean_total_variation": NAN}, False),
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
    (gate,) = judged(OFF.model_copy(update={"one_partition": True}), measured)
    assert (gate.value, gate.passed) == (value, passed)


@pytest.mark.parametrize(
    ("partitions", "outside", "look_up", "value"),
    [
        (1, ["GATHER"], ["GATHER"], 1),
        (1, ["DEQUANTIZE", "GATHER"], ["DEQUANTIZE", "GATHER"], 1),
        (2, ["GATHER"], ["GATHER"], 2),
        (1, ["GATHER", "GATHER"], ["GATHER"], 2),
        (1, ["GATHER", "GELU"], ["GATHER"], 2),
    ],
)
def test_the_look_up_of_words_is_named_and_not_counted(
    partitions: int, outside: list[str], look_up: list[str], value: float
) -> None:
    delegation = Delegation(partitions=partitions, operators=10, outside=outside, look_up=look_up)
    measured = make_measured(make_artifact("fp32", delegation=delegation))
    (gate,) = judged(OFF.model_copy(update={"one_partition": True}), measured)
    assert (gate.value, gate.passed) == (value, value == 1)
    assert gate.reason.startswith(f"without the look-up of word vectors ({', '.join(look_up)})")
    with pytest.raises(ValueError, match="is not among the operators outside"):
        Delegation(partitions=1, operators=10, outside=["MEAN"], look_up=look_up)


@pytest.mark.parametrize(
    ("gate", "limit", "changes", "passed"),
    [
        ("min_relative_accuracy", 0.9, {"student": 0.9, "teacher": 1.0}, True),
        ("min_relative_accuracy", 0.9, {"student": 0.89, "teacher": 1.0}, False),
        ("min_relative_accuracy", 0.0, {"teacher": 0.0}, False),
        ("min_relative_accuracy", 0.0, {"teacher": NAN}, False),
        ("min_gain_over_control", -0.01, {"student": 0.87}, True),
        ("min_gain_over_control", -0.01, {"student": 0.869}, False),
        ("min_gain_over_control", 0.01, {"student": 0.89}, True),
        ("min_gain_over_control", 0.01, {"student": 0.889}, False),
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


def flips(lost: int, right: int) -> NegativeFlips:
    """Returns negative flips of one class."""
    per_class = [ClassFlips(label="cat", flips=lost, right=right)] if lost else []
    return NegativeFlips(right=right, test=exact_test(0, lost, 1_000), per_class=per_class)


@pytest.mark.parametrize(
    ("lost", "right", "limit", "verdict", "reason"),
    [
        (8, 400, 0.02, "passed", "8 of 400 examples that the teacher predicts rightly, 95 % interval 1.0 % to 3.9 %"),
        (9, 400, 0.02, "failed", "9 of 400"),
        (0, 400, 0.0, "passed", "0 of 400 examples that the teacher predicts rightly, 95 % interval 0.0 % to 1.0 %"),
        (1, 400, 0.0, "failed", "1 of 400"),
        (1, 20, 0.02, "passed", "one of 20 examples may differ"),
        (2, 20, 0.02, "failed", "one of 20 examples may differ"),
        (0, 0, 0.02, "not judged", "the teacher predicts no test example rightly"),
    ],
)
def test_negative_flips_are_a_fraction_of_what_the_teacher_has_right(
    lost: int, right: int, limit: float, verdict: str, reason: str
) -> None:
    file = make_artifact(negative_flips=flips(lost, right))
    (gate,) = judged(OFF.model_copy(update={"max_negative_flips": limit}), make_measured(file))
    assert (gate.name, gate.verdict) == ("max_negative_flips/n_int8.tflite", verdict) and reason in gate.reason


def test_negative_flips_against_a_teacher_that_was_not_measured_are_not_judged() -> None:
    on = OFF.model_copy(update={"max_negative_flips": 0.02})
    (gate,) = judged(on, make_measured(make_artifact(), teacher=None))
    assert (gate.name, gate.verdict) == ("max_negative_flips", "not judged") and "not measured" in gate.reason
    with pytest.raises(RequestError, match=r"needs n_int8\.tflite's negative flips"):
        judge(on, make_measured(make_artifact()))


def test_a_difference_that_equals_its_limit_passes() -> None:
    assert 0.768 - 0.763 > 0.005, "in floating point"
    assert only({"max_accuracy_drop": 0.005}, make_measured(make_artifact(accuracy=0.763), student=0.768))


@pytest.mark.parametrize(
    ("gate", "limit", "images", "allowed"),
    [
        ("max_accuracy_drop", 0.02, 12, 1),
        ("max_accuracy_drop", 0.02, 49, 1),
        ("max_accuracy_drop", 0.02, 100, 2),
        ("max_accuracy_drop", 0.0, 12, 0),
        ("min_agreement", 0.95, 3, 1),
        ("min_agreement", 0.95, 19, 1),
        ("min_agreement", 0.95, 20, 1),
        ("min_agreement", 0.95, 40, 2),
        ("min_agreement", 1.0, 12, 0),
        ("min_float_agreement", 0.995, 12, 1),
        ("min_float_agreement", 0.995, 199, 1),
        ("min_float_agreement", 0.995, 400, 2),
        ("min_float_agreement", 1.0, 1_000, 0),
    ],
)
def test_one_image_of_a_small_test_split_may_differ(gate: str, limit: float, images: int, allowed: int) -> None:
    def judge_with(differing: int) -> Gate:
        equal = 1 - differing / images
        precision = "fp32" if "float" in gate else "int8"
        file = make_artifact(precision, accuracy=0.9 - differing / images, top1_vs_keras=equal)
        (found,) = judged(OFF.model_copy(update={gate: limit}), make_measured(file, images=images))
        return found

    assert judge_with(allowed).passed and not judge_with(allowed + 1).passed
    is_widened = 0 < round(limit if "drop" in gate else 1 - limit, 6) * images < 1
    assert judge_with(0).reason.startswith(f"one of {images} examples may differ") is is_widened
    assert is_widened or judge_with(0).limit == limit


@pytest.mark.parametrize(
    ("limit", "teacher", "images", "passes", "fails"),
    [(0.8, 1.0, 3, 2, 1), (0.8, 0.5, 8, 3, 2), (0.8, 1.0, 10, 8, 7), (1.0, 1.0, 3, 3, 2), (1.2, 0.5, 10, 6, 5)],
)
def test_a_student_may_lose_one_image_to_its_teacher(
    limit: float, teacher: float, images: int, passes: int, fails: int
) -> None:
    for right, passed in ((passes, True), (fails, False)):
        measured = make_measured(student=right / images, teacher=teacher, images=images)
        assert only({"min_relative_accuracy": limit}, measured) is passed


CAUSE = Diagnosis(subject="m", cause="labels", evidence="As if outputs 2 and 7 were swapped.", proposal="--labels x")


@pytest.mark.parametrize(("found", "verdict"), [([], "passed"), ([CAUSE], "failed"), ([CAUSE, CAUSE], "failed")])
def test_a_diagnosis_fails_its_gate_and_is_its_reason(found: list[Diagnosis], verdict: str) -> None:
    (gate,) = judged(OFF.model_copy(update={"diagnosis": True}), make_measured(diagnosis=found))
    assert (gate.name, gate.verdict, gate.value) == ("diagnosis", verdict, len(found))
    assert gate.reason == " ".join(each.evidence for each in found)


def test_default_gates_judge_every_file() -> None:
    files = [make_artifact(precision) for precision in ("fp32", "fp16", "dynamic", "int8")]
    coreml = [
        make_artifact(precision, path=f"ios/n.{precision}.{format}", format=format, delegation=None)
        for format, precision in (("mlmodel", "fp32"), ("mlpackage", "fp16"), ("mlpackage", "int8"))
    ]
    names = [gate.name for gate in judge(Gates(), make_measured(*files, *coreml))]
    assert len(names) == len(set(names)) == 1 + 7 + 7 + 7 + 4 + 3 + 2
    assert {"better_than_chance/n_int8.tflite", "min_relative_accuracy", "not_worse_than_control"} < set(names)
    assert {"max_accuracy_drop/n_int8.tflite", "max_half_shift/n.fp16.mlpackage"} < set(names)
    assert {"min_agreement/n.int8.mlpackage", "min_float_agreement/n.fp32.mlmodel"} < set(names)
    assert "one_partition/n_dynamic.tflite" not in names
    assert "max_float_error/n_int8.tflite" not in names


@pytest.mark.parametrize("precision", ["palette6", "palette4", "pruned"])
def test_forms_that_change_predictions_are_judged_by_their_accuracy(precision: str) -> None:
    file = make_artifact(precision, format="mlpackage", top1_vs_keras=0.5, delegation=None)
    of_file = {gate.name: gate.passed for gate in judge(Gates(), make_measured(file)) if "/" in gate.name}
    assert of_file == {
        f"better_than_chance/n_{precision}.tflite": True,
        f"max_accuracy_drop/n_{precision}.tflite": True,
    }


def test_a_gate_without_its_value_raises_an_error_with_the_remedy() -> None:
    with pytest.raises(RequestError, match=r"set distill\.control=true"):
        judge(OFF.model_copy(update={"min_gain_over_control": 0.0}), make_measured(control=None))
    with pytest.raises(RequestError, match=r"add int8 or dynamic to export\.tflite"):
        judge(OFF.model_copy(update={"min_speed_ratio": 2.0}), make_measured(speed_ratio=None))
    with pytest.raises(RequestError, match=r"needs the delegation of n_int8\.tflite"):
        judge(OFF.model_copy(update={"one_partition": True}), make_measured(make_artifact(delegation=None)))


@pytest.mark.parametrize(
    ("p_value", "perfect_p_value", "verdict"),
    [
        (0.0001, 0.0, "passed"),
        (0.01, 0.01, "passed"),
        (0.011, 0.0, "failed"),
        (1.0, 0.0, "failed"),
        (1.0, 1.0, "not judged"),
        (0.011, 0.011, "not judged"),
    ],
)
def test_better_than_chance(p_value: float, perfect_p_value: float, verdict: str) -> None:
    test = chance(p_value, perfect_p_value)
    measured = make_measured(make_artifact(chance=test), teachers={"teacher-2": test})
    teacher, file = judged(OFF.model_copy(update={"better_than_chance": True}), measured)
    assert (teacher.name, file.name) == ("better_than_chance/teacher-2", "better_than_chance/n_int8.tflite")
    assert teacher.verdict == file.verdict == verdict
    assert file.passed is (verdict == "passed") and file.value == p_value
    assert ("too small" if verdict == "not judged" else "90.0 %, 10.0 % by chance") in file.reason


def test_a_file_that_was_not_run_is_not_judged() -> None:
    gate = better_than_chance("n", None)
    assert (gate.verdict, gate.passed, gate.reason) == ("not judged", False, "the file was not run")


@pytest.mark.parametrize(
    ("p_value", "worst_p_value", "verdict"),
    [
        (1.0, 0.0, "passed"),
        (0.011, 0.0, "passed"),
        (0.01, 0.0, "failed"),
        (1e-9, 0.0, "failed"),
        (1, 0.1, "not judged"),
    ],
)
def test_not_worse_than_control(p_value: float, worst_p_value: float, verdict: str) -> None:
    paired = PairedTest(gained=1, lost=8, p_value=p_value, worst_p_value=worst_p_value)
    (gate,) = judged(OFF.model_copy(update={"not_worse_than_control": True}), make_measured(paired=paired))
    assert (gate.verdict, gate.passed) == (verdict, verdict == "passed")


def test_without_a_control_the_student_is_not_judged_against_it() -> None:
    (gate,) = judged(OFF.model_copy(update={"not_worse_than_control": True}), make_measured(control=None))
    assert gate.verdict == "not judged" and "no control was trained" in gate.reason


@pytest.mark.parametrize(("accuracy", "passed"), [(0.9, True), (0.91, True), (0.89, False), (NAN, False)])
def test_min_accuracy_judges_every_file(accuracy: float, passed: bool) -> None:
    assert only({"min_accuracy": 0.9}, make_measured(make_artifact(accuracy=accuracy))) is passed


@pytest.mark.parametrize(("student", "verdict"), [(0.8, "passed"), (0.79, "failed")])
def test_a_student_needs_four_fifths_of_its_teachers_accuracy_by_default(student: float, verdict: str) -> None:
    gates = {gate.name: gate for gate in judge(Gates(), make_measured(student=student, teacher=1.0))}
    assert gates["min_relative_accuracy"].verdict == verdict
    assert gates["min_relative_accuracy"].reason == f"student {100 * student:.1f} %, teacher 100.0 %"


def test_a_gate_that_is_switched_off_is_listed_as_not_judged() -> None:
    gates = {gate.name: gate for gate in judge(OFF, make_measured(make_artifact()))}
    expected = {"better_than_chance", "not_worse_than_control", "min_relative_accuracy", "max_accuracy_drop"}
    assert expected < set(gates) and not {"one_partition", "min_accuracy"} & set(gates)
    verdicts = {(gate.verdict, gate.passed, gate.reason) for gate in gates.values()}
    assert verdicts == {("not judged", False, "switched off by the recipe")}
    smoke = judge(OFF.model_copy(update={"switched_off_by": "--smoke"}), make_measured(make_artifact()))
    assert {gate.reason for gate in smoke} == {"switched off by --smoke"}


def test_a_limit_of_zero_is_on() -> None:
    gates = judge(OFF.model_copy(update={"max_accuracy_drop": 0.0, "min_agreement": 0}), make_measured(make_artifact()))
    passed = {gate.name for gate in gates if gate.verdict == "passed"}
    assert passed == {"max_accuracy_drop/n_int8.tflite", "min_agreement/n_int8.tflite"}
    assert not {"max_accuracy_drop", "min_agreement"} & {gate.name for gate in gates}


def test_a_model_without_a_teacher_has_no_gates_against_one() -> None:
    names = {gate.name for gate in judge(OFF, make_measured(make_artifact(), teacher=None))}
    assert "better_than_chance" in names and not {"min_relative_accuracy", "not_worse_than_control"} & names


def test_a_value_that_is_no_number_can_be_written_and_read() -> None:
    (gate,) = judged(OFF.model_copy(update={"max_accuracy_drop": 0.1}), make_measured(make_artifact(accuracy=NAN)))
    assert Gate.model_validate_json(gate.model_dump_json()) == gate
    assert (gate.value, gate.verdict) == (None, "failed")


def test_gates_of_earlier_versions_keep_their_meaning() -> None:
    old = [Gate.model_validate({"name": "g", "value": 1, "limit": 1, "passed": passed}) for passed in (True, False)]
    assert [gate.verdict for gate in old] == ["passed", "failed"]
    with pytest.raises(ValueError, match="passed = True and the verdict 'not judged'"):
        Gate(name="g", value=1, limit=1, passed=True, verdict="not judged")


def lost(path: str, format: str, precision: str, required: bool = False) -> MissingFile:
    return MissingFile(path=path, format=format, precision=precision, reason="no such operator", required=required)


def test_a_required_file_that_could_not_be_written_fails() -> None:
    missing = [lost("ios/n.mlmodel", "mlmodel", "fp32"), lost("ios/n.mlpackage", "mlpackage", "fp16", required=True)]
    (gate,) = judged(OFF, make_measured(make_artifact(), missing=missing))
    assert (gate.name, gate.verdict) == ("required/n.mlpackage", "failed")
    assert "no such operator" in gate.reason


@pytest.mark.parametrize("gate", ["min_size_ratio", "min_speed_ratio"])
def test_a_ratio_fails_without_the_int8_file(gate: str) -> None:
    missing = [lost("android/n_int8.tflite", "tflite", "int8")]
    limits = OFF.model_copy(update={gate: 2.0})
    (found,) = judged(limits, make_measured(make_artifact("fp32"), missing=missing, size_ratio=None, speed_ratio=None))
    assert (found.name, found.verdict) == (gate, "failed") and "could not be made" in found.reason


def test_a_file_that_cannot_be_run_here_has_one_gate_that_is_not_judged() -> None:
    nothing = dict.fromkeys(("accuracy", "chance", "agreement", "max_abs_error", "mean_total_variation"))
    artifact = make_artifact("fp16", **nothing, top1_vs_keras=None, not_verified="operator 'lstm'")
    gates = OFF.model_copy(
        update={"better_than_chance": True, "min_accuracy": 0.5, "max_half_shift": 0.1, "min_float_agreement": 0.9}
    )
    (gate,) = judged(gates, make_measured(artifact))
    assert (gate.name, gate.verdict, gate.limit) == ("verified/n_fp16.tflite", "not judged", None)
    assert gate.reason == "not verified here: operator 'lstm'"


def test_with_folds_files_are_judged_by_the_student_and_by_their_agreement_with_it() -> None:
    gates = OFF.model_copy(update={"better_than_chance": True, "min_accuracy": 0.85, "max_accuracy_drop": 0.02})
    unmeasured = {"accuracy": None, "chance": None, "agreement": None}
    close, far = (
        make_artifact(name, top1_vs_keras=same, **unmeasured) for name, same in (("fp16", 0.99), ("int8", 0.9))
    )
    found = {gate.name: gate for gate in judged(gates, make_measured(close, far, folds=5, chance=chance(0.5)))}
    assert found.keys() == {
        "better_than_chance/student",
        *(f"{gate}/n_{name}.tflite" for gate in ("min_accuracy", "max_accuracy_drop") for name in ("fp16", "int8")),
    }
    assert found["better_than_chance/student"].verdict == "failed"
    assert (found["min_accuracy/n_int8.tflite"].value, found["min_accuracy/n_int8.tflite"].verdict) == (0.9, "passed")
    assert "pooled over 5 folds" in found["min_accuracy/n_int8.tflite"].reason
    drop, unknown = found["max_accuracy_drop/n_fp16.tflite"], found["max_accuracy_drop/n_int8.tflite"]
    assert drop.verdict == "passed" and drop.value == pytest.approx(0.01) and "drops by no more" in drop.reason
    assert unknown.verdict == "not judged" and "10.0 %" in unknown.reason and "data.folds" in unknown.reason
