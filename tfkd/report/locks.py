"""The lines, tables and page of a comparison of teachers with the locked ones."""

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table
from rich.text import Text

from tfkd import files
from tfkd.errors import counted, enumerated, some
from tfkd.monitor.lock_records import ClassShift, LockDiff, TeacherAgreement
from tfkd.report import html, units

_SHOWN = 5  # classes and flows in lines; the page has all of them
_SIGNIFICANT = 0.05  # adjusted p-value


def heading(diff: LockDiff) -> str:
    """'old.lock → new.lock: other teachers'."""
    return f"{diff.old.file} → {diff.new.file}: {verdict(diff)}"


def verdict(diff: LockDiff) -> str:
    """'the same teachers', 'other teachers', 'other data' or 'other classes and data'."""
    return f"other {enumerated(diff.differs)}" if diff.differs else "the same teachers"


def lines(diff: LockDiff) -> Iterator[str]:
    """Yields what differs, and how far the teachers agree, for the progress of a run."""
    yield heading(diff)
    yield from (f"  differs: {change}" for change in diff.changes)
    if diff.settings:
        yield f"  of the recipe: {some(diff.settings)}"
    if diff.not_compared:
        yield f"  agreement not computed: {diff.not_compared}"
    for each in diff.agreements:
        yield f"  {each.teacher}: {agreement(each)}; {accuracies(each)}"
        yield from (f"    {row}" for row in _classes(each))
        moved = [f"{flow.examples:,} from {flow.old!r} to {flow.new!r}" for flow in each.flows]
        if moved:
            yield f"    predictions that moved: {some(moved[:_SHOWN])}"


def agreement(each: TeacherAgreement) -> str:
    """'agrees with the locked one for 431 of 500 validation examples (86.2 %, 95 % interval 82.9 to 89.0 %)'."""
    low, high = (f"{100 * end:.1f}" for end in each.interval)
    fraction = units.percent(each.equal / each.examples)
    examples = counted(each.examples, "validation example")
    return f"agrees with the locked one for {each.equal:,} of {examples} ({fraction}, 95 % interval {low} to {high} %)"


def accuracies(each: TeacherAgreement) -> str:
    """'accuracy 91.0 % → 88.4 % (p = 0.03), mean confidence 0.93 → 0.95, probabilities 0.08 apart'."""
    accuracy = f"{units.percent(each.old_accuracy)} → {units.percent(each.new_accuracy)} (p = {each.p_value:.2g})"
    confidence = f"{each.old_confidence:.2f} → {each.new_confidence:.2f}"
    return f"accuracy {accuracy}, mean confidence {confidence}, probabilities {each.distance:.2g} apart"


def _classes(each: TeacherAgreement) -> Iterator[str]:
    changed = [shift for shift in each.classes if shift.changed]
    for shift in changed[:_SHOWN]:
        recall = f"recall {_recall(shift, shift.old_right)} → {_recall(shift, shift.new_right)}, {effect(shift)}"
        yield f"class {shift.label!r}: {recall}; {shift.changed:,} of {shift.examples:,} predicted otherwise"
    if len(changed) > _SHOWN:
        yield f"the predictions of {counted(len(changed) - _SHOWN, 'more class', 'es')} changed"


def effect(shift: ClassShift) -> str:
    """Returns whether the recall of a class changed by more than chance: 'better', 'worse' or 'no sure change'."""
    if shift.p_value > _SIGNIFICANT:
        return "no sure change"
    return "better" if shift.new_right > shift.old_right else "worse"


def _recall(shift: ClassShift, right: int) -> str:
    return units.percent(right / shift.examples)


def tables(diff: LockDiff) -> list[Table]:
    """Returns what differs, and for each teacher the classes whose predictions changed."""
    found = [_changes_table(diff)]
    return [*found, *(_classes_table(each) for each in diff.agreements)]


def _changes_table(diff: LockDiff) -> Table:
    table = Table(title=Text(heading(diff)), caption=Text(diff.not_compared and f"Not compared: {diff.not_compared}."))
    table.add_column("part", no_wrap=True)
    table.add_column("difference", overflow="fold")
    for change in diff.changes:
        table.add_row("lock", Text(change))
    for setting in diff.settings:
        table.add_row("recipe", Text(setting))
    if not diff.changes and not diff.settings:
        table.add_row("", "none")
    return table


def _classes_table(each: TeacherAgreement) -> Table:
    changed = [shift for shift in each.classes if shift.changed]
    table = Table(title=Text(f"{each.teacher}: {agreement(each)}"), caption=Text(f"{accuracies(each)}; {explained()}"))
    table.add_column("class", overflow="fold")
    for name in ("examples", "predicted otherwise", "old recall", "new recall", "p", "change"):
        table.add_column(name, justify="right", no_wrap=True)
    for shift in changed:
        table.add_row(Text(shift.label), *cells(shift))
    return table


def explained() -> str:
    """Returns what the p-values of classes are."""
    return "p: exact McNemar test of the recalls, adjusted for all classes (Benjamini, Hochberg)"


def cells(shift: ClassShift) -> tuple[str, ...]:
    """Returns the numbers of a class, as tables show them."""
    recalls = _recall(shift, shift.old_right), _recall(shift, shift.new_right)
    return f"{shift.examples:,}", f"{shift.changed:,}", *recalls, f"{shift.p_value:.2g}", effect(shift)


def write_page(diff: LockDiff, path: Path) -> None:
    """Writes the page; it loads nothing from anywhere.

    Raises:
        RequestError: the page cannot be written.
    """
    shown = [
        (each, agreement(each), accuracies(each), [(shift.label, *cells(shift)) for shift in each.classes])
        for each in diff.agreements
    ]
    titles = {"verdict": verdict(diff), "heading": heading(diff)}
    page = html.render("lock_diff.html.j2", diff=diff, **titles, agreements=shown, explained=explained())
    files.write_text(path, page)
