"""The comparison of teachers with the locked ones."""

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.bundle.teachers import CLASSES, lock_of_teachers, logits_of, predictions_of, teacher_of
from tfkd.bundle.teacher_lock import TeacherLock, locked_predictions
from tfkd.monitor.lock_records import LockDiff
from tfkd.monitor.locks import TOGETHER, compare_locks

LABELS = [0] * 20 + [1] * 20 + [2] * 20
OTHER = "b" * 64


def compared(old: TeacherLock, new: TeacherLock) -> LockDiff:
    return compare_locks(old, new, ("old.lock", "new.lock"))


def retrained() -> list[int]:
    """Returns predictions that are right but for 8 cats that are dogs and one owl that is a cat."""
    return [1] * 8 + [0] * 12 + [1] * 20 + [0] + [2] * 19


@pytest.fixture(scope="module")
def locked() -> TeacherLock:
    return lock_of_teachers(LABELS, teacher_of(LABELS))


def test_the_same_teacher_passes_whatever_its_paths_and_the_version_are(locked: TeacherLock) -> None:
    moved = teacher_of(LABELS, settings={"model": "elsewhere/resnet20.keras", "fine_tune": None})
    found = compared(locked, lock_of_teachers(LABELS, moved, tfkd_version="9"))
    assert found.passed and found.agreements[0].equal == 60
    assert (
        found.settings
        == [
            "teachers.0.model was 'resnet20', it is 'elsewhere/resnet20.keras'",
            "teachers.0.fine_tune.epochs was 3, it is not set",
            "teachers.0.fine_tune was not set, it is not set",
        ][:2]
    )


def test_a_retrained_teacher_is_described_by_class(locked: TeacherLock) -> None:
    found = compared(locked, lock_of_teachers(LABELS, teacher_of(retrained(), OTHER)))
    assert [change.partition(" (")[0] for change in found.changes] == [
        "the teacher 'resnet20' has other weights",
        "the teacher 'resnet20' has other predictions",
    ]
    (each,) = found.agreements
    assert (each.teacher, each.examples, each.equal) == ("resnet20", 60, 51)
    assert each.interval[0] < 51 / 60 < each.interval[1] and each.new_accuracy == 51 / 60
    assert each.p_value == pytest.approx(2 * 0.5**9) and each.old_confidence == pytest.approx(0.9647, abs=0.002)
    cat, owl, dog = each.classes
    assert (cat.label, cat.changed, cat.old_right, cat.new_right) == ("cat", 8, 20, 12)
    assert (owl.label, owl.changed, owl.new_right) == ("owl", 1, 19) and (dog.label, dog.changed) == ("dog", 0)
    assert cat.p_value == pytest.approx(3 * binomtest(8, 8).pvalue) and owl.p_value == 1.0 == dog.p_value
    assert [(flow.old, flow.new, flow.examples) for flow in each.flows] == [("cat", "dog", 8), ("owl", "cat", 1)]


def test_the_same_top_classes_with_other_probabilities_are_another_teacher(locked: TeacherLock) -> None:
    softer = teacher_of(LABELS, predictions=predictions_of(LABELS, sure=2.0))
    found = compared(locked, lock_of_teachers(LABELS, softer))
    assert found.changes == ["the teacher 'resnet20' has other predictions"]
    assert found.agreements[0].equal == 60 and found.agreements[0].distance > 0.1


def test_other_validation_examples_have_no_agreement(locked: TeacherLock) -> None:
    others = LABELS[:-1]
    found = compared(locked, lock_of_teachers(others, teacher_of(others)))
    assert found.changes == ["the labelled examples of folder:photos are others (validation 60 to 59)"]
    assert not found.agreements and found.not_compared.startswith("the validation examples are others")


def test_classes_in_another_order_are_compared_by_name(locked: TeacherLock) -> None:
    order = np.array([2, 0, 1])  # number of each class of the lock in the new order
    classes = ("dog", "owl", "cat")
    new = lock_of_teachers(order[LABELS], teacher_of(order[retrained()]), classes=classes)
    found = compared(locked, new)
    assert "the classes are in another order ('cat', 'dog', 'owl')" in found.changes
    (each,) = found.agreements
    assert (each.equal, each.new_accuracy, each.classes[0].label) == (51, 51 / 60, "cat")
    assert [(flow.old, flow.new) for flow in each.flows] == [("cat", "dog"), ("owl", "cat")]


def test_lost_and_added_classes_are_named(locked: TeacherLock) -> None:
    new = lock_of_teachers(LABELS, teacher_of(LABELS), classes=("cat", "dog", "bat"))
    assert compared(locked, new).changes[:2] == ["1 class missing ('owl')", "1 class added ('bat')"]


def test_weight_and_domain_are_part_of_a_teacher(locked: TeacherLock) -> None:
    new = lock_of_teachers(LABELS, teacher_of(LABELS, share=2.0, domain="xray/*"))
    assert compared(locked, new).changes == [
        "the teacher 'resnet20' has the weight 2 in place of 1",
        "the teacher 'resnet20' has the domain 'xray/*' in place of all examples",
    ]


def test_an_ensemble_is_compared_as_a_whole_and_teacher_by_teacher() -> None:
    old = lock_of_teachers(LABELS, teacher_of(LABELS), teacher_of(LABELS), ensemble=predictions_of(LABELS))
    second = teacher_of(retrained(), OTHER, model="resnet56")
    new = lock_of_teachers(LABELS, teacher_of(LABELS), second, ensemble=predictions_of(LABELS))
    found = compared(old, new)
    assert [(each.teacher, each.equal) for each in found.agreements] == [
        (TOGETHER, 60),
        ("resnet20", 60),
        ("resnet56", 51),
    ]
    assert all("'resnet56'" in change for change in found.changes) and len(found.changes) == 2
    single = compared(old, lock_of_teachers(LABELS, teacher_of(LABELS)))
    assert single.changes == ["1 teacher in place of 2"] and "numbers of teachers differ" in single.not_compared


def test_a_teacher_without_predictions_is_not_compared(locked: TeacherLock) -> None:
    found = compared(locked, lock_of_teachers(LABELS, teacher_of(LABELS, predictions=None)))
    assert found.changes == ["the teacher 'resnet20' has other predictions"]
    assert found.not_compared == "a lock has no predictions for the validation examples"


def test_only_common_examples_of_two_domains_count() -> None:
    old = lock_of_teachers(LABELS, teacher_of(LABELS))
    known = np.arange(60) < 40
    part = locked_predictions(logits_of(np.array(retrained())[known]), known)
    new = lock_of_teachers(LABELS, teacher_of(LABELS, predictions=part, domain="a/*"))
    (each,) = compared(old, new).agreements
    assert (each.examples, each.equal, {shift.label for shift in each.classes}) == (40, 32, {*CLASSES[:2]})
