"""The tables and the page of `tfkd diff`: what changes from one bundle to the next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from rich.table import Table
from rich.text import Text

from tfkd import files
from tfkd.formats import FORMATS, TIMED
from tfkd.releases.comparing import DiffOutcome
from tfkd.releases.limits import title
from tfkd.releases.records import ContractChange, CostChange, Diff, FileChange, FlippedExample
from tfkd.report import facts, html, plots, units
from tfkd.report.console import VERDICTS, verdicts_table

_OPEN_CLASSES = 24  # more are folded


@dataclass(frozen=True)
class ClassRow:
    """Images of one class that only one of two files predicts rightly, and those that the old one does."""

    label: str
    lost: int
    gained: int
    old_right: int


@dataclass(frozen=True)
class ShownFlip:
    """An example with its image."""

    example: FlippedExample
    image: str


def tables(diff: Diff) -> list[Table]:
    """Returns the files, the changes of the contract where there are any, and the verdicts."""
    found = [files_table(diff)]
    if diff.changes:
        found.append(changes_table(diff.changes))
    return [*found, verdicts_table(facts.gates_verdict(diff), diff.gates)]


def files_table(diff: Diff) -> Table:
    """Returns accuracy, flips, calibration, size and latency of every file that both bundles have."""
    table = Table(title=Text(heading(diff)), caption=Text(caption(diff)))
    table.add_column("file", overflow="fold")
    for name in ("accuracy, %", "flips", "p", "calibration, %", "size", "latency, ms"):
        table.add_column(name, justify="right", no_wrap=True)
    for file in diff.files:
        table.add_row(Text(name_of(file)), *cells(file), latency(file))
    return table


def changes_table(changes: Sequence[ContractChange]) -> Table:
    """Returns the changes of what an app relies on."""
    table = Table(title="Changes for an app")
    table.add_column("part", no_wrap=True)
    table.add_column("change", overflow="fold")
    table.add_column("effect", no_wrap=True)
    for change in changes:
        colour = {"breaks": VERDICTS["failed"], "unclear": VERDICTS["not judged"]}.get(effect(change), "")
        table.add_row(change.part, Text(change.text), Text(effect(change), colour))
    return table


def effect(change: ContractChange) -> str:
    """Returns what a change means for an app that uses the old bundle: breaks, unclear or notice."""
    return "notice" if not change.breaks else "breaks" if change.judged else "unclear"


def heading(diff: Diff) -> str:
    """'old/pets → new/pets: 2 of 6 gates failed: …'."""
    return f"{diff.old.folder} → {diff.new.folder}: {facts.gates_verdict(diff)}"


def caption(diff: Diff) -> str:
    """Returns what the numbers were measured on."""
    images = max((file.images for file in diff.files), default=0)
    if diff.data is not None:
        found = f"predictions for {units.counted(images, 'example')} of {diff.data}"
    else:
        same = "the same test examples" if diff.same_test_images else "each bundle's own test examples"
        found = f"accuracies on {same}; flips on {units.counted(images, 'common golden example')}"
    explained = "flips: only the old file is right / only the new one is; p: exact McNemar test"
    return "; ".join([found, explained, *diff.notes])


def name_of(file: FileChange) -> str:
    """Returns the path of a file, or both where it has a new one."""
    return file.new.path if file.old.path == file.new.path else f"{file.old.path} → {file.new.path}"


def cells(file: FileChange) -> tuple[str, ...]:
    """Returns accuracy, flips, p-value, calibration error and size, as the tables show them."""
    accuracies = file.old.accuracy, file.new.accuracy
    errors = file.old.calibration_error, file.new.calibration_error
    return _both(*accuracies), flips(file), p_value(file), _both(*errors), size(file)


def flips(file: FileChange) -> str:
    """'−3 / +1': images that only the old file predicts rightly, and only the new one."""
    if file.negative_flips is None:
        return "–"
    test = file.negative_flips.test
    return f"−{test.lost} / +{test.gained}" if test.lost or test.gained else "0"


def p_value(file: FileChange) -> str:
    return "–" if file.negative_flips is None else f"{file.negative_flips.test.p_value:.2g}"


def size(file: FileChange) -> str:
    old, new = file.old.bytes, file.new.bytes
    return units.size(new) if old == new else f"{units.size(old)} → {units.size(new)} ({_percent(new / old)})"


def latency(file: FileChange) -> str:
    """Returns the first latency that was measured of both files on one device, of one thread if there is one."""
    timed = [cost for cost in file.costs if cost.quantity == "latency" and not cost.emulated]
    timed.sort(key=lambda cost: cost.threads != 1)
    return _cost(timed[0]) if timed else "–"


def _cost(cost: CostChange) -> str:
    written = units.significant if cost.quantity == "latency" else "{:,.0f}".format
    return f"{written(cost.old)} → {written(cost.new)} ({_percent(cost.ratio)})"


def _percent(ratio: float) -> str:
    return f"{units.signed(100 * (ratio - 1))} %"


def _both(old: float | None, new: float | None) -> str:
    if old is None and new is None:
        return "–"
    before, after = (units.known(each, lambda value: f"{100 * value:.1f}") for each in (old, new))
    return f"{before} → {after}"


def write_page(outcome: DiffOutcome, path: Path) -> None:
    """Writes the page; it loads nothing from anywhere.

    Raises:
        RequestError: the page cannot be written.
    """
    diff = outcome.diff
    shown = sorted(zip(diff.files, outcome.thumbnails, strict=True), key=lambda each: not _ships(each[0]))
    page = html.render(
        "diff.html.j2",
        diff=diff,
        verdict=facts.gates_verdict(diff),
        overall=facts.overall(diff),
        caption=caption(diff),
        changes=[(change, effect(change)) for change in diff.changes],
        rows=[(name_of(file), *cells(file)) for file in diff.files],
        costs=list(_costs(diff)),
        flipped=[
            (file, class_rows(file), _shown(file.examples, found.lost), _shown(file.gained_examples, found.gained))
            for file, found in shown
            if file.examples or file.gained_examples
        ],
        open_classes=_OPEN_CLASSES,
        scatter=_scatter(diff),
        not_drawn=[name_of(file) for file in diff.files if not _is_drawn(file)],
        value=facts.value,
        limit=facts.limit,
    )
    files.write_text(path, page)


def class_rows(file: FileChange) -> list[ClassRow]:
    """Returns the classes with flips, those with the most negative ones first."""
    negative = {each.label: each for each in (file.negative_flips.per_class if file.negative_flips else [])}
    positive = {each.label: each for each in (file.positive_flips.per_class if file.positive_flips else [])}
    lost = [
        ClassRow(name, each.flips, positive[name].flips if name in positive else 0, each.right)
        for name, each in negative.items()
    ]
    gained = [each for name, each in positive.items() if name not in negative]
    return lost + [ClassRow(each.label, 0, each.flips, each.right - each.flips) for each in gained]


def _ships(file: FileChange) -> bool:
    return FORMATS[file.format].precision(file.precision).shipped


def _shown(examples: Sequence[FlippedExample], thumbnails: Sequence[str]) -> list[ShownFlip]:
    return [ShownFlip(example, image) for example, image in zip(examples, thumbnails, strict=True)]


def _costs(diff: Diff) -> Iterator[tuple[str, str, str, str]]:
    for file in diff.files:
        for cost in file.costs:
            yield name_of(file), title(cost), _cost(cost), _interval(cost)


def _interval(cost: CostChange) -> str:
    if cost.interval is None or cost.interval[0] == cost.interval[1]:
        return "–"
    return " to ".join(map(_percent, cost.interval))


def _scatter(diff: Diff) -> Markup | None:
    """Draws accuracy over size: the old files in the control's colour, the new ones in the student's."""
    dots = list(_dots(diff))
    return Markup(plots.scatter(dots, "file size, MB")) if dots else None


def _is_drawn(file: FileChange) -> bool:
    return file.format in TIMED and (file.old.accuracy, file.new.accuracy) != (None, None)


def _dots(diff: Diff) -> Iterator[plots.Dot]:
    for file in diff.files:
        for entry, who, role, tested in (
            (file.old, "old", "control", diff.old.test_images),
            (file.new, "new", "student", diff.new.test_images),
        ):
            if file.format in TIMED and entry.accuracy is not None:
                images = tested if diff.data is None else file.images
                error = facts.standard_error(entry.accuracy, images)
                yield plots.Dot(f"{who} {file.precision}", role, entry.bytes / 1e6, entry.accuracy, error)
