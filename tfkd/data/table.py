"""files:LIST.csv, a list of examples with their labels: path, label, and optionally split and group."""

import csv
import difflib
import io
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkd.data.dataset import Listing, Split
from tfkd.data.folder import Files, Folder
from tfkd.data.layout import split_of
from tfkd.errors import RequestError
from tfkd.inputs.kind import Reading
from tfkd.labels import composed, meant, require_usable

_REQUIRED = ("path", "label")
_COLUMNS = (*_REQUIRED, "split", "group")
_DELIMITERS = ",;\t"
_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # longer than a drive letter
_LIKE = 0.75  # similarity above which an unknown column is a misspelt one


@dataclass(frozen=True)
class _Row:
    line: int
    path: str
    label: str
    split: str
    group: str


def listing(path: str, reading: Reading) -> Listing:
    """Reads a list of examples: UTF-8 text with one example per line, separated by commas, semicolons or tabs.

    The first line names the columns: `path` (relative to the list's folder, or absolute), `label`, and
    optionally `split` (train, validation or test; without it tfkd splits the examples) and `group` (all examples of a
    group go to one split). Other columns are ignored. A missing file is rejected like an unreadable one.

    Raises:
        RequestError: the list, or a line of it, cannot be read.
    """
    place = Path(path).expanduser()
    notes: list[str] = []
    rows = list(_rows(path, place, notes))
    if not rows:
        raise RequestError(f"{path} lists no examples. Add a line for each: path,label.")
    _require_different_files(path, place.parent, rows)
    _require_one_split_per_group(path, rows)
    classes = sorted({row.label for row in rows if row.split == "train"} or {row.label for row in rows})
    require_usable(path, classes)
    for row in rows:
        if row.label not in classes:
            raise RequestError(
                f"{path}, line {row.line}: {row.split} has class {row.label!r}, which train has not."
                f"{meant(row.label, classes)} Add it there, rename it, or remove the line."
            )
    files = Files(place.parent)
    for row in rows:
        files.add(_existing(place.parent, row.path))
    examples = files.folder()
    names = dict.fromkeys(row.split for row in rows)
    return Listing(
        path,
        tuple(classes),
        {name: _split(examples, rows, name, classes, reading) for name in names},
        notes=tuple(notes),
    )


def _rows(path: str, place: Path, notes: list[str]) -> Iterator[_Row]:
    text = _text(path, place)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True, skipinitialspace=True)
    columns: dict[str, int] = {}
    width, start = 0, 1
    try:
        for cells in reader:
            line, start = start, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns, width = _header(path, line, cells), len(cells)
                notes.extend(_ignored(cells))
                continue
            if any(cell.strip() for cell in cells[width:]):
                raise RequestError(
                    f"{path}, line {line}: has {len(cells)} cells, the header has {width}. Put cells that hold the "
                    "separator into double quotes."
                )
            yield _row(path, line, cells, columns)
    except csv.Error as error:
        raise RequestError(f"{path}, line {start}: is not CSV ({error}). Repair the line.") from None


def _ignored(header: list[str]) -> Iterator[str]:
    others = [cell.strip() for cell in header if cell.strip() and cell.strip().casefold() not in _COLUMNS]
    if others:
        yield (
            f"columns that are not used: {', '.join(others)} (used are {', '.join(_COLUMNS)}; group keeps the examples "
            "of one patient, camera or burst in one split)"
        )


def _require_different_files(path: str, root: Path, rows: list[_Row]) -> None:
    first: dict[str, _Row] = {}
    for row in rows:
        whole = (root / Path(row.path).expanduser()).absolute()
        other = first.setdefault(composed(os.path.normpath(whole)), row)
        if other is not row:
            spelling = "" if other.path == row.path else f", as {other.path}"
            raise RequestError(
                f"{path}, line {row.line}: {row.path} is on line {other.line} as well{spelling}. Remove one of them."
            )


def _text(path: str, place: Path) -> str:
    try:
        content = place.read_bytes()
    except OSError as error:
        raise RequestError(f"The list {path} cannot be read: {error.strerror}. Give the path of a CSV file.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RequestError(f"{path}, line {line}: is no text in UTF-8. Save the list as UTF-8.") from None


def _delimiter(text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(_DELIMITERS, key=header.count)


def _header(path: str, line: int, cells: list[str]) -> dict[str, int]:
    names = [cell.strip().casefold() for cell in cells]
    for name in names:
        if name in _COLUMNS and names.count(name) > 1:
            raise RequestError(f"{path}, line {line}: there are two columns {name}. Remove one of them.")
        meant = difflib.get_close_matches(name, _COLUMNS, n=1, cutoff=_LIKE)
        if name not in _COLUMNS and meant and meant[0] not in names:
            raise RequestError(f"{path}, line {line}: there is no column {name!r}. Did you mean {meant[0]!r}?")
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise RequestError(
            f"{path}, line {line}: there is no column {' and no column '.join(missing)}; begin the list with the line "
            "path,label (and split or group where you have them), separated by commas, semicolons or tabs."
        )
    return {name: names.index(name) for name in _COLUMNS if name in names}


def _row(path: str, line: int, cells: list[str], columns: dict[str, int]) -> _Row:
    values = {
        name: composed(cells[at].strip()) if name != "path" else cells[at].strip().replace("\\", "/")
        for name, at in columns.items()
        if at < len(cells)
    }
    for name in columns:
        if name != "group" and not values.get(name):
            raise RequestError(f"{path}, line {line}: has no {name}. Fill it in, or remove the line.")
    if "\0" in values["path"]:
        raise RequestError(f"{path}, line {line}: the path holds a zero byte. Repair the line.")
    if _URL.match(cells[columns["path"]].strip()):
        raise RequestError(f"{path}, line {line}: {values['path']} is a URL. Download the file and give its path.")
    split = split_of(values["split"]) if "split" in columns else "train"
    if split is None:
        raise RequestError(
            f"{path}, line {line}: the split {values['split']!r} is none of train, validation and test. Write one of "
            "these words."
        )
    return _Row(line, values["path"], values["label"], split, values.get("group", ""))


def _require_one_split_per_group(path: str, rows: list[_Row]) -> None:
    first: dict[str, _Row] = {}
    for row in rows:
        other = first.setdefault(row.group, row)
        if row.group and row.split != other.split:
            raise RequestError(
                f"{path}, line {row.line}: group {row.group!r} is in {row.split}, and on line {other.line} in "
                f"{other.split}. Put all examples of a group into one split."
            )


def _existing(root: Path, name: str) -> str:
    """Returns the path unchanged, or in the Unicode form in which the file exists."""
    expanded = str(Path(name).expanduser())
    forms = (expanded, *(unicodedata.normalize(form, expanded) for form in ("NFC", "NFD")))
    return next((form for form in forms if (root / form).exists()), expanded)


def _split(examples: Folder, rows: list[_Row], name: str, classes: list[str], reading: Reading) -> Split:
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
