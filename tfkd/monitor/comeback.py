"""Examples that came back from phones: did the student drift from its teacher, or did the world change for both?

Student and teacher predict the same examples. A student that has drifted disagrees with its teacher more often than on
the test examples. A world that has changed shows in the teacher's own predictions too, while the two agree as before.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from tfkd.bundle.monitoring import MonitorReference
from tfkd.errors import RequestError
from tfkd.monitor import effects, looks
from tfkd.monitor.records import DriftFinding, NetworkDrift, Range95, ReturnedExamples
from tfkd.verification.counting import features
from tfkd.verification.intervals import proportion

FEWEST = 20  # examples
_TESTS = 3  # student, teacher, and their disagreement: each is judged at a third of the alarm rate


@dataclass(frozen=True, eq=False)
class ReturnedPredictions:
    """What is predicted for n examples that came back.

    Attributes:
        labels: int64 [n], numbers of the true classes; -1 where unknown.
        student: probabilities of the bundle's file, float [n, classes].
        teacher: those of the teacher; None without one.
    """

    labels: np.ndarray
    student: np.ndarray
    teacher: np.ndarray | None


def judged(
    found: ReturnedPredictions, reference: MonitorReference, alarm_rate: float, drawings: int, seed: int
) -> ReturnedExamples:
    """Compares predictions for examples that came back with those for test examples.

    Args:
        found: the predictions.
        reference: of the file.
        alarm_rate: probability of a false alarm of all tests here together.
        drawings: how often reference and examples are drawn again.
        seed: draws them.

    Raises:
        RequestError: there are too few examples.
    """
    if len(found.labels) < FEWEST:
        raise RequestError(f"--samples holds {len(found.labels)} readable examples; at least {FEWEST} are needed.")
    rows, level = reference.decoded(), alarm_rate / _TESTS

    def drift_of(probabilities: np.ndarray, before: np.ndarray, means: list[float | None]) -> NetworkDrift:
        histograms = looks.histograms_of(features(probabilities).binned(), reference.classes)
        tests = looks.tested(before, [histograms], [], drawings, seed)
        p_value = float(tests.corrected.min())
        then = looks.histograms_of(before, reference.classes)
        return NetworkDrift(
            alarm=p_value <= level,
            p_value=p_value,
            mean_confidence=effects.mean_confidence(histograms[1], means),
            mean_confidence_reference=effects.mean_confidence(then[1], means),
        )

    student = drift_of(found.student, rows.student, reference.confidence_means)
    known = found.teacher is not None and rows.teacher is not None
    teacher = drift_of(found.teacher, rows.teacher, [None] * 10) if known else None  # type: ignore[arg-type]
    top1 = found.student.argmax(axis=1)
    taught = None if found.teacher is None else found.teacher.argmax(axis=1)
    apart = None if taught is None else int((top1 != taught).sum())
    before = int((rows.student[:, 0] != rows.teacher[:, 0]).sum()) if rows.teacher is not None else None
    p_value = None
    if apart is not None and before is not None:
        table = [[apart, len(top1) - apart], [before, len(rows.labels) - before]]
        p_value = float(stats.fisher_exact(table, alternative="greater").pvalue)
    return ReturnedExamples(
        examples=len(top1),
        labelled=int((found.labels >= 0).sum()),
        student=student,
        teacher=teacher,
        disagreement=None if apart is None else _fraction(apart, len(top1)),
        disagreement_reference=None if before is None else before / len(rows.labels),
        disagreement_p_value=p_value,
        accuracy=_accuracy(top1, found.labels),
        teacher_accuracy=None if taught is None else _accuracy(taught, found.labels),
        finding=None if p_value is None else _finding(student, teacher, p_value <= level),
    )


def _finding(student: NetworkDrift, teacher: NetworkDrift | None, apart: bool) -> DriftFinding:
    world = teacher is not None and teacher.alarm
    if apart:
        return "both" if world else "the student drifted from the teacher"
    return "the world changed for both" if world or student.alarm else "nothing has changed"


def _accuracy(top1: np.ndarray, labels: np.ndarray) -> Range95 | None:
    known = labels >= 0
    return _fraction(int((top1 == labels)[known].sum()), int(known.sum())) if known.any() else None


def _fraction(count: int, of: int) -> Range95:
    low, high = proportion(count, of)
    return Range95(value=count / of, low=low, high=high)
