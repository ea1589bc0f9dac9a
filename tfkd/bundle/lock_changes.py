"""What differs between two locks of teachers, by name; of classes, data and teachers."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

from tfkd.bundle.teacher_lock import LockedTeacher, TeacherLock
from tfkd.errors import counted, some

LockPart = Literal["classes", "data", "teachers"]
_SHOWN = 12  # digits of a digest


def lock_changes(old: TeacherLock, new: TeacherLock) -> list[str]:
    """Returns what another teacher, other classes and other examples have in place of the locked ones.

    Args:
        old: the lock.
        new: that of the present run, or of a bundle.

    Returns:
        A clause each, such as "the teacher 'resnet50' has other weights"; none for the same teachers.
    """
    return [*class_changes(old, new), *data_changes(old, new), *_teacher_changes(old, new)]


def changed_parts(old: TeacherLock, new: TeacherLock) -> list[LockPart]:
    """Returns which of classes, data and teachers differ."""
    parts: dict[LockPart, Callable[[TeacherLock, TeacherLock], Iterator[str]]] = {
        "classes": class_changes,
        "data": data_changes,
        "teachers": _teacher_changes,
    }
    return [name for name, changes in parts.items() if any(changes(old, new))]


def class_changes(old: TeacherLock, new: TeacherLock) -> Iterator[str]:
    """Yields a clause where the classes are others, or in another order."""
    lost, added = (
        [repr(name) for name in one.classes if name not in other.classes] for one, other in ((old, new), (new, old))
    )
    if lost:
        yield f"{counted(len(lost), 'class', 'es')} missing ({some(lost, ', ')})"
    if added:
        yield f"{counted(len(added), 'class', 'es')} added ({some(added, ', ')})"
    if not lost and not added and old.classes != new.classes:
        moved = [repr(name) for name, other in zip(old.classes, new.classes, strict=True) if name != other]
        yield f"the classes are in another order ({some(moved, ', ')})"


def data_changes(old: TeacherLock, new: TeacherLock) -> Iterator[str]:
    """Yields a clause where the labelled examples are others."""
    if old.data.fingerprint == new.data.fingerprint:
        return
    counts = [
        f"{name} {old.data.splits.get(name, 0):,} to {new.data.splits.get(name, 0):,}"
        for name in {**old.data.splits, **new.data.splits}
        if old.data.splits.get(name, 0) != new.data.splits.get(name, 0)
    ]
    found = ", ".join(counts) or "the numbers are equal, contents, labels or splits are not"
    yield f"the labelled examples of {new.data.source} are others ({found})"


def of_same_examples(old: TeacherLock, new: TeacherLock) -> bool:
    """Returns whether the predictions of two locks are for the same examples."""
    return (old.data.validation, old.data.sampled) == (new.data.validation, new.data.sampled)


def _teacher_changes(old: TeacherLock, new: TeacherLock) -> Iterator[str]:
    if len(old.teachers) != len(new.teachers):
        yield f"{counted(len(new.teachers), 'teacher')} in place of {len(old.teachers)}"
        return
    comparable = of_same_examples(old, new) and old.classes == new.classes
    for before, now in zip(old.teachers, new.teachers, strict=True):
        yield from teacher_changes(before, now, new.data.sampled if comparable else None)


def teacher_changes(old: LockedTeacher, new: LockedTeacher, rows: int | None) -> Iterator[str]:
    """Yields a clause for each change of one teacher.

    Args:
        old: as it is locked.
        new: as it is now.
        rows: number of examples with stored predictions; None where they are not of the same examples.
    """
    name = f"the teacher {new.model!r}"
    if old.weights != new.weights:
        yield f"{name} has other weights ({new.weights[:_SHOWN]}…, locked are {old.weights[:_SHOWN]}… of {old.model!r})"
    if rows is not None and not _predict_alike(old, new, rows):
        yield f"{name} has other predictions"
    if old.share != new.share:
        yield f"{name} has the weight {new.share:g} in place of {old.share:g}"
    if old.domain != new.domain:
        yield f"{name} has the domain {_domain(new)} in place of {_domain(old)}"


def _domain(teacher: LockedTeacher) -> str:
    return "all examples" if teacher.domain is None else repr(teacher.domain)


def _predict_alike(old: LockedTeacher, new: LockedTeacher, rows: int) -> bool:
    before, now = old.predictions, new.predictions
    if before is None or now is None:
        return before is now
    return before.sha256 == now.sha256 or before.top(rows).is_like(now.top(rows))


def setting_changes(old: TeacherLock, new: TeacherLock) -> list[str]:
    """Returns the settings behind teachers and examples that differ, by their dotted paths: why others came out."""
    before, now = ({**_settings("", each.recipe), **_of_teachers(each)} for each in (old, new))
    return [
        f"{path} was {_value(before.get(path))}, it is {_value(now.get(path))}"
        for path in {**before, **now}
        if before.get(path) != now.get(path)
    ]


def _value(value: Any) -> str:
    return "not set" if value is None else repr(value)


def _of_teachers(lock: TeacherLock) -> dict[str, Any]:
    return _settings("teachers", {str(number): each.settings for number, each in enumerate(lock.teachers)})


def _settings(path: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {
        name: each for key, part in value.items() for name, each in _settings(f"{path}.{key}".lstrip("."), part).items()
    }
