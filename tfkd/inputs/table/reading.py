"""Reads rows of tables, learns what their columns hold, and converts rows to numbers."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from tfkd.errors import RequestError, counted, enumerated, nearest, some
from tfkd.inputs.kind import Arrays, ExampleError, Ranges
from tfkd.inputs.seeds import drawn
from tfkd.inputs.table.tensors import signature
from tfkd.inputs.whole import WholeReading
from tfkd.recipe import Augment, Data
from tfkd.signature import Column, Signature

TableRow = dict[str, float | str]  # numbers, and texts of categories, by column

LARGEST_NUMBER = 1e30  # of a column; far from where differences and sums of float32 numbers overflow
MOST_CATEGORIES = 100  # of a column; more are names or texts
_ADAPTATION = 1  # increase it when adaptations have other facts
_JITTER = 0  # purpose of the numbers drawn from a view's seed
_BYTES_PER_VALUE = 64
_MOST_LOST = 0.001  # by rounding to float32, in standard deviations of a column


class RowFinding(NamedTuple):
    """The finding about one row: a digest of its values, odd."""

    digest: int


class RowFindings:
    """Collects nothing: a source of tables has checked its rows."""

    def add(self, split: str, position: int, finding: RowFinding) -> None:
        """Adds a row."""

    def facts(self) -> dict[str, Any]:
        """Returns nothing."""
        return {}


class RowReport:
    """No notes and warnings of a check."""

    def notes(self) -> Iterator[str]:
        """Yields nothing."""
        yield from ()

    def warnings(self) -> Iterator[str]:
        """Yields nothing."""
        yield from ()

    def explanation(self) -> str:
        """Returns nothing: equal rows need no explanation."""
        return ""


@dataclass(frozen=True)
class TableReading(WholeReading):
    """Settings of reading tables.

    Attributes:
        label: column of the classes.
        used: columns that the student reads; None for all others.
        categorical: columns whose numbers are categories.
        columns: of the student; None until the reading is adapted to the training rows.
    """

    label: str
    used: tuple[str, ...] | None = None
    categorical: tuple[str, ...] = ()
    columns: tuple[Column, ...] | None = None

    kind_name = "table"

    def decode(self, encoded: bytes) -> TableRow:
        """Returns a row; raises an ExampleError."""
        try:
            row = json.loads(encoded)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not all(type(value) in (float, str) for value in row.values()):
            raise ExampleError("is no JSON object of numbers and texts")
        return row

    def compact(self, example: TableRow) -> tuple[TableRow, int]:
        """Returns the row, and about its bytes."""
        return example, _BYTES_PER_VALUE * len(example)

    def examine(self, encoded: bytes) -> RowFinding:
        """Decodes a row for a check; raises an ExampleError."""
        self.decode(encoded)
        return RowFinding(self.whole_digest(encoded))

    def whole_digest(self, encoded: bytes) -> int:
        """Returns the digest of all values."""
        return int.from_bytes(hashlib.sha256(encoded).digest()[:8], "little") | 1

    def findings(self) -> RowFindings:
        """Returns what gathers the findings of a check."""
        return RowFindings()

    def report(self, facts: Mapping[str, Any], name: Callable[[str, int], str], total: int) -> RowReport:
        """Returns the notes and warnings of a check."""
        return RowReport()

    @property
    def adapts_by(self) -> list[Any]:
        """The version."""
        return [_ADAPTATION]

    def adaptation(self, training: Iterable[TableRow], others: Iterable[TableRow]) -> dict[str, Any]:
        """Returns the columns of the training rows, the constant ones, and the categories that only others have."""
        return _adaptation(list(training), others)

    def adapted(self, facts: Mapping[str, Any]) -> "TableReading":
        """Returns the reading with the columns of an adaptation."""
        columns = [Column(**{**each, "categories": tuple(each["categories"])}) for each in facts["columns"]]
        return replace(self, columns=tuple(columns))

    def adaptation_notes(self, facts: Mapping[str, Any]) -> Iterator[str]:
        """Yields how many columns there are."""
        categorical = sum(bool(each["categories"]) for each in facts["columns"])
        numbers = len(facts["columns"]) - categorical
        yield f"{counted(numbers, 'column')} of numbers, {categorical} of categories"

    def adaptation_warnings(self, facts: Mapping[str, Any]) -> Iterator[str]:
        """Yields the columns that are left out, and the categories that no training row has."""
        if constant := facts["constant"]:
            yield f"left out, as all training rows have the same value: {some(constant)}"
        for name in dict.fromkeys(name for name, _, _ in facts["unknown"]):
            found = {category: count for column, category, count in facts["unknown"] if column == name}
            rows = counted(sum(found.values()), "validation or test row")
            yield (
                f"column {name!r} has categories in {rows} that no training row has, which count as another one: "
                f"{some(list(map(repr, found)))}"
            )

    def input_notes(self, examples: Iterable[TableRow], signature: Signature) -> Iterator[str]:
        """Yields nothing: a model takes a row as a whole."""
        yield from ()

    def signature(self, data: Data) -> Signature:
        """Returns the signature of the student's row."""
        assert self.columns is not None, "adapt the reading to the training rows first"
        return signature(self.columns)

    def plain(self, example: TableRow, signature: Signature) -> Arrays:
        """Returns a row as float32 [columns]."""
        return (encoded_row(example, signature.columns),)

    def view(self, example: TableRow, seed: np.ndarray, augment: Augment, signature: Signature) -> Arrays:
        """Returns a row near the example, float32 [columns]: numbers get noise within their range, categories stay.

        Args:
            example: any row.
            seed: int [2].
            augment: its `jitter` is the deviation of the noise, in deviations of each column.
            signature: of the model.
        """
        row, columns = encoded_row(example, signature.columns), signature.columns
        noise = augment.jitter * drawn(seed, _JITTER).standard_normal(len(columns))
        numbers = np.array([not column.categories for column in columns])
        moved = row + noise * [column.deviation for column in columns]
        moved = np.clip(moved, [column.lowest for column in columns], [column.highest for column in columns])
        whole = np.array([column.whole for column in columns])
        return (np.where(numbers, np.where(whole, np.rint(moved), moved), row).astype(np.float32),)


def _adaptation(rows: Sequence[TableRow], others: Iterable[TableRow]) -> dict[str, Any]:
    found = {name: _column(name, [row.get(name) for row in rows]) for name in rows[0]}
    columns = [column for column in found.values() if column is not None]
    if not columns:
        raise RequestError("All columns of the training rows are constant; add columns that differ between rows.")
    known = {column.name: set(column.categories) for column in columns if column.categories}
    unknown = Counter(
        (name, str(row.get(name))) for row in others for name in known if row.get(name) not in known[name]
    )
    return {
        "columns": [vars(column) for column in columns],
        "constant": [name for name, column in found.items() if column is None],
        "unknown": [[name, category, count] for (name, category), count in sorted(unknown.items())],
    }


def reading(data: Data, ranges: Ranges) -> TableReading:
    """Returns how a recipe's tables are read."""
    return TableReading(
        data.label_column, None if data.columns is None else tuple(data.columns), tuple(data.categorical)
    )


def encoded_row(row: Mapping[str, Any], columns: Sequence[Column]) -> np.ndarray:
    """Returns a row as a model takes it, float32 [columns]: numbers as they are, and the number of each category.

    Args:
        row: numbers and texts by column; others are ignored.
        columns: of the model.

    Raises:
        RequestError: a value is missing, or is a text where the model takes a number.
    """
    return np.array([_encoded(row, column) for column in columns], np.float32)


def _encoded(row: Mapping[str, Any], column: Column) -> float:
    if column.name not in row:
        near = nearest(column.name, list(row))
        raise RequestError(f"A row has no column {column.name!r}, which the model takes.{near} Add it to the table.")
    value = row[column.name]
    if value is None:
        raise RequestError(f"A row has no value of column {column.name!r}. Fill it in, or leave the row out.")
    if column.categories:
        written = _written(value)
        return float(column.categories.index(written) if written in column.categories else len(column.categories))
    if isinstance(value, bool) or not isinstance(value, Real):
        raise RequestError(f"Column {column.name!r} holds {value!r} where the model takes a number. Repair the table.")
    if not abs(value) <= LARGEST_NUMBER:  # type: ignore[operator]
        raise RequestError(f"Column {column.name!r} holds a number that is not finite or too large. Repair the table.")
    return float(value)


def _written(value: Any) -> str:
    """Returns a category as a table has it: 3 and 3.0 are "3"."""
    is_whole = isinstance(value, Real) and not isinstance(value, bool) and float(value).is_integer()
    return str(int(value)) if is_whole else str(value)


def _column(name: str, values: Sequence[float | str | None]) -> Column | None:
    """Returns what is known of a column from its values in training rows; None where all are the same."""
    kinds = {type(value) for value in values}
    if len(kinds) > 1:
        raise RequestError(
            f"Column {name!r} holds {enumerated(sorted(_NOUNS.get(kind, 'nothing') for kind in kinds))} in different "
            "training rows; give the tables of labelled and unlabelled rows the same columns, or name it in "
            "data.categorical."
        )
    if len(set(values)) == 1:
        return None
    if str in kinds:
        categories = tuple(sorted(set(map(str, values))))
        if len(categories) > MOST_CATEGORIES:
            raise RequestError(
                f"Column {name!r} holds {len(categories):,} different texts, more than {MOST_CATEGORIES}: these are no "
                "categories. Leave it out: name the others in data.columns."
            )
        return Column(name, categories)
    numbers = np.array(values, np.float64)
    whole = bool((numbers == np.rint(numbers)).all())
    lost = np.abs(numbers - numbers.astype(np.float32))
    if lost.max() > _MOST_LOST * numbers.std():
        raise RequestError(
            f"Column {name!r} holds numbers that differ by less than float32 can tell, such as "
            f"{numbers[lost.argmax()]:.17g}. Subtract a constant from all of them, leave the column out by naming the "
            "others in data.columns, or name it in data.categorical."
        )
    return Column(
        name,
        mean=float(numbers.mean()),
        deviation=float(numbers.std()),
        lowest=float(numbers.min()),
        highest=float(numbers.max()),
        whole=whole,
    )


_NOUNS: Mapping[type, str] = {float: "numbers", str: "texts"}
