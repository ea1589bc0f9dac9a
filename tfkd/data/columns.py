"""table:FILE.csv, rows of numbers and categories: a label, optionally split and group, and a column per feature."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkd.data import rows
from tfkd.data.dataset import MAX_BYTES, UNLABELLED, Listing, Split
from tfkd.data.rows import ListedRow
from tfkd.errors import RequestError, nearest
from tfkd.inputs.kind import ExampleError, Reading
from tfkd.inputs.table.reading import LARGEST_NUMBER, TableReading
from tfkd.inputs.table.tensors import MOST_COLUMNS
from tfkd.inputs.text import encodings
from tfkd.labels import composed

_SPLIT, _GROUP = "split", "group"
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})  # in a column of numbers
_MOSTLY = 0.5  # fraction of the values above which a column is one of numbers


@dataclass(frozen=True, eq=False)
class TableRows:
    """The rows of a table, in memory, as JSON objects of their values by column.

    Attributes:
        encoded: in UTF-8.
        names: of the table and the line of each.
        stamp: hash of the rows.
    """

    encoded: Sequence[bytes]
    names: Sequence[str]
    stamp: str

    def __len__(self) -> int:
        return len(self.encoded)

    def touched(self) -> bool:
        return False  # they are in memory

    def name(self, number: int) -> str:
        return self.names[number]

    def read(self, number: int) -> bytes:
        return self.encoded[number]


@dataclass(frozen=True)
class Cells:
    """The cells of a table.

    Attributes:
        names: of the columns.
        lines: where each row begins in the file, from 1.
        rows: the cells of each row, without spaces around them.
    """

    names: list[str]
    lines: list[int]
    rows: list[list[str]]


def listing(path: str, reading: Reading) -> Listing:
    """Lists the rows of a table: a CSV whose first line names its columns.

    Beside the features there are the column of the classes (`data.label_column`), and optionally `split` (train,
    validation or test; without it tfkd splits the rows) and `group` (all rows of a group go to one split). A feature
    is a column of numbers, or else of categories.

    Raises:
        RequestError: the file, or a line of it, cannot be read, or a value is missing or of another kind than its
            column.
    """
    return listing_of(path, cells_of(path, _content(path)), _require_tables(path, reading))


def listing_of(path: str, table: Cells, reading: TableReading) -> Listing:
    """Returns the listing of the cells of a table; arguments and errors as of `listing`."""
    if reading.label not in table.names:
        raise RequestError(
            f"{path}: there is no column {reading.label!r} with the classes.{nearest(reading.label, table.names)} "
            "Name it in data.label_column."
        )
    examples = _examples(path, table, reading)
    listed = list(_listed(path, table, reading.label))
    classes = rows.classes_of(path, listed)
    return Listing(path, tuple(classes), rows.splits(examples, listed, classes, reading))


def unlabelled(path: str, reading: Reading) -> Split:
    """Lists the rows of a table without labels; it may have the column of the classes.

    Raises:
        RequestError: as `listing`.
    """
    examples = _examples(path, cells_of(path, _content(path)), _require_tables(path, reading))
    count = len(examples)
    return Split(examples, np.arange(count), np.full(count, UNLABELLED, np.int64), reading)


def cells_of(name: str, content: bytes) -> Cells:
    """Reads a CSV with commas, semicolons or tabs between its cells.

    Raises:
        RequestError: it is no such text, a row has more or fewer cells than the header, or there are no rows.
    """
    try:
        text = encodings.decode(content).text
    except ExampleError as error:
        raise RequestError(f"{name}: {error}.") from None
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=rows.delimiter_of(text), strict=True, skipinitialspace=True
    )
    names, lines, found, start = list[str](), list[int](), list[list[str]](), 1
    try:
        for cells in reader:
            line, start = start, reader.line_num + 1
            stripped = [composed(cell.strip()) for cell in cells]
            if not any(stripped):
                continue
            if not names:
                names = _header(f"{name}, line {line}", stripped)
            elif len(stripped) != len(names):
                raise RequestError(
                    f"{name}, line {line}: has {len(stripped)} cells, the header has {len(names)}. Give each row a "
                    "cell per column, and put cells that hold the separator into double quotes."
                )
            else:
                lines.append(line)
                found.append(stripped)
    except csv.Error as error:
        raise RequestError(f"{name}, line {start}: {rows.csv_fault(error)}") from None
    if not found:
        raise RequestError(f"{name} holds no rows. Begin it with a line of column names, and add a line per row.")
    return Cells(names, lines, found)


def _header(where: str, names: list[str]) -> list[str]:
    for name in names:
        if not name:
            raise RequestError(f"{where}: a column has no name. Name it, or remove it.")
        if names.count(name) > 1:
            raise RequestError(f"{where}: there are two columns {name!r}. Rename one of them.")
    if len(names) > MOST_COLUMNS:
        raise RequestError(f"{where}: has {len(names):,} columns, more than {MOST_COLUMNS:,}. Leave some out.")
    return names


def _content(path: str) -> bytes:
    place = Path(path).expanduser()
    try:
        if place.stat().st_size > MAX_BYTES:
            raise RequestError(f"{path} is larger than {MAX_BYTES >> 20} MiB. Take a part of its rows.")
        return place.read_bytes()
    except OSError as error:
        raise RequestError(f"The table {path} cannot be read: {error.strerror}. Give the path of a CSV file.") from None


def _require_tables(path: str, reading: Reading) -> TableReading:
    if not isinstance(reading, TableReading):
        raise RequestError(f"{path} is a table, and data.kind is {reading.kind_name!r}. Set it to table.")
    return reading


def _listed(path: str, table: Cells, label: str) -> Iterator[ListedRow]:
    """Yields label, split and group of each row."""
    form = rows.ListForm("", lambda where, cell: cell)
    places = {"label": table.names.index(label)}
    places |= {name: table.names.index(name) for name in (_SPLIT, _GROUP) if name in table.names}
    for line, cells in zip(table.lines, table.rows, strict=True):
        yield rows.row(path, line, {name: cells[at] for name, at in places.items()}, form)


def _examples(path: str, table: Cells, reading: TableReading) -> TableRows:
    """Returns the rows with the features as numbers and texts."""
    used = _features(path, table.names, reading)
    columns = {}
    for name in used:
        at = table.names.index(name)
        columns[name] = _values(path, name, table.lines, [row[at] for row in table.rows], name in reading.categorical)
    encoded = [
        json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False).encode()
        for values in zip(*columns.values(), strict=True)
    ]
    names = [f"{path}, line {line}" for line in table.lines]
    return TableRows(encoded, names, hashlib.sha256(b"\n".join(encoded)).hexdigest())


def _features(path: str, names: Sequence[str], reading: TableReading) -> list[str]:
    for field, wanted in (("columns", reading.used or ()), ("categorical", reading.categorical)):
        for name in wanted:
            if name not in names:
                raise RequestError(f"{path} has no column {name!r} of data.{field}.{nearest(name, list(names))}")
    others = (reading.label, _SPLIT, _GROUP)
    if taken := [name for name in reading.used or () if name in others]:
        raise RequestError(
            f"data.columns names {taken[0]!r}, which is no feature but a label, split or group. Remove it."
        )
    found = [name for name in names if name not in others and (reading.used is None or name in reading.used)]
    if not found:
        raise RequestError(f"{path} has no column beside {', '.join(names)}. Add columns with features.")
    return found


def _values(
    path: str, name: str, lines: Sequence[int], cells: Sequence[str], is_categorical: bool
) -> Iterable[float | str]:
    """Returns the values of a column: numbers, or texts where few of them are numbers."""
    numbers = [None if is_categorical else _number(cell) for cell in cells]
    count = sum(number is not None for number in numbers)
    if count <= _MOSTLY * len(cells):
        for line, cell in zip(lines, cells, strict=True):
            if not cell:
                raise _missing(path, line, name)
        if not is_categorical:
            _require_no_decimal_commas(path, name, lines, cells)
        return cells
    for line, cell, number in zip(lines, cells, numbers, strict=True):
        if number is None and cell.casefold() in _MISSING:
            raise _missing(path, line, name)
        if number is None:
            raise RequestError(
                f"{path}, line {line}: column {name!r} holds {cell!r}, and numbers in {count:,} of {len(cells):,} "
                "rows. Repair the cell, or name the column in data.categorical."
            )
        if abs(number) > LARGEST_NUMBER:
            raise RequestError(f"{path}, line {line}: column {name!r} holds {cell}, too large a number. Repair it.")
    return [number for number in numbers if number is not None]


def _require_no_decimal_commas(path: str, name: str, lines: Sequence[int], cells: Sequence[str]) -> None:
    commas = [at for at, cell in enumerate(cells) if "," in cell and _number(cell.replace(",", ".")) is not None]
    if sum(_number(cell) is not None for cell in cells) + len(commas) > _MOSTLY * len(cells):
        raise RequestError(
            f"{path}, line {lines[commas[0]]}: column {name!r} holds {cells[commas[0]]!r}, and numbers with a comma in "
            f"{len(commas):,} of {len(cells):,} rows. Write a point, or name the column in data.categorical."
        )


def _number(cell: str) -> float | None:
    """Returns the number in a cell; None where there is none."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return None if math.isnan(number) or "_" in cell else number


def _missing(path: str, line: int, name: str) -> RequestError:
    return RequestError(f"{path}, line {line}: column {name!r} has no value. Fill it in, or remove the line.")
