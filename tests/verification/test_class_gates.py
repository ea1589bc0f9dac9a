"""Gates on classes are judged by the intervals of what was counted."""

import math
from typing import Any

import pytest

from tests.verification.test_gates import OFF, make_artifact, make_measured
from tfkd.errors import RequestError
from tfkd.recipe import Gates
from tfkd.recipe.files import load
from tfkd.verification.class_gates import require_known, unproven
from tfkd.verification.gates import judge, unjudged
from tfkd.verification.interval_rule import MeanRecall, judged
from tfkd.verification.records import Gate, RecallChange, RecallChanges, Scores, Threshold
from tfkd.verification.scores import from_counts

FILE = "n_int8.tflite"


def verdicts(limits: dict[str, Any], thresholds: dict[str, Threshold] | None = None, **fields: Any) -> list[Gate]:
    gates = Gates(**{**OFF.model_dump(), **limits})
    found = judge(gates, make_measured(make_artifact(**fields), thresholds=thresholds or {}))
    return [gate for gate in found if not gate.reason.startswith("switched off")]


def only(limits: dict[str, Any], **fields: Any) -> Gate:
    (gate,) = verdicts(limits, **fields)
    return gate


def counted(right: int, images: int, others: int = 100) -> Any:
    """Scores of a rare class, and of another one that is predicted for every other image."""
    missed = images - right
    return from_counts({"malignant": (images, right, right), "benign": (others, others + missed, others)})


@pytest.mark.parametrize(
    ("right", "images", "limit", "verdict", "reason"),
    [
        (186, 189, 0.98, "passed", "recall 98.4 % (95 % interval 95.4 to 99.5 %) on 189 examples, 98.0 % is promised"),
        (185, 189, 0.98, "not judged", "too close to decide: about 304 times as many test examples of"),
        (180, 189, 0.98, "failed", "interval 91.2 to 97.5 %"),
        (188, 188, 0.98, "not judged", "98.0 % is promised; 189 test examples of 'malignant' are needed"),
        (20, 20, 0.98, "not judged", "189 test examples of 'malignant' are needed"),
        (1, 1, 0.98, "not judged", "on 1 example, 98.0 % is promised; 189 test examples of 'malignant' are needed"),
        (0, 1, 0.98, "not judged", "on 1 example, 98.0 % is promised; 189 test examples of 'malignant' are needed"),
        (0, 2, 0.98, "failed", "on 2 examples, 98.0 % is promised"),
        (0, 0, 0.98, "not judged", "the test split has no example of it, 98.0 % is promised"),
        (49, 50, 1.0, "failed", "100.0 % is promised"),
        (50, 50, 1.0, "not judged", "no number of test examples of 'malignant' is enough to show it"),
        (2, 2, 0.4, "not judged", "6 test examples of 'malignant' are needed"),
        (20, 20, 0.1, "passed", "10.0 % is promised"),
        (0, 3, 0.0, "passed", "0.0 % is promised"),
    ],
)
def test_a_promised_recall(right: int, images: int, limit: float, verdict: str, reason: str) -> None:
    gate = only({"min_recall": {"malignant": limit}}, scores=counted(right, images))
    assert (gate.name, gate.verdict) == (f"min_recall/{FILE}/malignant", verdict)
    assert reason in gate.reason


def test_the_recall_with_the_threshold_is_judged() -> None:
    threshold = Threshold(promise=0.9, value=0.25, images=30, recall=0.9, precision=0.5)
    scores = {"scores": counted(0, 40), "scores_with_thresholds": counted(38, 40)}
    (gate,) = verdicts({"min_recall": {"malignant": 0.9}}, {"malignant": threshold}, **scores)
    assert gate.verdict == "passed" and "with the threshold 0.25" in gate.reason


@pytest.mark.parametrize(
    ("right", "images", "tested", "verdict"), [(20, 30, 40, "failed"), (5, 6, 40, "not judged"), (5, 6, 20, "failed")]
)
def test_a_promise_that_no_threshold_keeps_never_passes(right: int, images: int, tested: int, verdict: str) -> None:
    threshold = Threshold(promise=0.9, value=0.25, images=images, recall=right / images, precision=0.5)
    scores = {"scores": counted(0, 40), "scores_with_thresholds": counted(tested, 40)}
    (gate,) = verdicts({"min_recall": {"malignant": 0.9}}, {"malignant": threshold}, **scores)
    assert gate.verdict == verdict and f"the nearest, 0.25, reaches {100 * right / images:.1f} % of" in gate.reason
    assert gate.reason.endswith("; 35 validation examples of 'malignant' are needed") is (verdict == "not judged")


@pytest.mark.parametrize(
    ("scores", "limit", "verdict", "reason"),
    [
        (counted(40, 40), 0.9, "passed", ""),
        (counted(8, 8, 1_000), 0.9, "not judged", "; 9 test examples per class are needed"),
        (counted(0, 1), 0.9, "not judged", "; 10 test examples per class are needed"),
        (counted(30, 40), 0.95, "failed", ""),
        (counted(52, 58), 0.96, "not judged", "; too close to decide: about 11 times as many test examples per class"),
        (counted(0, 0), 0.9, "passed", "of 1 class (no test example of 'malignant')"),
    ],
)
def test_the_balanced_accuracy(scores: Scores, limit: float, verdict: str, reason: str) -> None:
    gate = only({"min_balanced_accuracy": limit}, scores=scores)
    assert (gate.name, gate.verdict) == (f"min_balanced_accuracy/{FILE}", verdict)
    assert "95 % interval" in gate.reason and reason in gate.reason


def test_promises_that_are_not_proven_are_named_once_in_words() -> None:
    def gate(name: str, verdict: str, reason: str = "few") -> Gate:
        return Gate(name=name, value=None, limit=None, passed=verdict == "passed", verdict=verdict, reason=reason)

    gates = [
        *(gate(f"min_recall/{file}/a/b", "not judged", f"of {file}") for file in ("x", "y")),
        *(gate(f"max_recall_drop/{file}", "not judged") for file in ("x", "y")),
        gate("max_recall_drop/x/a", "not judged"),
        gate("min_balanced_accuracy/x", "not judged"),
        gate("min_recall/x/c", "passed"),
        gate("max_recall_drop", "not judged", "switched off"),
        gate("diagnosis", "not judged", "switched off"),
    ]
    found = {
        "the recall of 'a/b'": "x: of x; likewise 1 other file",
        "the drop of the recall of all classes": "few",
        "the drop of the recall of 'a'": "few",
        "the balanced accuracy": "few",
    }
    assert unproven(gates) == found
    words = "; ".join(f"{promise} is not proven" for promise in found)
    assert unjudged(iter(gates)) == f"{words}; switched off (max_recall_drop, diagnosis)"


@pytest.mark.parametrize("promise", [0.5, 0.8, 0.9, 0.95, 0.98])
def test_a_kept_promise_seldom_fails_and_one_that_is_clearly_broken_seldom_passes(promise: float) -> None:
    """A file that keeps the promise exactly fails in 2.5 % of all cases at most; one that misses twice as much as it
    allows passes in 10 % at most."""
    for images in (1, 2, 3, 5, 10, 20, 40, 100, 200, 400):
        counts = [MeanRecall([right], [images]) for right in range(images + 1)]
        failed, passed = 0.0, 0.0
        for right, found in enumerate(counts):
            verdict = judged("gate", found, promise, "", right / images, "").verdict
            failed += (verdict == "failed") * _binomial(right, images, promise)
            passed += (verdict == "passed") * _binomial(right, images, max(0.0, 2 * promise - 1))
        assert failed <= 0.025 and passed <= 0.1, (images, failed, passed)


def _binomial(right: int, images: int, recall: float) -> float:
    """The probability of so many right images."""
    return math.comb(images, right) * recall**right * (1 - recall) ** (images - right)


def changes(lost: int, gained: int, reference: str = "teacher") -> RecallChanges:
    return RecallChanges(reference=reference, classes={"malignant": RecallChange(lost=lost, gained=gained)})


@pytest.mark.parametrize("limits", [0.05, {"malignant": 0.05}])
@pytest.mark.parametrize(
    ("lost", "gained", "verdict"), [(0, 0, "passed"), (10, 0, "passed"), (16, 0, "not judged"), (60, 4, "failed")]
)
def test_the_drop_of_a_recall_is_paired(limits: Any, lost: int, gained: int, verdict: str) -> None:
    found = {"scores": counted(120, 200, 200), "recall_changes": changes(lost, gained)}
    gate = only({"max_recall_drop": limits}, **found)
    assert gate.name == f"max_recall_drop/{FILE}" + ("/malignant" if isinstance(limits, dict) else "")
    assert gate.verdict == verdict and gate.value == pytest.approx(max(0, lost - gained) / 200)
    assert f"'malignant' {(lost - gained) / 2:+.1f} points" in gate.reason or verdict == "passed"


def test_one_limit_for_all_classes_does_not_fail_by_the_chance_of_many() -> None:
    fields = {"scores": from_counts({str(n): (40, 40, 30) for n in range(100)})}
    lost = RecallChanges(reference="teacher", classes={str(n): RecallChange(lost=9, gained=0) for n in range(100)})
    assert only({"max_recall_drop": {"3": 0.05}}, recall_changes=lost, **fields).verdict == "failed"
    gate = only({"max_recall_drop": 0.05}, recall_changes=lost, **fields)
    assert gate.verdict == "not judged" and "and 97 more" in gate.reason


def test_a_drop_from_nothing_is_not_judged() -> None:
    gate = only({"max_recall_drop": 0.05}, scores=counted(60, 100))
    assert gate.verdict == "not judged" and "neither the teacher nor a control" in gate.reason
    gate = only({"max_recall_drop": {"malignant": 0.05}}, scores=counted(0, 0), recall_changes=changes(0, 0))
    assert gate.verdict == "not judged" and "no example of it" in gate.reason
    found = {"scores": counted(1, 2), "recall_changes": changes(0, 0, "control")}
    gate = only({"max_recall_drop": {"malignant": 0.05}}, **found)
    assert gate.verdict == "not judged" and gate.reason.startswith("recall of the control less")
    assert gate.reason.endswith("on 2 examples; 150 test examples of 'malignant' are needed")


def test_a_drop_on_few_images_is_not_judged() -> None:
    one_lost = {"scores": counted(0, 1), "recall_changes": changes(1, 0)}
    gate = only({"max_recall_drop": {"malignant": 0.0}}, **one_lost)
    assert gate.verdict == "not judged" and "no number of test examples of 'malignant' is enough" in gate.reason
    gate = only({"max_recall_drop": 0.1}, scores=counted(40, 40, 100), recall_changes=changes(0, 0))
    assert gate.verdict == "not judged" and "test examples of 'malignant' are needed" in gate.reason
    gate = only({"max_recall_drop": 0.1}, scores=counted(0, 0, 200), recall_changes=changes(0, 0))
    assert gate.verdict == "not judged" and gate.reason.endswith("(no test example of 'malignant')")
    better = {"scores": counted(40, 40), "recall_changes": changes(0, 15)}
    assert only({"max_recall_drop": {"malignant": 0.0}}, **better).verdict == "passed"


def test_with_folds_the_pooled_predictions_of_the_student_are_judged() -> None:
    gates = Gates(**{**OFF.model_dump(), "min_recall": {"malignant": 0.9}, "max_recall_drop": {"malignant": 0.05}})
    artifact = make_artifact(accuracy=None, chance=None, agreement=None)
    pooled = {"folds": 5, "scores": counted(60, 100), "recall_changes": changes(20, 0)}
    found = {gate.name: gate for gate in judge(gates, make_measured(artifact, **pooled)) if gate.verdict == "failed"}
    assert found.keys() == {f"min_recall/{FILE}/malignant", f"max_recall_drop/{FILE}/malignant"}
    assert all(gate.reason.endswith("; of the student, pooled over 5 folds") for gate in found.values())


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"min_recall": {"malignat": 0.9}}, "gates.min_recall names the class 'malignat'.* Did you mean 'malignant'"),
        ({"max_recall_drop": {"Benign": 0.1}}, "gates.max_recall_drop names the class 'Benign'.* mean 'benign'"),
        ({"max_recall_drop": {"gru\u0308n": 0.1, "gr\u00fcn": 0.1}}, "names the class 'grün' twice"),
    ],
)
def test_a_class_that_does_not_exist_is_refused(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        require_known(Gates(**limits), ["benign", "malignant", "gr\u00fcn"])
    require_known(Gates(min_recall={"gru\u0308n": 0.9}), ["gr\u00fcn", "rot"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("gates.min_recall=0.98", r"gates.min_recall = 0.98: must name classes, such as {.malignant.: 0.98}"),
        ("gates.min_recall.malignant=98", r"must be a fraction from 0 to 1, such as 0.98"),
        ("gates.min_recall.malignant=true", r"must be a fraction from 0 to 1, such as 0.98"),
        ("gates.max_recall_drop=2", r"gates.max_recall_drop = 2: must be a fraction from 0 to 1"),
        ('gates.max_recall_drop={"a": "b"}', r"must be a fraction from 0 to 1, such as 0.02"),
        ("gates.min_balanced_accuracy=1.5", r"less than or equal to 1"),
    ],
)
def test_a_wrong_limit_is_explained(tmp_path: Any, override: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        load(written(tmp_path), [override])


def test_a_class_is_named_on_the_command_line(tmp_path: Any) -> None:
    overrides = ["gates.min_recall.malignant=0.98", "gates.min_recall.old scar=1", "gates.max_recall_drop.malignant=0"]
    gates = load(written(tmp_path), overrides).gates
    assert (gates.min_recall, gates.max_recall_drop) == ({"malignant": 0.98, "old scar": 1.0}, {"malignant": 0.0})
    assert load(written(tmp_path), ["gates.max_recall_drop=0.02"]).gates.max_recall_drop == 0.02
    assert load(written(tmp_path), ["gates.min_recall={}"]).gates.min_recall is None


def written(folder: Any) -> Any:
    path = folder / "recipe.py"
    recipe = 'Recipe(name="r", data=Data(source="folder:x"), teachers=[Teacher(model="a:b")])'
    path.write_text(f"from tfkd.recipe import *\nrecipe = {recipe}")
    return path
