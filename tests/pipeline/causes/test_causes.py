"""Each cause of a poor student at its threshold, by figures that were made up, and its remedies as overrides."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.bundle.manifests import tiny_manifest
from tfkd.pipeline.causes import CAUSES, class_limits
from tfkd.pipeline.causes.figures import ClassFigures, StudentFigures, TrainingFigures
from tfkd.pipeline.causes.finding import causes_of, missed
from tfkd.recipe import Data, Gates, Recipe, SoftTargets, Student, Teacher
from tfkd.recipe.distill import Distill
from tfkd.recipe.training import FineTune, Training
from tfkd.verification.flips import negative_flips
from tfkd.verification.records import Gate, RecallChange, RecallChanges
from tfkd.verification.scores import from_counts

RECIPE = Recipe(
    name="r",
    data=Data(source="folder:photos", image_size=64, fraction=0.5),
    teachers=[Teacher(model="resnet50", fine_tune=FineTune(epochs=4))],
    student=Student(model="mobilenet_v3_small", weights="none"),
    distill=Distill(
        losses=[SoftTargets(temperature=4.0)], views=2, training=Training(epochs=20, batch_size=50), label_weight=0.3
    ),
)
SETTLED = tuple(0.5 + 2 * math.exp(-0.4 * epoch) for epoch in range(20))
GOOD = StudentFigures(
    recipe=RECIPE,
    labelled=5_000,
    transfer=5_000,
    losses=SETTLED,
    curve=tuple(0.8 - 0.5 * math.exp(-0.4 * epoch) for epoch in range(20)),
    validation=(400, 320),
    teacher=0.85,
    control=0.75,
    temperatures=((0, 4.0),),
    training=TrainingFigures(
        images=400,
        disagreeing=30,
        student_right=340,
        teacher_right=350,
        most_frequent=50,
        most_labelled=40,
        confidence=0.8,
        flatness=0.4,
    ),
)


def with_training(**changes: Any) -> StudentFigures:
    return replace(GOOD, training=replace(GOOD.training, **changes))


def with_recipe(*overrides: str, **changes: Any) -> StudentFigures:
    return replace(GOOD, recipe=RECIPE.with_(*overrides), **changes)


def with_class(*overrides: str, **changes: Any) -> StudentFigures:
    """Figures of a run that missed a promised recall of 90 % of one class."""
    found = ClassFigures("rare", train=500, most=900, validation=100, right=90, teacher_right=95, promise=0.9)
    return with_recipe("gates.min_recall.rare=0.9", *overrides, at_stake=(replace(found, **changes),))


def named(figures: StudentFigures) -> list[str]:
    return [each.cause for each in causes_of(figures)]


APPLY = {
    "no threshold": (
        with_class("export.thresholds=false", right=89),
        with_class("export.thresholds=false", right=90),
    ),
    "rare class": (with_class(train=450), with_class(train=451)),
    "few validation examples of a class": (
        with_class(validation=30, right=27),
        with_class(validation=60, right=54),
    ),
    "student too small": (with_training(disagreeing=40), with_training(disagreeing=39)),
    "student overfitted": (with_training(student_right=365), with_training(student_right=355)),
    "training too short": (with_recipe("distill.training.batch_size=110", transfer=5_060), GOOD),
    "teacher too sure": (with_training(confidence=0.99), with_training(confidence=0.989)),
    "teacher memorised its examples": (with_training(teacher_right=385), with_training(teacher_right=375)),
    "teacher too flat": (with_training(flatness=0.95), with_training(flatness=0.949)),
    "task mismatch": (
        replace(GOOD, control=0.84, only_right=(11, 7)),  # -1.2 to +3.2 points
        replace(GOOD, control=0.84, only_right=(40, 36)),  # -3.3 to +5.3 points
    ),
    "worse than its control": (
        replace(with_training(student_right=300), control=0.84, validation=(400, 290)),
        replace(GOOD, control=0.84),
    ),
    "initial weights": (replace(GOOD, transfer=4_999), GOOD),
    "one answer": (with_training(most_frequent=360), with_training(most_frequent=359)),
}


def test_every_kind_has_a_reason_and_a_case() -> None:
    assert APPLY.keys() == CAUSES.keys()
    assert all(kind.reason.endswith(".") and kind.worst > kind.threshold for kind in CAUSES.values())


@pytest.mark.parametrize("name", [name for name in CAUSES if name != "training too short"])
def test_a_cause_applies_from_its_threshold(name: str) -> None:
    applies, does_not = APPLY[name]
    assert named(applies) == [name] and name not in named(does_not)
    (cause,) = causes_of(applies)
    changed = [applies.recipe.with_(*overrides) for overrides in cause.overrides]
    assert (changed or name == "few validation examples of a class") and applies.recipe not in changed
    assert str(cause).startswith(name[:1].upper()) and " Try " in str(cause)


def test_a_rare_class_is_balanced_in_one_way_and_with_a_teacher_that_misses_it_too() -> None:
    def proposed(*overrides: str, **changes: Any) -> list[list[str]]:
        (cause,) = causes_of(with_class(*overrides, train=30, **changes))
        return [[each.rpartition(".")[2] for each in remedy] for remedy in cause.overrides]

    weight, sampling = ["class_weight=balanced"], ["sampling=balanced"]
    assert proposed() == [sampling, weight]  # the loss with the labels, which has the weights, counts for little
    assert proposed("distill.label_weight=0.5") == [weight, sampling]
    assert proposed("distill.label_weight=0") == [sampling]
    assert proposed("distill.training.sampling=balanced") == []
    taught = proposed("distill.label_weight=0.5", teacher_right=90)
    assert taught == [weight, sampling, weight + weight]
    (cause,) = causes_of(with_class(train=30, teacher_right=90))
    assert cause.overrides[2] == ["distill.training.sampling=balanced", "teachers.0.fine_tune.class_weight=balanced"]
    assert "'rare' has 30 training examples, the largest class 900; 90 of 100 validation examples" in cause.evidence
    assert cause.proposal.endswith("more training examples of 'rare'")


def test_folds_are_proposed_where_the_recipe_accepts_them() -> None:
    figures = with_class("export.thresholds=false", train=30)
    assert ["data.folds=5"] in causes_of(figures)[0].overrides
    patient = replace(figures, recipe=figures.recipe.with_("distill.training.patience=3"))
    assert ["data.folds=5"] not in causes_of(patient)[0].overrides


def test_a_promise_without_validation_images_has_a_cause() -> None:
    (cause,) = causes_of(with_class(validation=0, right=0, teacher_right=0))
    assert "'rare' has no validation example, so that no threshold could be chosen" in cause.evidence
    assert cause.proposal == "about 34 examples of 'rare' in the validation split"


def test_where_nothing_applies_the_numbers_are_named() -> None:
    (found,) = causes_of(GOOD)
    assert (found.cause, found.overrides) == ("unknown", [])
    assert "student 80.0%, teacher 85.0%, control 75.0%" in str(found) and "2,000 steps" in str(found)


@pytest.mark.parametrize(
    ("losses", "short"),
    [
        (tuple(2.0 - 0.05 * epoch for epoch in range(20)), True),  # it falls as fast as at first
        ((2.0, 1.999, 1.998, 1.997), False),  # it does not fall at all
        (SETTLED, False),
    ],
)
def test_a_training_is_too_short_while_its_loss_falls(losses: tuple[float, ...], short: bool) -> None:
    figures = replace(GOOD, losses=losses, recipe=RECIPE.with_(f"distill.training.epochs={len(losses)}"))
    figures = replace(figures, curve=tuple(0.1 + 0.01 * place for place in range(len(losses))))
    assert ("training too short" in named(figures)) is short
    worse = replace(figures, curve=figures.curve[::-1])
    assert "training too short" not in named(worse)  # more epochs do not help validation


@pytest.mark.parametrize(("epochs", "short"), [(1, True), (3, True), (4, False)])
def test_few_epochs_are_judged_by_their_steps(epochs: int, short: bool) -> None:
    losses, curve = SETTLED[:1] * epochs, (0.8,) * epochs
    figures = with_recipe(f"distill.training.epochs={epochs}", losses=losses, curve=curve)
    assert named(figures) == (["training too short"] if short else ["unknown"])
    many = replace(figures, recipe=figures.recipe.with_("distill.training.batch_size=1"))
    assert named(many) == ["unknown"]


def test_a_training_that_patience_ended_is_not_too_short() -> None:
    assert named(replace(GOOD, losses=SETTLED[:2], curve=GOOD.curve[:2])) == ["unknown"]


def test_a_student_is_not_called_small_before_its_training_settled() -> None:
    one = with_recipe("distill.training.epochs=1", losses=(2.0,), curve=(0.4,))
    assert named(replace(one, training=with_training(disagreeing=300).training)) == ["training too short"]


def test_the_strongest_cause_comes_first() -> None:
    both = with_training(disagreeing=80, confidence=0.999)
    assert named(both) == ["teacher too sure", "student too small"]
    assert named(with_training(disagreeing=200, confidence=0.991)) == ["student too small", "teacher too sure"]


@pytest.mark.parametrize(
    ("images", "only_right", "mismatch"),
    [
        (400, (11, 1), False),  # better beyond chance, though by few points
        (48, (0, 0), False),  # equal, on too few images to have shown that it is better
        (48, (0, 12), True),
        (400, None, False),
    ],
)
def test_a_teacher_that_equals_its_control_fits_unless_it_would_have_been_seen_to_be_better(
    images: int, only_right: tuple[int, int] | None, mismatch: bool
) -> None:
    figures = replace(GOOD, control=0.84, validation=(images, round(0.84 * images)), only_right=only_right)
    assert ("task mismatch" in named(figures)) is mismatch
    if mismatch:
        evidence = causes_of(figures)[0].evidence
        assert "predicts 59.0% of 48 validation examples correctly and the student without a teacher 84.0%" in evidence
        assert "-37.5 to -11.8 points (95% interval; 0 examples only the teacher, 12 only the control)" in evidence


def test_chance_is_no_overfitting() -> None:
    few = replace(
        with_training(images=20, student_right=18, disagreeing=0, most_frequent=3), validation=(10, 7), teacher=None
    )
    assert named(few) == ["unknown"]


def test_what_a_recipe_has_is_not_proposed() -> None:
    full = ["student.width=4", "data.image_size=1024"]
    figures = with_recipe(*full, training=with_training(disagreeing=200).training)
    (small,) = causes_of(figures)
    assert small.overrides == [] and "larger student.model" in small.proposal
    trained = with_recipe("student.weights=imagenet", training=with_training(disagreeing=200).training)
    assert causes_of(trained)[0].overrides == [["data.image_size=96"]]  # other widths have no such weights
    own = with_recipe("student.model=package.module:build", transfer=100)
    assert "initial weights" not in named(own)


def test_a_command_can_be_pasted_into_a_shell() -> None:
    (small,) = causes_of(with_training(disagreeing=200))
    assert '\'distill.assistants=[{"model": "mobilenet_v3_small"' in small.proposal


SHIPPED = {  # of the Keras student by thresholds, 20 images of "rare" and 100 others
    "scores": from_counts({"rare": (20, 2, 2), "other": (100, 118, 100)}),
    "scores_with_thresholds": from_counts({"rare": (20, 30, 12), "other": (100, 90, 82)}),
    "recall_changes": RecallChanges(reference="teacher", classes={"rare": RecallChange(lost=6, gained=0)}),
    "negative_flips": negative_flips(np.zeros(10, int), np.eye(2)[[0] * 8 + [1] * 2], np.eye(2)[[0] * 10], "ab"),
}
LIMITS = Gates(min_recall={"rare": 0.9}, min_balanced_accuracy=0.8, max_recall_drop=0.1, max_negative_flips=0.1)


@pytest.mark.parametrize(
    ("name", "limit", "verdict", "counts"),
    [
        ("min_relative_accuracy", 0.8, "failed", True),
        ("not_worse_than_control", 0.01, "not judged", False),
        ("min_gain_over_control", 0.0, "failed", True),
        ("min_accuracy/r_int8.tflite", 0.7, "failed", True),
        ("min_accuracy/r_int8.tflite", 0.6, "failed", False),  # the file alone fails it
        ("min_agreement/r_int8.tflite", 0.9, "failed", False),
        ("min_recall/r_int8.tflite/rare", 0.9, "failed", True),
        ("min_recall/r_int8.tflite/rare", 0.9, "not judged", False),
        ("min_recall/r_int8.tflite/rare", 0.5, "failed", False),
        ("min_balanced_accuracy/r_int8.tflite", 0.8, "failed", True),
        ("min_balanced_accuracy/r_int8.tflite", 0.7, "failed", False),
        ("max_recall_drop/r_int8.tflite", 0.1, "failed", True),
        ("max_negative_flips/r_int8.tflite", 0.1, "failed", True),
        ("max_negative_flips/r_int8.tflite", 0.2, "failed", False),
    ],
)
def test_gates_that_the_student_fails_itself_count(name: str, limit: float, verdict: Any, counts: bool) -> None:
    gate = Gate(name=name, value=0.5, limit=limit, passed=False, verdict=verdict)
    kind = name.split("/")[0]
    limits = {"rare": limit} if kind == "min_recall" else limit
    gates = LIMITS.model_copy(update={kind: limits}) if kind in class_limits.ON_CLASSES else LIMITS
    manifest = tiny_manifest(["rare", "other"])
    student = manifest.student.model_copy(update={"accuracy": 0.65, **SHIPPED})
    changes = {"student": student, "gates": [gate], "recipe": {"gates": gates.model_dump(mode="json")}}
    assert bool(missed(manifest.model_copy(update=changes))) is counts


def predictions(shipped: list[int], teacher: list[int] | None, labels: Sequence[int] = (0,) * 10 + (1,) * 2) -> Any:
    taught = None if teacher is None else np.array(teacher)
    return class_limits.SplitPredictions(np.array(labels), np.array(shipped), np.array(shipped), taught)


def test_gates_on_classes_are_measured_and_compared_with_their_limits() -> None:
    classes = ("common", "rare")
    found = predictions([0] * 9 + [1, 1, 0], teacher=[0] * 10 + [1] * 2)
    values = class_limits.measured(LIMITS, found, classes)
    assert values == {
        ("min_recall", "rare"): 0.5,
        ("min_balanced_accuracy",): pytest.approx(0.7),
        ("max_recall_drop",): pytest.approx(0.5),
        ("max_negative_flips",): pytest.approx(2 / 12),
    }
    short = class_limits.shortfalls(LIMITS, values, classes)
    assert {key[0]: round(value, 3) for key, value in short.items()} == {
        **{"min_recall": 0.4, "min_balanced_accuracy": 0.1, "max_recall_drop": 0.4, "max_negative_flips": 0.067}
    }
    alone = class_limits.measured(LIMITS, predictions([0] * 10 + [1] * 2, teacher=None), classes)
    assert set(alone) == {("min_recall", "rare"), ("min_balanced_accuracy",)}
    assert class_limits.shortfalls(LIMITS, alone, classes) == {}


@pytest.mark.parametrize(
    ("kind", "teacher", "worst"),
    [
        ("min_balanced_accuracy", [0] * 10 + [0] * 2, 1),  # recall 0.7 and 0.5
        ("max_recall_drop", [0] * 10 + [0] * 2, 0),  # the teacher knows none of class 1
        ("max_recall_drop", [0] * 10 + [1] * 2, 1),
        ("max_negative_flips", [0] * 10 + [1] * 2, 0),  # three of them against one
        ("max_negative_flips", None, 0),
    ],
)
def test_the_class_that_a_gate_on_all_classes_is_missed_by(kind: str, teacher: list[int] | None, worst: int) -> None:
    assert class_limits.worst_class(kind, predictions([0] * 7 + [1] * 3 + [1, 0], teacher)) == worst


def test_of_equal_classes_the_one_with_the_fewest_images_is_the_worst() -> None:
    assert class_limits.worst_class("min_balanced_accuracy", predictions([3] * 6, None, [0, 0, 0, 2, 2, 5])) == 5
