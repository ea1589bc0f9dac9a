"""texts:FILE, labelled texts in one file: a CSV or JSON lines, a .zip of them, or a folder of class folders."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from tfkd.data import folder, rows
from tfkd.data.archive import open_archive
from tfkd.data.dataset import MAX_BYTES, UNLABELLED, Listing, Split
from tfkd.data.layout import split_of
from tfkd.data.rows import ListedRow, ListForm
from tfkd.errors import RequestError, enumerated, nearest
from tfkd.inputs.kind import ExampleError, Reading
from tfkd.inputs.text import encodings
from tfkd.inputs.text.tokenizer import well_formed
from tfkd.strict_json import JsonError, once_each

_CSV, _JSON_LINES = (".csv", ".tsv"), (".jsonl", ".ndjson", ".json")
_TABLES = (*_CSV, *_JSON_LINES)
_OTHER_NAMES = {
    **dict.fromkeys(("category", "class", "intent", "target", "sentiment", "labels"), "label"),
    **dict.fromkeys(("sentence", "utterance", "content", "query", "question", "review", "message"), "text"),
}
_ADVICE = "Give a CSV or JSON lines with text and label, a .zip of them, or a folder of class folders of .txt files."


@dataclass(frozen=True, eq=False)
class Texts:
    """The texts of tables, in memory.

    Attributes:
        texts: in UTF-8.
        names: of the table and the line of each.
        stamp: hash of the tables.
    """

    texts: Sequence[bytes]
    names: Sequence[str]
    stamp: str

    def __len__(self) -> int:
        return len(self.texts)

    def touched(self) -> bool:
        return False  # they are in memory

    def name(self, number: int) -> str:
        return self.names[number]

    def read(self, number: int) -> bytes:
        return self.texts[number]


@dataclass(frozen=True)
class _Table:
    name: str
    content: bytes
    split: str


def listing(path: str, reading: Reading) -> Listing:
    """Lists labelled texts.

    A table has the columns, or each JSON object the keys, `text`, `label`, and optionally `split` (train, validation or
    test; without it tfkd splits the texts) and `group` (all texts of a group go to one split). The tables in a .zip
    have the names of their splits, such as train.csv. A folder, or a .zip of folders, is read as folder:PATH is.

    Raises:
        RequestError: the file, or a line of it, cannot be read.
    """
    _require_texts(path, reading)
    tables = _tables(path)
    if tables is None:
        return folder.listing(path, reading)
    notes: list[str] = []
    listed = [row for table in tables for row in _rows(table, True, notes)]
    if not listed:
        raise RequestError(f"{path} holds no texts. {_ADVICE}")
    classes = rows.classes_of(path, listed)
    return Listing(
        path, tuple(classes), rows.splits(_texts(listed), listed, classes, reading), notes=tuple(dict.fromkeys(notes))
    )


def unlabelled(path: str, reading: Reading) -> Split:
    """Lists the texts of a file or a folder, without labels.

    Raises:
        RequestError: the file, or a line of it, cannot be read.
    """
    _require_texts(path, reading)
    tables = _tables(path)
    if tables is None:
        return folder.unlabelled(path, reading)
    listed = [row for table in tables for row in _rows(table, False, [])]
    if not listed:
        raise RequestError(f"{path} holds no texts. {_ADVICE}")
    count = len(listed)
    return Split(_texts(listed), np.arange(count), np.full(count, UNLABELLED, np.int64), reading)


def _require_texts(path: str, reading: Reading) -> None:
    if reading.kind_name != "text":
        raise RequestError(f"texts:{path} holds texts, and data.kind is {reading.kind_name!r}. Set it to text.")


def _tables(path: str) -> list[_Table] | None:
    """Returns the tables of a file; None for a folder, or a .zip without tables."""
    place = Path(path).expanduser()
    if place.is_dir():
        return None
    suffix = place.suffix.lower()
    if suffix in _TABLES:
        return [_Table(path, _content(path, place), "train")]
    if suffix == ".zip":
        return _in_archive(path, place)
    if not place.exists():
        raise RequestError(f"There is no {path}. {_ADVICE}")
    raise RequestError(f"{path}: files of texts end in {', '.join(_TABLES)} or .zip. {_ADVICE}")


def _content(path: str, place: Path) -> bytes:
    try:
        if place.stat().st_size > MAX_BYTES:
            raise RequestError(f"{path} is larger than {MAX_BYTES >> 20} MiB. Divide it, and give a .zip of its parts.")
        return place.read_bytes()
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.") from None


def _in_archive(path: str, place: Path) -> list[_Table] | None:
    archive = open_archive(place)
    members = [
        (number, PurePosixPath(name))
        for number, name in enumerate(archive.names)
        if name.lower().endswith(_TABLES) and not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
    ]
    found = []
    for number, name in members:
        split = split_of(name.stem) or ("train" if len(members) == 1 else None)
        if split is None:
            raise RequestError(
                f"{path}: {name} is not named as a split, and there are {len(members)} tables. Name them train, "
                "validation and test, or pack one alone."
            )
        try:
            found.append(_Table(f"{path}/{name}", archive.read(number), split))
        except ExampleError as error:
            raise RequestError(f"{path}: {name} cannot be read: {error}.") from None
    return found or None


def _rows(table: _Table, is_labelled: bool, notes: list[str]) -> Iterator[ListedRow]:
    try:
        decoded = encodings.decode(table.content)
    except ExampleError as error:
        raise RequestError(f"{table.name}: {error}.") from None
    if decoded.is_guessed:
        notes.append(
            f"{table.name} is not in UTF-8 and was read as {decoded.encoding}; if characters are wrong, save it as "
            "UTF-8"
        )
    form = ListForm("text", _text, table.split, is_labelled, _OTHER_NAMES)
    if table.name.lower().endswith(_CSV):
        return rows.of_csv(table.name, decoded.text, form, notes)
    return _of_json_lines(table.name, decoded.text, form, notes)


def _text(where: str, cell: str) -> str:
    if "\0" in cell:
        raise RequestError(f"{where}: the text holds a zero byte. Repair the line.")
    return cell


def _of_json_lines(name: str, text: str, form: ListForm, notes: list[str]) -> Iterator[ListedRow]:
    keys: dict[str, int] = {}
    names: list[str] = []
    for line, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        where = f"{name}, line {line}"
        values = _object(where, written)
        if not keys:
            names = list(values)
            keys = rows.header(where, names, replace(form, advice=_keys(form)), notes)
        if late := [key for key in values if key not in names and key.strip().casefold() in form.columns]:
            raise RequestError(f"{where}: has {late[0]!r}, which the first line lacks. Give each line the same keys.")
        yield rows.row(name, line, {key: _cell(where, names[at], values) for key, at in keys.items()}, form)


def _keys(form: ListForm) -> str:
    return f"write an object with {enumerated(form.required)} into each line"


def _object(where: str, written: str) -> dict[str, object]:
    try:
        values = json.loads(written, object_pairs_hook=once_each)
    except JsonError as error:
        raise RequestError(f"{where}: {error}. Remove one of them.") from None
    except (ValueError, RecursionError):
        raise RequestError(f'{where}: is no JSON object. Write one per line: {{"text": ..., "label": ...}}.') from None
    if not isinstance(values, dict):
        raise RequestError(f'{where}: is no JSON object. Write one per line: {{"text": ..., "label": ...}}.')
    return values


def _cell(where: str, key: str, values: dict[str, object]) -> str:
    value = values.get(key)
    if value is None:
        near = nearest(key, list(values)) if key not in values else ""
        raise RequestError(f"{where}: has no {key!r}.{near} Give every line the keys of the first one.")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RequestError(f"{where}: {key!r} is {type(value).__name__}, not a text. Repair the line.")
    return str(value)


def _texts(listed: Sequence[ListedRow]) -> Texts:
    texts = [well_formed(row.content).encode() for row in listed]
    names = [row.place for row in listed]
    digest = hashlib.sha256()
    for text in texts:
        digest.update(len(text).to_bytes(8, "little") + text)
    return Texts(texts, names, digest.hexdigest())
