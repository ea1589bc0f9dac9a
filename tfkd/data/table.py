"""files:LIST.csv, a list of examples with their labels: path, label, and optionally split and group."""

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from tfkd.data import rows
from tfkd.data.dataset import Listing
from tfkd.data.folder import Files
from tfkd.errors import RequestError
from tfkd.inputs.kind import Reading
from tfkd.labels import composed

_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # longer than a drive letter


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
    listed = list(rows.of_csv(path, _text(path, place), rows.ListForm("path", _path), notes))
    if not listed:
        raise RequestError(f"{path} lists no examples. Add a line for each: path,label.")
    _require_different_files(place.parent, listed)
    classes = rows.classes_of(path, listed)
    files = Files(place.parent)
    for row in listed:
        files.add(_existing(place.parent, row.content))
    return Listing(path, tuple(classes), rows.splits(files.folder(), listed, classes, reading), notes=tuple(notes))


def _path(where: str, cell: str) -> str:
    path = cell.strip().replace("\\", "/")
    if not path:
        raise RequestError(f"{where}: has no path. Fill it in, or remove the line.")
    if "\0" in path:
        raise RequestError(f"{where}: the path holds a zero byte. Repair the line.")
    if _URL.match(path):
        raise RequestError(f"{where}: {path} is a URL. Download the file and give its path.")
    return path


def _require_different_files(root: Path, listed: Sequence[rows.ListedRow]) -> None:
    first: dict[str, rows.ListedRow] = {}
    for row in listed:
        whole = (root / Path(row.content).expanduser()).absolute()
        other = first.setdefault(composed(os.path.normpath(whole)), row)
        if other is not row:
            spelling = "" if other.content == row.content else f", as {other.content}"
            raise RequestError(
                f"{row.place}: {row.content} is on line {other.line} as well{spelling}. Remove one of them."
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


def _existing(root: Path, name: str) -> str:
    """Returns the path unchanged, or in the Unicode form in which the file exists."""
    expanded = str(Path(name).expanduser())
    forms = (expanded, *(unicodedata.normalize(form, expanded) for form in ("NFC", "NFD")))
    return next((form for form in forms if (root / form).exists()), expanded)
