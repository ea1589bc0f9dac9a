"""Keeps a run to the lock of its teachers: compares them when they are finished, before their soft labels cost time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tfkd.bundle.costs import price_of
from tfkd.bundle.lock_changes import class_changes, data_changes
from tfkd.bundle.teacher_lock import LockError, TeacherLock, read_lock, write_lock
from tfkd.errors import RequestError, some
from tfkd.models.weights_digest import weights_digest
from tfkd.monitor.locks import compare_locks
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.costs import earlier_cost
from tfkd.pipeline.stages.teacher import TEACHER
from tfkd.pipeline.steps import step_of
from tfkd.pipeline.teacher_locks import lock_of, locked_data
from tfkd.recipe.names import kind_of
from tfkd.report import locks, units
from tfkd.report.costs import described, money
from tfkd.teachers import KINDS


def in_order(context: RunContext, groups: list[list[str]]) -> list[list[str]]:
    """Returns groups of stages; where the teachers are compared with a lock, all of them come first."""
    return sorted(groups, key=lambda group: kind_of(group[0]) != TEACHER.name) if context.lock else groups


def require_comparable(context: RunContext) -> None:
    """Refuses other classes or examples than the locked ones before a teacher is trained.

    Raises:
        RequestError: they are others, and the teachers are not finished, so that there is nothing more to compare.
    """
    if context.lock is None or not context.lock.is_kept or _finished(context):
        return
    old = _read(context)
    now = old.model_copy(update={"classes": list(context.data.classes), "data": locked_data(context.data)})
    if changes := [*class_changes(old, now), *data_changes(old, now)]:
        raise RequestError(
            f"{context.lock.file} is the lock of another data set: {some(changes)}. No teacher was trained. Restore "
            "the data, or accept it with --relock; after a run without --locked until the stage teacher, tfkd diff "
            f"compares its {context.folder.teacher_lock} with the locked teachers."
        )


def after(context: RunContext, group: Sequence[str]) -> None:
    """Writes the lock of the teachers after the last of them, and compares it with that of the user.

    Raises:
        RequestError: the user's lock must be kept, and these are other teachers; the difference is shown before.
    """
    if kind_of(group[-1]) != TEACHER.name or not _finished(context):
        return
    lock = lock_of(context)
    write_lock(lock, context.folder.teacher_lock)
    context.folder.lock_page.unlink(missing_ok=True)  # of earlier teachers
    if context.lock is None:
        return
    if context.lock.is_kept:
        _require_same(context, lock)
        return
    if context.lock.file.exists():
        _say_replaced(context, lock)
    write_lock(lock, context.lock.file)
    context.progress.say(f"the teachers are locked in {context.lock.file}")


def _finished(context: RunContext) -> bool:
    names = [TEACHER.numbered(number) for number in range(len(context.recipe.teachers))]
    return all(context.stages[name].result() is not None for name in names)


def _read(context: RunContext) -> TeacherLock:
    """Returns the user's lock.

    Raises:
        RequestError: it cannot be read, or is that of another run.
    """
    assert context.lock is not None
    lock = read_lock(context.lock.file)
    if lock.name != context.recipe.name:
        raise RequestError(
            f"{context.lock.file} is the lock of the run {lock.name!r}, this is {context.recipe.name!r}; name its own "
            "with --lock-file."
        )
    return lock


def _require_same(context: RunContext, lock: TeacherLock) -> None:
    assert context.lock is not None
    old = _read(context)
    diff = compare_locks(old, lock, (str(context.lock.file), str(context.folder.teacher_lock)))
    if diff.passed:
        context.progress.say(f"the teachers are those of {context.lock.file}")
        return
    for line in (*locks.lines(diff), *_rebuild(context), *_choice(context, old)):
        context.progress.say(line)
    locks.write_page(diff, context.folder.lock_page)
    raise RequestError(
        f"This run has {locks.verdict(diff)} than {context.lock.file}: {some(diff.changes)}. Restore what is locked, "
        f"or accept these with --relock; {context.folder.lock_page} shows the difference. No soft labels were computed."
    )


def _say_replaced(context: RunContext, lock: TeacherLock) -> None:
    """Shows how the teachers differ from those of the lock file that is replaced, if it can be read."""
    assert context.lock is not None
    try:
        old = read_lock(context.lock.file)
    except LockError as error:
        context.progress.say(f"replaced a lock that could not be compared: {error.found}")
        return
    diff = compare_locks(old, lock, (str(context.lock.file), str(context.folder.teacher_lock)))
    for line in locks.lines(diff):
        context.progress.say(line)


def _rebuild(context: RunContext) -> Iterator[str]:
    """Yields what another student costs: the unfinished stages after the teachers, each as it was earlier."""
    todo = [name for name, stage in context.stages.items() if stage.result() is None]
    earlier = {name: found for name in todo if (found := earlier_cost(context, name))}
    for name in todo:
        parts = [cost] if (cost := step_of(context, name).cost) else []
        if found := earlier.get(name):
            parts.append(f"took {described(found, context.recipe.cost.currency)} the last time")
        if parts:
            yield f"  to build again: {name}, {'; '.join(parts)}"
    if earlier:
        seconds = sum(found.seconds for found in earlier.values())
        price = price_of(seconds, context.recipe.cost)
        of_price = f", {money(price, context.recipe.cost.currency)}" if price is not None else ""
        yield f"  to build again in all, as the last time: {units.seconds(seconds)}{of_price}"
    if not todo:
        yield "  nothing is to build again: every stage is finished for these teachers"


def _choice(context: RunContext, old: TeacherLock) -> Iterator[str]:
    """Yields the two ways to go on."""
    yield "  keep the locked teachers: restore their weights, their settings or their examples, and run again"
    for number, file in _kept_teachers(context, old):
        field = f"teachers.{number}"
        yield f"    {file} is the locked one: {field}.model={file} {field}.fine_tune=null"
    start = ""
    is_same = old.classes == list(context.data.classes) and not context.recipe.student.is_tree
    if context.folder.report_record.is_file() and is_same:
        start = f" student.weights={context.folder.path}"
    yield f"  accept these: tfkd run RECIPE --relock{start}" + (
        ", which distils again from the weights of the present student" if start else ""
    )


def _kept_teachers(context: RunContext, old: TeacherLock) -> Iterator[tuple[int, Path]]:
    """Yields the number and the file of each locked network that the folder of the run still holds."""
    for number, teacher in enumerate(old.teachers[: len(context.recipe.teachers)]):
        stage = context.stages[TEACHER.numbered(number)]
        for file in sorted(stage.folder.parent.glob(f"*/{KINDS['network'].file}")):
            if file.parent != stage.folder and weights_digest(file) == teacher.weights:
                yield number, file
                break
