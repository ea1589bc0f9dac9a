"""Lists of labelled examples: one per row, with its content, label, and optionally split and group."""

import csv
import difflib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfkd.data.dataset import Examples, Split
from tfkd.data.layout import split_of
from tfkd.errors import RequestError
from tfkd.inputs.kind import Reading
from tfkd.labels import composed, meant, require_usable

_OTHERS = ("label", "split", "group")
_DELIMITERS = ",;\t"
_LIKE = 0.75  # similarity above which an unknown column is a misspelt one


@dataclass(frozen=True)
class ListedRow:
    """One example of a list.

    Attributes:
        table: name of the list.
        line: where it begins in the list, from 1.
        content: its path or its text.
        label: name of its class.
        split: "train", "validation" or "test".
        group: examples of one group stay in one split; empty for none.
    """

    table: str
    line: int
    content: str
    label: str
    split: str
    group: str

    @property
    def place(self) -> str:
        """The list and the line, for messages."""
        return f"{self.table}, line {self.line}"


@dataclass(frozen=True)
class ListForm:
    """The form of a list.

    Attributes:
        content: name of the column of the examples.
        read: maps the place of a cell in messages, and the cell, to the content; raises a RequestError.
        split: of all examples, where the list has no column for it.
        is_labelled: every example has a label.
        other_names: further names of columns.
        advice: what to do where a column is missing; "" for that of a list with separators.
    """

    content: str
    read: Callable[[str, str], str]
    split: str = "train"
    is_labelled: bool = True
    other_names: Mapping[str, str] = field(default_factory=dict)
    advice: str = ""

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that a list must have."""
        return (self.content, "label") if self.is_labelled else (self.content,)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (self.content, *_OTHERS) if self.is_labelled else (self.content,)


def of_csv(name: str, text: str, form: ListForm, notes: list[str]) -> Iterator[ListedRow]:
    """Yields the rows of a list with commas, semicolons or tabs between its cells; the first line names the columns.

    Raises:
        RequestError: a line cannot be read, or a column is missing.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text), strict=True, skipinitialspace=True)
    columns: dict[str, int] = {}
    width, start = 0, 1
    try:
        for cells in reader:
            line, start = start, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns, width = header(f"{name}, line {line}", cells, form, notes), len(cells)
                continue
            if any(cell.strip() for cell in cells[width:]):
                raise RequestError(
                    f"{name}, line {line}: has {len(cells)} cells, the header has {width}. Put cells that hold the "
                    "separator into double quotes."
                )
            yield row(name, line, {key: cells[at] if at < len(cells) else "" for key, at in columns.items()}, form)
    except csv.Error as error:
        raise RequestError(f"{name}, line {start}: {csv_fault(error)}") from None


def csv_fault(error: csv.Error) -> str:
    """Returns what is wrong with a line of a list with separators, and what to do."""
    if "field limit" in str(error):
        return f"a cell has more than {csv.field_size_limit():,} characters. Close its quotes, or shorten it."
    return f"is not CSV ({error}). Repair the line."


def row(table: str, line: int, cells: Mapping[str, str], form: ListForm) -> ListedRow:
    """Returns the row of the cells of its columns.

    Args:
        table: name of the list.
        line: where the row begins.
        cells: by column.
        form: of the list.

    Raises:
        RequestError: a label or a split is missing or unknown, or the content cannot be read.
    """
    where = f"{table}, line {line}"
    values = {key: composed(cells[key].strip()) for key in form.columns if key in cells and key != form.content}
    for key in ("label", "split"):
        if (key in values or key in form.required) and not values.get(key):
            raise RequestError(f"{where}: has no {key}. Fill it in, or remove the line.")
    content = form.read(where, cells.get(form.content, ""))
    split = split_of(values["split"]) if "split" in values else form.split
    if split is None:
        raise RequestError(
            f"{where}: the split {values['split']!r} is none of train, validation and test. Write one of these words."
        )
    return ListedRow(table, line, content, values.get("label", ""), split, values.get("group", ""))


def header(where: str, cells: Sequence[str], form: ListForm, notes: list[str]) -> dict[str, int]:
    """Returns the positions of the columns; notes other columns, and columns that are read under another name.

    Raises:
        RequestError: a column is missing, misspelt or there twice.
    """
    names = [cell.strip().casefold() for cell in cells]
    for position, name in enumerate(names):
        column = form.other_names.get(name)
        if column in form.columns and column not in names:
            names[position] = column
            notes.append(f"the column {name} holds the {column} of each example")
    for name in names:
        if name in form.columns and names.count(name) > 1:
            raise RequestError(f"{where}: there are two columns {name}. Remove one of them.")
        near = difflib.get_close_matches(name, form.columns, n=1, cutoff=_LIKE)
        if name not in form.columns and near and near[0] not in names:
            raise RequestError(f"{where}: there is no column {name!r}. Did you mean {near[0]!r}?")
    missing = [name for name in form.required if name not in names]
    if missing:
        optional = " (and split or group where you have them)" if form.is_labelled else ""
        advice = form.advice or (
            f"begin the list with the line {','.join(form.required)}{optional}, separated by commas, semicolons or tabs"
        )
        raise RequestError(f"{where}: there is no column {' and no column '.join(missing)}; {advice}.")
    notes.extend(_ignored(names, form))
    return {name: names.index(name) for name in form.columns if name in names}


def classes_of(name: str, rows: Sequence[ListedRow]) -> list[str]:
    """Returns the classes of labelled rows, sorted: those of the training split, where there is one.

    Raises:
        RequestError: another split has further classes, a class cannot be a label, or a group is in two splits.
    """
    _require_one_split_per_group(rows)
    classes = sorted({row.label for row in rows if row.split == "train"} or {row.label for row in rows})
    require_usable(name, classes)
    for row in rows:
        if row.label not in classes:
            raise RequestError(
                f"{row.place}: {row.split} has class {row.label!r}, which train has not."
                f"{meant(row.label, classes)} Add it there, rename it, or remove the line."
            )
    return classes


def splits(examples: Examples, rows: Sequence[ListedRow], classes: Sequence[str], reading: Reading) -> dict[str, Split]:
    """Returns the splits of labelled rows, whose numbers are those of the examples."""
    return {name: _split(examples, rows, name, classes, reading) for name in dict.fromkeys(row.split for row in rows)}


def _split(examples: Examples, rows: Sequence[ListedRow], name: str, classes: Sequence[str], reading: Reading) -> Split:
    numbers = [number for number, row in enumerate(rows) if row.split == name]
    number_of = {label: k for k, label in enumerate(classes)}
    labels = np.array([number_of[rows[number].label] for number in numbers], np.int64)
    groups = None
    if any(row.group for row in rows):
        first: dict[str, int] = {}
        keys = [
            rows[number].group or f"\0{number}" for number in numbers
        ]  # an example without a group is a group of its own
        groups = np.array([first.setdefault(key, len(first)) for key in keys], np.int64)
    return Split(examples, np.array(numbers, np.int64), labels, reading, groups=groups)


def _ignored(names: Sequence[str], form: ListForm) -> Iterator[str]:
    others = [name for name in names if name and name not in form.columns]
    if others and form.is_labelled:
        yield (
            f"columns that are not used: {', '.join(others)} (used are {', '.join(form.columns)}; group keeps the "
            "examples of one patient, camera or burst in one split)"
        )


def _require_one_split_per_group(rows: Sequence[ListedRow]) -> None:
    first: dict[str, ListedRow] = {}
    for row in rows:
        other = first.setdefault(row.group, row)
        if row.group and row.split != other.split:
            table = "" if other.table == row.table else f" of {other.table}"
            raise RequestError(
                f"{row.place}: group {row.group!r} is in {row.split}, and on line {other.line}{table} in "
                f"{other.split}. Put all examples of a group into one split."
            )


def delimiter_of(text: str) -> str:
    """Returns the separator of the cells: that which the header has most often."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(_DELIMITERS, key=header.count)
