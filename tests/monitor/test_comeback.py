"""Examples that came back: the student drifted, the world changed, both, or nothing."""

import numpy as np
import pytest

from tests.monitor.bundles import FILE
from tfkd.bundle import monitoring
from tfkd.bundle.monitoring import MonitorReference
from tfkd.errors import RequestError
from tfkd.monitor.comeback import ReturnedPredictions, judged
from tfkd.monitor.records import ReturnedExamples

COUNT = 400


def pair(
    count: int, seed: int, student: float, teacher: float, skewed: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the true classes, and what a student and its teacher predict, which share most of their errors."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(3 if skewed else 10, size=count)
    common = draw.normal(size=(count, 10))

    def predicted(sharpness: float) -> np.ndarray:
        logits = common + 0.2 * draw.normal(size=(count, 10)) + sharpness * np.eye(10)[labels]
        exponents = np.exp(1.3 * logits)
        return (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)

    return labels, predicted(student), predicted(teacher)


def reference(teacher: bool = True) -> MonitorReference:
    labels, student, taught = pair(1_000, 1, 3.0, 3.0)
    found = monitoring.reference(FILE, "0" * 64, student, labels, teacher=taught if teacher else None, seed=1)
    assert found is not None
    return found


def examined(student: float, teacher: float, skewed: bool) -> ReturnedExamples:
    labels, predicted, taught = pair(COUNT, 2, student, teacher, skewed)
    return judged(ReturnedPredictions(labels, predicted, taught), reference(), 0.01, 999, 1)


@pytest.mark.parametrize(
    ("student", "teacher", "skewed", "finding"),
    [
        (3.0, 3.0, False, "nothing has changed"),
        (1.5, 3.0, False, "the student drifted from the teacher"),
        (3.0, 3.0, True, "the world changed for both"),
        (0.8, 2.0, False, "both"),
    ],
)
def test_disagreement_and_the_teacher_tell_what_changed(
    student: float, teacher: float, skewed: bool, finding: str
) -> None:
    found = examined(student, teacher, skewed)
    assert found.finding == finding
    assert found.disagreement and found.disagreement_reference is not None and found.accuracy
    assert found.student.alarm is (skewed or student < 3)
    assert found.teacher and found.teacher.alarm is (skewed or teacher < 3)


def test_without_a_teacher_there_is_no_finding() -> None:
    labels, student, _ = pair(COUNT, 2, 3.0, 3.0)
    found = judged(ReturnedPredictions(np.full_like(labels, -1), student, None), reference(), 0.01, 199, 1)
    assert (found.finding, found.teacher, found.disagreement, found.accuracy) == (None, None, None, None)


def test_a_teacher_without_a_reference_gives_a_disagreement_alone() -> None:
    found = judged(ReturnedPredictions(*pair(COUNT, 2, 3.0, 3.0)), reference(teacher=False), 0.01, 199, 1)
    assert found.disagreement and found.disagreement_reference is None and found.finding is None
    assert found.teacher_accuracy and found.teacher is None


def test_a_few_examples_are_refused() -> None:
    with pytest.raises(RequestError, match="holds 19 readable examples; at least 20 are needed"):
        judged(ReturnedPredictions(*pair(19, 2, 3.0, 3.0)), reference(), 0.01, 199, 1)
