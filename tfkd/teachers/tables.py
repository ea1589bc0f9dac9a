"""Reads a file of predictions: one row per name of a file or text, one column per class. For a process apart."""

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.data.rows import csv_fault
from tfkd.errors import RequestError, cause

LARGEST = 4 << 30  # bytes
_DELIMITERS = ",;\t"
_NAMES, _CLASSES = "names", "classes"


@dataclass(frozen=True)
class PredictionTable:
    """The content of a file of predictions.

    Attributes:
        names: of the rows.
        columns: names of the columns; None where the file does not name them.
        values: float64 or float32 [names, columns].
    """

    names: tuple[str, ...]
    columns: tuple[str, ...] | None
    values: np.ndarray


def read(path: Path) -> PredictionTable:
    """Reads a file of predictions, whose suffix says its format.

    Raises:
        RequestError: it is missing, empty, too large, of another format, or not such a table.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise RequestError(f"{path} must be a file of predictions: {', '.join(READERS)}.")
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise RequestError(f"The predictions {path} {what}.")
    size = path.stat().st_size
    if not 0 < size <= LARGEST:
        raise RequestError(f"{path} is empty." if not size else f"{path} is larger than {LARGEST >> 30} GiB.")
    try:
        table = reader(path)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or cause(error)}.") from None
    if not table.names or not table.values.size:
        raise RequestError(f"{path} holds no predictions; give a row for each example.")
    return table


def _csv(path: Path) -> PredictionTable:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if text.startswith("version https://git-lfs"):
            raise RequestError(f"{path} is a Git LFS pointer; fetch the file itself with `git lfs pull`.")
    except UnicodeDecodeError:
        raise RequestError(f"{path} is no text in UTF-8.") from None
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    try:
        header, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise RequestError(f"{path}: {csv_fault(error)}") from None
    except ValueError as error:
        raise RequestError(f"{path} is not a table of comma-separated values: {cause(error)}") from None
    rows = [(number, line) for number, line in enumerate(lines, 2) if line]
    for number, line in rows:
        if len(line) != len(header):
            raise RequestError(f"{path}, line {number}: has {len(line)} columns, the first line has {len(header)}.")
    values = np.empty((len(rows), len(header) - 1))
    for row, (number, line) in enumerate(rows):
        values[row] = _numbers(line[1:], header[1:], f"{path}, line {number}")
    return PredictionTable(tuple(line[0] for _, line in rows), tuple(name.strip() for name in header[1:]), values)


def _numbers(texts: list[str], columns: list[str], where: str) -> list[float]:
    found = []
    for text, column in zip(texts, columns, strict=True):
        try:
            found.append(float(text))
        except ValueError:
            raise RequestError(
                f"{where}: the column {column!r} holds {text[:40]!r}, not a number; the columns after the name "
                "are the classes."
            ) from None
    return found


def _npz(path: Path) -> PredictionTable:
    if not zipfile.is_zipfile(path):
        raise RequestError(f"{path} is no .npz file of plain arrays; write it with numpy.savez.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, zipfile.BadZipFile, KeyError, EOFError, NotImplementedError) as error:
        raise RequestError(f"{path} is no .npz file of plain arrays: {cause(error)}") from None
    values = {name: array for name, array in arrays.items() if name not in (_NAMES, _CLASSES)}
    if _NAMES not in arrays or len(values) != 1:
        known = ", ".join(arrays) or "nothing"
        raise RequestError(f"{path} holds {known}; it needs `names`, one array of predictions and perhaps `classes`.")
    (name, array) = values.popitem()
    names, classes = _texts(arrays[_NAMES], _NAMES, path), arrays.get(_CLASSES)
    if array.ndim == 2 and len(array) != len(names):
        raise RequestError(
            f"{path} has {len(names):,} names, and {len(array):,} rows of {name}; give one row per name."
        )
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise RequestError(f"{path}: {name} is {array.dtype} {list(array.shape)}, not a number per name and class.")
    return PredictionTable(names, None if classes is None else _texts(classes, _CLASSES, path), array)


def _texts(array: np.ndarray, name: str, path: Path) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind not in "US":
        raise RequestError(f"{path}: {name} is {array.dtype} {list(array.shape)}, not a list of texts.")
    return tuple(each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in array.tolist())


def _parquet(path: Path) -> PredictionTable:
    import pyarrow as arrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(path).read()
    except arrow.ArrowException as error:
        raise RequestError(f"{path} is no Parquet file, or a damaged one: {cause(error)}") from None
    table = table.set_column(0, table.column_names[0], _decoded(table.column(0))) if table.num_columns else table
    names, *columns = table.column_names or [""]
    is_text = names and (arrow.types.is_string(kind := table.schema.field(0).type) or arrow.types.is_large_string(kind))
    if not columns or not is_text:
        raise RequestError(f"{path}: the first column must hold the names, and the others the classes.")
    for column in columns:
        kind = table.schema.field(column).type if column in columns and columns.count(column) == 1 else None
        if kind is None or not (arrow.types.is_floating(kind) or arrow.types.is_integer(kind)):
            raise RequestError(f"{path}: the column {column!r} is not one column of numbers.")
    if table.column(0).null_count:
        raise RequestError(f"{path}: the column {names!r} lacks the names of some rows.")
    values = [_column(table.column(number + 1)) for number in range(len(columns))]
    return PredictionTable(tuple(table.column(0).to_pylist()), tuple(columns), np.stack(values, axis=1))


def _decoded(column: Any) -> Any:
    """Returns a column of categories, as pandas writes them, as a column of their values."""
    import pyarrow as arrow

    return column.cast(column.type.value_type) if arrow.types.is_dictionary(column.type) else column


def _column(column: Any) -> np.ndarray:
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values.astype(np.float64)


READERS: dict[str, Callable[[Path], PredictionTable]] = {".csv": _csv, ".npz": _npz, ".parquet": _parquet}
