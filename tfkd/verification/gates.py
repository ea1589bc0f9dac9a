"""Judges the numbers of a run against the limits of its recipe."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfkd.errors import RequestError
from tfkd.formats import FORMATS
from tfkd.recipe import Gates
from tfkd.verification import class_gates, rejection
from tfkd.verification.intervals import proportion
from tfkd.verification.records import (
    Artifact,
    ChanceTest,
    Diagnosis,
    Gate,
    NegativeFlips,
    PairedTest,
    RecallChanges,
    Scores,
    Threshold,
)
from tfkd.verification.truth import ALPHA, significant
from tfkd.verification.verdict import ROUNDING, decided, failed, file_name, not_judged, percent
from tfkd.writers.records import MissingFile

REQUIRED, VERIFIED = "required", "verified"
STUDENT = "student"  # the subject of a diagnosis that no gate judges: other gates have failed by then
TAUGHT = "teacher fp32"  # the row of the teachers in a comparison
BETTER_THAN_CHANCE = "better_than_chance"
NOT_WORSE_THAN_CONTROL = "not_worse_than_control"
# These compare with networks that `tfkd export` does not have.
OF_SEVERAL = (
    "min_relative_accuracy",
    "max_negative_flips",
    NOT_WORSE_THAN_CONTROL,
    "min_gain_over_control",
    "max_recall_drop",
    "min_size_ratio",
    "min_speed_ratio",
)

_UNMEASURED = "it was not measured on the test examples"
_NAMED = 3  # in a sentence; tables name every gate


@dataclass(frozen=True)
class Measured:
    """What the gates judge.

    Attributes:
        artifacts: the verified files.
        missing: files that could not be made.
        thresholds: chosen for promised classes, by class.
        student: accuracy of the Keras student on the test split, 0..1.
        teacher: accuracy of the teacher; None where it was not measured, or there is none.
        images: of the test split.
        teachers: each teacher's predictions against chance, by the name of its stage.
        control: accuracy of the control; None where it was not run.
        diagnosis: likely causes of a low accuracy.
        paired: the student against its control; None where it was not run.
        size_ratio: bytes of the teacher's fp32 .tflite / bytes of the student's int8 .tflite, else of its dynamic one;
            None without either.
        speed_ratio: one-thread latency of the same two files, teacher / student; None without either.
        folds: number of folds over which the accuracies of networks are pooled; None where there is a test split.
        chance: with folds, the student against chance.
        flips: with folds, the negative flips of the student; None where the teacher was not measured.
        scores: with folds, the scores per class of the student.
        recall_changes: with folds, the student against teacher or control; None without either.
    """

    artifacts: list[Artifact]
    student: float
    teacher: float | None
    images: int
    teachers: Mapping[str, ChanceTest | None] = field(default_factory=dict)
    control: float | None = None
    paired: PairedTest | None = None
    diagnosis: list[Diagnosis] = field(default_factory=list)
    size_ratio: float | None = None
    speed_ratio: float | None = None
    missing: list[MissingFile] = field(default_factory=list)
    folds: int | None = None
    chance: ChanceTest | None = None
    flips: NegativeFlips | None = None
    scores: Scores | None = None
    recall_changes: RecallChanges | None = None
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)


def judge(gates: Gates, measured: Measured) -> list[Gate]:
    """Returns the verdict on every gate that is on, and on those that are off although they are on by default.

    A value that is not a number never passes.

    Raises:
        RequestError: a gate needs a number that this run does not measure.
    """
    compares = measured.teacher is not None or bool(measured.teachers)
    return [
        *_required(measured.missing),
        *_unverified(measured.artifacts),
        *_truth_gates(gates, measured),
        *_file_gates(gates, measured),
        *_run_gates(gates, measured),
        *(_switched_off(name, gates) for name in _off(gates) if compares or name not in OF_SEVERAL),
    ]


def named(gates: Sequence[Gate]) -> str:
    """Returns the names of the first gates, and how many more there are."""
    names = ", ".join(gate.name for gate in gates[:_NAMED])
    return f"{names} and {len(gates) - _NAMED} more" if len(gates) > _NAMED else names


def unjudged(gates: Iterable[Gate]) -> str:
    """Returns why gates were not judged and which, such as 'switched off by --smoke (diagnosis)'; "" for none.

    Promises on classes are named in words.
    """
    listed, by_reason = list(gates), dict[str, list[Gate]]()
    for gate in listed:
        if gate.verdict == "not judged" and not class_gates.promise_of(gate.name):
            by_reason.setdefault(gate.reason, []).append(gate)
    found = [f"{promise} is not proven" for promise in class_gates.unproven(listed)]
    found += [f"{reason} ({named(those)})" if reason else named(those) for reason, those in by_reason.items()]
    return "; ".join(found)


def is_on(limit: float | bool | str | None) -> bool:
    """Returns whether a field of Gates switches its gate on; a limit of 0 does."""
    return limit is not None and limit is not False


def better_than_chance(name: str, test: ChanceTest | None, otherwise: str = "the file was not run") -> Gate:
    """Judges the predictions of a teacher or a file.

    Args:
        name: of the teacher's stage, or of the file.
        test: of its predictions on the test split; None where there are none.
        otherwise: why there are none.
    """
    name = f"{BETTER_THAN_CHANCE}/{name}"
    if test is None:
        return not_judged(name, otherwise)
    if not significant(test.perfect_p_value):
        return not_judged(
            name,
            f"the test split is too small: p = {test.perfect_p_value:.2g} even where every prediction is right",
            test.p_value,
        )
    against = f"balanced accuracy {percent(test.balanced_accuracy)}, {percent(test.chance_level)} by chance"
    return decided(name, test.p_value, ALPHA, significant(test.p_value), against)


def _required(missing: list[MissingFile]) -> Iterator[Gate]:
    for file in missing:
        if file.required:
            yield failed(f"{REQUIRED}/{file_name(file.path)}", f"it could not be made: {file.reason}")


def _unverified(artifacts: list[Artifact]) -> Iterator[Gate]:
    """Yields one gate for a file that could not be run, in place of all that judge its predictions."""
    for artifact in artifacts:
        if artifact.not_verified:
            yield not_judged(f"{VERIFIED}/{file_name(artifact.path)}", f"not verified here: {artifact.not_verified}")


def _run(measured: Measured) -> list[Artifact]:
    return [artifact for artifact in measured.artifacts if not artifact.not_verified]


def _not_worse_than_control(test: PairedTest | None) -> Gate:
    if test is None:
        return not_judged(NOT_WORSE_THAN_CONTROL, "no control was trained (distill.control=false)")
    if not significant(test.worst_p_value):
        return not_judged(NOT_WORSE_THAN_CONTROL, "the test split is too small to show a difference", test.p_value)
    found = f"only the student is right on {test.gained} test examples, only the control on {test.lost}"
    return decided(NOT_WORSE_THAN_CONTROL, test.p_value, ALPHA, not significant(test.p_value), found)


def _diagnosis(found: list[Diagnosis]) -> Gate:
    return decided("diagnosis", len(found), 0, not found, " ".join(each.evidence for each in found))


def _truth_gates(gates: Gates, measured: Measured) -> Iterator[Gate]:
    """Yields the gates that compare with the labels."""
    if gates.diagnosis:
        yield _diagnosis(measured.diagnosis)
    if gates.better_than_chance:
        for name, test in measured.teachers.items():
            yield better_than_chance(name, test, _UNMEASURED)
        if measured.folds:
            yield better_than_chance(STUDENT, measured.chance)
    for artifact in _run(measured):
        file = file_name(artifact.path)
        if gates.better_than_chance and not measured.folds:
            yield better_than_chance(file, artifact.chance)
        if gates.min_accuracy is not None and measured.folds:
            pooled = f"accuracy of the student, pooled over {measured.folds} folds; the file was compared with Keras"
            yield _at_least(f"min_accuracy/{file}", measured.student, gates.min_accuracy, pooled)
        elif gates.min_accuracy is not None:
            accuracy = _number(artifact.accuracy, f"{file}'s accuracy")
            yield _at_least(f"min_accuracy/{file}", accuracy, gates.min_accuracy)
        yield from _class_gates(gates, artifact, measured)


def _class_gates(gates: Gates, artifact: Artifact, measured: Measured) -> Iterator[Gate]:
    """Yields the gates on single classes; with folds they judge the student."""
    file, thresholds = file_name(artifact.path), measured.thresholds
    if not measured.folds:
        yield from class_gates.judge_file(gates, file, artifact.shipped_scores, artifact.recall_changes, thresholds)
        return
    for gate in class_gates.judge_file(gates, file, measured.scores, measured.recall_changes, thresholds):
        pooled = f"{gate.reason}; of the student, pooled over {measured.folds} folds"
        yield gate.model_copy(update={"reason": pooled})


def _off(gates: Gates) -> list[str]:
    """Returns the gates that the recipe switches off although they are on by default; operators are no quality."""
    defaults = Gates().model_dump(exclude={"one_partition"})
    return [name for name, default in defaults.items() if is_on(default) and not is_on(getattr(gates, name))]


def _switched_off(name: str, gates: Gates) -> Gate:
    return not_judged(name, f"switched off by {gates.switched_off_by or 'the recipe'}")


def _file_gates(gates: Gates, measured: Measured) -> Iterator[Gate]:
    for artifact in _run(measured):
        file = file_name(artifact.path)
        if gates.max_accuracy_drop is not None and measured.folds:
            yield _drop_at_most(file, gates.max_accuracy_drop, artifact, measured.images)
        elif gates.max_accuracy_drop is not None:
            drop = measured.student - _number(artifact.accuracy, f"{file}'s accuracy")
            most, why = most_allowed(gates.max_accuracy_drop, measured.images)
            yield _at_most(f"max_accuracy_drop/{file}", drop, most, why)
        if gates.max_negative_flips is not None and measured.teacher is not None:
            flips = measured.flips if measured.folds else artifact.negative_flips
            yield _negative_flips(gates.max_negative_flips, file, flips)
        yield from rejection.judge_file(gates, artifact)
        for name in FORMATS[artifact.format].precision(artifact.precision).gates:
            if is_on(limit := getattr(gates, name)):
                yield JUDGES[name](name, limit, artifact, measured.images)


def _negative_flips(limit: float, file: str, flips: NegativeFlips | None) -> Gate:
    name = f"max_negative_flips/{file}"
    if flips is None:
        raise RequestError(f"A gate needs {file}'s negative flips; or set that gate to None.")
    if flips.fraction is None:
        return not_judged(name, "the teacher predicts no test example rightly")
    low, high = map(percent, proportion(flips.test.lost, flips.right))
    found = (
        f"{flips.test.lost} of {flips.right} examples that the teacher predicts rightly, 95 % interval {low} to {high}"
    )
    most, why = most_allowed(limit, flips.right)
    return _at_most(name, flips.fraction, most, f"{found}; {why}" if why else found)


def _drop_at_most(file: str, limit: float, artifact: Artifact, images: int) -> Gate:
    """Judges a file whose student has seen all images: the accuracy drops by no more than the classes that change."""
    name = f"max_accuracy_drop/{file}"
    changed = 1 - _number(artifact.top1_vs_keras, f"{file}'s agreement with the Keras student")
    found = f"the file gives {percent(changed)} of all labelled examples another class than Keras"
    most, why = most_allowed(limit, images)
    if changed > most + ROUNDING:
        return not_judged(name, f"{found}, and its student has seen them (data.folds)", changed)
    return _at_most(name, changed, most, f"{found}, so its accuracy drops by no more{f'; {why}' if why else ''}")


def most_allowed(limit: float, images: int) -> tuple[float, str]:
    """Returns the fraction of images that may differ, and why it is more than the recipe's limit.

    Where one image is more than the limit, one may differ; a limit of 0 allows none.
    """
    if not images or limit <= ROUNDING or limit * images >= 1 - ROUNDING:
        return limit, ""
    return 1 / images, f"one of {images} examples may differ; {limit:.3g} of them is less"


def _least(limit: float, images: int) -> tuple[float, str]:
    """Returns the fraction of images that must be equal, and why it is less than the recipe's limit."""
    most, why = most_allowed(1 - limit, images)
    return (1 - most if why else limit), why


def _agreement(gate: str, limit: float, artifact: Artifact, images: int) -> Gate:
    file = file_name(artifact.path)
    agreement = _number(artifact.top1_vs_keras, f"{file}'s agreement with the Keras student")
    least, why = _least(limit, images)
    return _at_least(f"{gate}/{file}", agreement, least, why)


def _error(gate: str, limit: float, artifact: Artifact, images: int) -> Gate:
    return _difference(gate, limit, artifact, artifact.max_abs_error)


def _shift(gate: str, limit: float, artifact: Artifact, images: int) -> Gate:
    return _difference(gate, limit, artifact, artifact.mean_total_variation)


def _difference(gate: str, limit: float, artifact: Artifact, value: float | None) -> Gate:
    file = file_name(artifact.path)
    return _at_most(f"{gate}/{file}", _number(value, f"{file}'s difference from the Keras student"), limit)


def _one_partition(gate: str, limit: bool, artifact: Artifact, images: int) -> Gate:
    """Counts the pieces a graph runs in: XNNPACK's partitions, and every operator outside but the look-up of words."""
    file = file_name(artifact.path)
    if artifact.delegation is None:
        raise RequestError(f"The gate one_partition needs the delegation of {file}; verify that file or switch it off.")
    partitions, look_up = artifact.delegation.partitions, artifact.delegation.look_up
    outside = len(artifact.delegation.outside) - len(look_up)
    passed = partitions == 1 and not outside
    reason = f"without the look-up of word vectors ({', '.join(look_up)}), which XNNPACK never runs" if look_up else ""
    return decided(f"{gate}/{file}", partitions + outside, 1, passed, reason)


# By the gates that the records of formats name: (gate, limit, file, number of test images) to the verdict.
JUDGES: Mapping[str, Callable[[str, Any, Artifact, int], Gate]] = {
    "min_agreement": _agreement,
    "min_float_agreement": _agreement,
    "max_float_error": _error,
    "max_half_error": _error,
    "max_half_shift": _shift,
    "one_partition": _one_partition,
}


def _run_gates(gates: Gates, measured: Measured) -> Iterator[Gate]:
    if gates.min_relative_accuracy is not None and measured.teachers and measured.teacher is None:
        yield not_judged("min_relative_accuracy", f"the teacher: {_UNMEASURED}")
    elif gates.min_relative_accuracy is not None:
        teacher = _number(measured.teacher, "a teacher's accuracy")
        ratio = measured.student / teacher if teacher else float("nan")
        found = f"student {percent(measured.student)}, teacher {percent(teacher)}"
        right = round(teacher * measured.images) if teacher > 0 else 0
        least, why = _least(gates.min_relative_accuracy, right)
        yield _at_least("min_relative_accuracy", ratio, least, f"{found}; {why}" if why else found)
    if gates.max_negative_flips is not None and measured.teacher is None:
        yield not_judged("max_negative_flips", f"the teacher: {_UNMEASURED}")
    if gates.not_worse_than_control:
        yield _not_worse_than_control(measured.paired)
    if gates.min_gain_over_control is not None:
        gain = measured.student - _number(measured.control, "a control; set distill.control=true")
        yield _at_least("min_gain_over_control", gain, gates.min_gain_over_control)
    for name, value, limit in (
        ("min_size_ratio", measured.size_ratio, gates.min_size_ratio),
        ("min_speed_ratio", measured.speed_ratio, gates.min_speed_ratio),
    ):
        if limit is not None:
            yield _of_small_file(name, value, limit, measured.missing)


def _of_small_file(name: str, ratio: float | None, limit: float, missing: list[MissingFile]) -> Gate:
    lost = [file for file in missing if (file.format, file.precision) == ("tflite", "int8")]
    if lost:
        return failed(name, f"the int8 file could not be made: {lost[0].reason}")
    return _at_least(name, _number(ratio, "a small file; add int8 or dynamic to export.tflite"), limit)


def _number(value: float | None, what: str) -> float:
    if value is None:
        raise RequestError(f"A gate needs {what}; or set that gate to None.")
    return value


def _at_most(name: str, value: float, limit: float, reason: str = "") -> Gate:
    return decided(name, value, limit, value <= limit + ROUNDING, reason)


def _at_least(name: str, value: float, limit: float, reason: str = "") -> Gate:
    return decided(name, value, limit, value >= limit - ROUNDING, reason)
