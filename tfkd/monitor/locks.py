"""Compares two locks: how far another teacher agrees with the locked one, by their stored predictions."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfkd.bundle.lock_changes import changed_parts, lock_changes, of_same_examples, setting_changes
from tfkd.bundle.teacher_lock import LockedPredictions, TeacherLock, TopClasses, read_lock
from tfkd.monitor.lock_records import ClassFlow, ClassShift, LockDiff, LockEntry, TeacherAgreement
from tfkd.releases.classes import SharedClasses, shared_classes
from tfkd.verification import intervals
from tfkd.version import __version__

TOGETHER = "all teachers together"


def compare_files(old: Path, new: Path) -> LockDiff:
    """Compares the teachers of two lock files.

    Args:
        old: of the locked teachers.
        new: of those that would take their place.

    Raises:
        RequestError: a file is no lock of teachers.
    """
    return compare_locks(read_lock(old), read_lock(new), (str(old), str(new)))


def compare_locks(old: TeacherLock, new: TeacherLock, files: tuple[str, str]) -> LockDiff:
    """Compares the teachers of two locks.

    Args:
        old: the locked teachers.
        new: those that would take their place.
        files: name of the file of each, for messages.
    """
    reason = _why_not(old, new)
    return LockDiff(
        tfkd_version=__version__,
        old=_entry(old, files[0]),
        new=_entry(new, files[1]),
        changes=lock_changes(old, new),
        differs=changed_parts(old, new),
        settings=setting_changes(old, new),
        agreements=[] if reason else list(_agreements(old, new)),
        not_compared=reason,
    )


def _entry(lock: TeacherLock, file: str) -> LockEntry:
    return LockEntry(
        file=file,
        name=lock.name,
        tfkd_version=lock.tfkd_version,
        teachers=[teacher.model for teacher in lock.teachers],
        data=lock.data.source,
    )


def _why_not(old: TeacherLock, new: TeacherLock) -> str:
    """Returns why the predictions cannot be compared; "" where they can."""
    if not of_same_examples(old, new):
        return "the validation examples are others, so that the stored predictions are not of the same examples"
    if len(old.teachers) != len(new.teachers) and not (old.ensemble and new.ensemble):
        return "the numbers of teachers differ, and one of the locks has no predictions of all teachers together"
    if not any(before and now for _, before, now in _pairs(old, new)):
        return "a lock has no predictions for the validation examples"
    return ""


def _pairs(
    old: TeacherLock, new: TeacherLock
) -> Iterator[tuple[str, LockedPredictions | None, LockedPredictions | None]]:
    """Yields the name and the predictions of each teacher in both locks; of several all together come first."""
    yield TOGETHER, old.ensemble, new.ensemble
    if len(old.teachers) == len(new.teachers):
        for before, now in zip(old.teachers, new.teachers, strict=True):
            yield now.model, before.predictions, now.predictions


def _agreements(old: TeacherLock, new: TeacherLock) -> Iterator[TeacherAgreement]:
    classes = shared_classes(old.classes, new.classes)  # equal examples have common classes
    labels, rows = new.data.truth(), new.data.sampled
    for name, before, now in _pairs(old, new):
        if before and now:
            tops = before.top(rows), _renumbered(now.top(rows), classes)
            known = tops[0].known & tops[1].known
            if known.any():
                truth = np.array(classes.of_new)[labels[known]]
                taken = [TopClasses(top.classes[known], top.steps[known]) for top in tops]
                yield _agreement(name, classes.names, truth, *taken)


def _renumbered(top: TopClasses, classes: SharedClasses) -> TopClasses:
    """Returns predictions by the numbers of the common classes."""
    numbers = np.array(classes.of_new)
    found = top.classes.copy()
    found[top.known] = numbers[top.classes[top.known]]
    return TopClasses(found, top.steps)


def _agreement(
    name: str, classes: tuple[str, ...], labels: np.ndarray, old: TopClasses, new: TopClasses
) -> TeacherAgreement:
    before, now = old.classes[:, 0], new.classes[:, 0]
    equal = int((before == now).sum())
    flows = Counter(zip(before[before != now].tolist(), now[before != now].tolist(), strict=True))
    return TeacherAgreement(
        teacher=name,
        examples=len(labels),
        equal=equal,
        interval=intervals.proportion(equal, len(labels)),
        old_accuracy=float((before == labels).mean()),
        new_accuracy=float((now == labels).mean()),
        p_value=_two_sided(before == labels, now == labels),
        old_confidence=old.confidence,
        new_confidence=new.confidence,
        distance=float(old.distances(new).mean()),
        classes=_shifts(classes, labels, before, now),
        flows=[
            ClassFlow(old=classes[one], new=classes[other], examples=count)
            for (one, other), count in sorted(flows.items(), key=lambda each: (-each[1], each[0]))
        ],
    )


def _shifts(classes: tuple[str, ...], labels: np.ndarray, before: np.ndarray, now: np.ndarray) -> list[ClassShift]:
    from scipy.stats import false_discovery_control

    members = [(number, labels == number) for number in np.unique(labels).tolist()]
    right = [(before[member] == number, now[member] == number) for number, member in members]
    adjusted = false_discovery_control([_two_sided(*each) for each in right])
    found = [
        ClassShift(
            label=classes[number],
            examples=int(member.sum()),
            old_right=int(was.sum()),
            new_right=int(is_now.sum()),
            changed=int((before[member] != now[member]).sum()),
            p_value=min(1.0, float(p_value)),
        )
        for (number, member), (was, is_now), p_value in zip(members, right, adjusted, strict=True)
    ]
    return sorted(found, key=lambda shift: -shift.changed)


def _two_sided(before: np.ndarray, now: np.ndarray) -> float:
    """Returns the p-value of the exact McNemar test that two classifiers are right equally often.

    Args:
        before: whether the one is right, bool [n].
        now: whether the other one is, bool [n].
    """
    from scipy.stats import binomtest

    lost, gained = int((before & ~now).sum()), int((~before & now).sum())
    return float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0
