"""The soft-label store: a teacher's predictions of every augmented view, computed once and read many times.

A store is a folder. `header.json` says what the predictions belong to; `view-003-00000.npy` … hold one prediction per
row, for view 3 the examples 0, 1, 2 …; `shards.json` lists the finished shards with their size and SHA-256. Shards
belong to one view each, so more views extend a store and touch nothing that is finished. A shard gets its final name
when it is whole and is listed after that: a killed writer loses at most the shard that it was writing.

Rows are read by position instead of through a memory map, because the pages of a map count as memory of this process,
and a file that is truncated under a map kills the process, where a read can report the error.
"""

import contextlib
import errno
import json
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfkd.errors import RequestError, nearest, some
from tfkd.files import described, fingerprint, is_as_described, replacing, sha256, write_json
from tfkd.store.layout import LOGITS, Layout, TeacherOutputs

SCHEMA = "tfkd-soft-labels-2"
HEADER = "header.json"
SHARDS = "shards.json"
PART_LISTS = "shards-*-of-*.json"
PARTS = ".parts"  # folder for what belongs to parts, until they are joined
_SEAL = "seal"  # field of the header: a hash of the other fields
_ALIGNED = 1024  # rows; batches of teachers are divisors of it
OWNER = "of"  # field of the list of shards: a hash of the header without the number of views


class SoftLabels:
    """A finished store. Reading caches nothing; any number of processes and threads may read at once.

    Opening checks the size of every shard. Its checksum is checked when a row of it is first read.

    Args:
        folder: the store's folder.
        header: compared field by field with the stored header; a store with more views than `header["views"]` is
            accepted.
        features: features to read; default: all.

    Attributes:
        images: number of examples in the transfer set.
        views: number of views per example.
        layout: layout of a prediction.
        shapes: shapes of the logits and of each feature to read.

    Raises:
        RequestError: the store has another header, is unfinished or damaged.
    """

    def __init__(self, folder: Path, header: dict[str, Any], features: Collection[str] | None = None) -> None:
        self.folder = folder
        _compare(folder, _read_json(folder / HEADER), header)
        self.images: int = header["images"]
        self.views: int = header["views"]
        self.layout = Layout.described_by(header["layout"])
        self._features = _feature_shapes(folder, self.layout.features, features)
        self._bytes_read = self.layout.bytes_until(self._features)
        self.shapes = {LOGITS: (self.layout.classes,), **self._features}
        self._listed = _listed(folder)
        for shard in self._shards():
            self._check_size(shard)
        self._begins: dict[str, int] = {}  # offset of the rows of each shard whose content was checked
        self._opened = _Opened(view=-1, shards=0)
        self._opening = threading.Lock()

    def read(self, images: Any, view: int) -> TeacherOutputs:
        """Returns the teacher's predictions of one view of some examples.

        Args:
            images: int64 [n], numbers of examples in the transfer set, in any order, repeated or not.
            view: number of the view; wraps around after `views`.

        Returns:
            "logits" float32 [n, classes] and each feature to read, float32 [n, *shape].

        Raises:
            RequestError: an example is not in the transfer set, or a shard is damaged.
        """
        images, view = np.asarray(images, np.int64), view % self.views
        if len(images) and not 0 <= images.min() <= images.max() < self.images:
            raise RequestError(
                f"Soft-label store {self.folder} holds examples 0 to {self.images - 1}, not {images.min()} to "
                f"{images.max()}; use the same data for the store and the training."
            )
        numbers, rows = np.divmod(images, self.layout.rows_per_shard)
        opened = self._open(view, numbers)
        size = self.layout.bytes_per_view
        begins = (opened.begins[numbers] + rows * size).tolist()
        records = np.empty(len(images), self.layout.dtype)
        buffers = records.view(np.uint8).reshape(len(images), size)[:, : self._bytes_read]
        places = zip(opened.descriptors[numbers].tolist(), buffers, begins, strict=True)
        with self._file_errors(f"view {view}"):
            read = [os.preadv(descriptor, [row], begin) for descriptor, row, begin in places]
        if any(count != self._bytes_read for count in read):
            raise self._damaged(f"view {view}", "has been cut short")
        return self.layout.decode(records, self._features)

    def mean(self, images: Any) -> TeacherOutputs:
        """Returns the mean prediction of all views of some examples; arguments and errors as of `read`."""
        total = self.read(images, 0)
        for view in range(1, self.views):
            for name, values in self.read(images, view).items():
                total[name] += values
        return {name: values / np.float32(self.views) for name, values in total.items()}

    def verify(self) -> None:
        """Reads the whole store and compares every checksum.

        Raises:
            RequestError: a shard is damaged.
        """
        for shard in self._shards():
            self._check_content(shard)

    def _shards(self) -> Iterator["Shard"]:
        for view in range(self.views):
            yield from shards_of(self.layout, self.images, view)

    def _open(self, view: int, numbers: Any) -> "_Opened":
        """Returns a view's files, with the numbered shards open. Only the view that was read last stays open."""
        with self._opening:
            shards = shards_of(self.layout, self.images, view)
            if self._opened.view != view:
                self._opened = _Opened(view, len(shards))
            opened = self._opened
            for number in np.unique(numbers[opened.descriptors[numbers] < 0]).tolist():
                shard = shards[number]
                if shard.name not in self._begins:
                    self._begins[shard.name] = self._check_content(shard)
                with self._file_errors(shard.name):
                    opened.descriptors[number] = os.open(self.folder / shard.name, os.O_RDONLY)
                opened.begins[number] = self._begins[shard.name]
            return opened

    def _check_size(self, shard: "Shard") -> None:
        if shard.name not in self._listed:
            raise RequestError(
                f"Soft-label store {self.folder} is unfinished: {shard.name} is missing. Run the recipe again."
            )
        path = self.folder / shard.name
        if not path.is_file():
            raise self._damaged(shard.name, "is missing")
        if not isinstance(self._listed[shard.name], dict):
            raise self._damaged(SHARDS, "is not as it was written")
        if path.stat().st_size != self._listed[shard.name].get("bytes"):
            raise self._damaged(shard.name, "has the wrong size")

    def _check_content(self, shard: "Shard") -> int:
        """Compares a shard with its checksum and returns the offset of its rows."""
        path = self.folder / shard.name
        with self._file_errors(shard.name):
            if sha256(path) != self._listed[shard.name].get("sha256"):
                raise self._damaged(shard.name, "does not match its checksum")
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        if mapped.shape != (shard.rows,) or mapped.dtype != self.layout.dtype:
            raise self._damaged(shard.name, "holds rows of another form")
        return int(mapped.offset)

    @contextlib.contextmanager
    def _file_errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RequestError(
                f"Soft-label store {self.folder} cannot be read: {name}: {error.strerror}; check the disk, the file's "
                "permissions and the limit of open files."
            ) from None

    def _damaged(self, name: str, how: str) -> RequestError:
        return RequestError(
            f"Soft-label store {self.folder} is damaged: {name} {how}; run the recipe again, which recreates it."
        )


def _feature_shapes(
    folder: Path, stored: Mapping[str, tuple[int, ...]], features: Collection[str] | None
) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the named features, or of all."""
    for tap in features or ():
        if tap not in stored:
            raise RequestError(f"Soft-label store {folder} has no feature {tap!r}.{nearest(tap, list(stored))}")
    return dict(stored) if features is None else {tap: stored[tap] for tap in features}


class _Opened:
    """Files of one view's shards, closed with the last reference, because threads may still read an earlier view.

    Attributes:
        view: number of the view.
        descriptors: int64 [shards], −1 for a shard that is not open.
        begins: int64 [shards], offset of the rows of an open shard.
    """

    def __init__(self, view: int, shards: int) -> None:
        self.view = view
        self.descriptors = np.full(shards, -1, np.int64)
        self.begins = np.zeros(shards, np.int64)

    def __del__(self) -> None:
        for descriptor in self.descriptors[self.descriptors >= 0].tolist():
            os.close(descriptor)


class StorePart(NamedTuple):
    """A part of a store, which another process or machine may fill at the same time as others: number 1, 2, … of `of`.

    Its shards are listed in a file of its own; `join` joins the parts.
    """

    number: int
    of: int

    @property
    def listed_in(self) -> str:
        """Name of the list of its finished shards."""
        return f"shards-{self.number:04d}-of-{self.of:04d}.json"

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def write_soft_labels(
    folder: Path,
    header: dict[str, Any],
    predict: Callable[[Any, int], Iterable[TeacherOutputs]],
    progress: Callable[[int], None],
    part: StorePart | None = None,
) -> None:
    """Fills a store, or extends it to more views, keeping the shards that earlier calls finished.

    Args:
        folder: the store's folder, created if missing.
        header: identity of the predictions; `images`, `views` and `layout` (`Layout.described()`) are
            the store's shape. A store with another header is refused, unless only `views` differs.
        predict: maps (example numbers int64 [n], view number) to batches of predictions in order, in the form of
            `Layout.encode`.
        progress: called with the number of views that were predicted or found in the store.
        part: the part to fill; None: all.

    Raises:
        RequestError: the store has another header, the teacher's predictions do not fit the layout or are NaN or
            infinite, or the folder cannot be written.
    """
    before = {**_claim(folder, header), **finished_in_parts(folder, header)}
    layout = Layout.described_by(header["layout"])
    listed = before if part is None else _begun(folder, header, part)
    own = folder / (part.listed_in if part else SHARDS)
    for view, shards in shards_by_view(header, part).items():
        due = []
        for shard in shards:
            found = listed.get(shard.name) or before.get(shard.name)
            if is_as_described(folder / shard.name, found):
                listed[shard.name] = found
                progress(shard.rows)
            else:
                due.append(shard)
        for run in _runs(due):
            batches = _records(folder, layout, predict, run, view, progress)
            for shard, records in zip(run, _cut(batches, run, layout.dtype), strict=True):
                listed[shard.name] = _save(folder / shard.name, records)
                write_json(own, listed)
    if part:
        write_json(own, listed)
    elif any(folder.glob(PART_LISTS)):
        join(folder, header)


def join(folder: Path, header: dict[str, Any]) -> None:
    """Checks every shard of a store and lists them as one process would have; the lists of the parts are removed.

    Args:
        folder: the store's folder.
        header: as of `write_soft_labels`.

    Raises:
        RequestError: shards are missing or damaged.
    """
    lists = [finished_in_parts(folder, header), _begun(folder, header, None)]
    found, missing = {OWNER: owner(header)}, []
    for name in (shard.name for shards in shards_by_view(header).values() for shard in shards):
        described = next((each[name] for each in lists if is_as_described(folder / name, each.get(name))), None)
        if described:
            found[name] = described
        else:
            missing.append(name)
    if missing:
        raise RequestError(
            f"Soft-label store {folder} is not complete: {some(missing, ', ')} missing or damaged. Run the commands of "
            "all parts again, which keep what is finished, and then join."
        )
    write_json(folder / SHARDS, found)
    for path in folder.glob(PART_LISTS):
        path.unlink()


def finished_in_parts(folder: Path, header: dict[str, Any]) -> dict[str, Any]:
    """Returns the shards that the parts of this store have listed, of any division into parts."""
    lists = [read_object(path) or {} for path in sorted(folder.glob(PART_LISTS))]
    return {name: found for each in lists if each.get(OWNER) == owner(header) for name, found in each.items()}


def _begun(folder: Path, header: dict[str, Any], part: StorePart | None) -> dict[str, Any]:
    """Returns the shards that earlier calls listed for a part of this store, or for all of it."""
    listed = read_object(folder / (part.listed_in if part else SHARDS)) or {}
    return listed if listed.get(OWNER) == owner(header) else {OWNER: owner(header)}


class Shard(NamedTuple):
    """The predictions of the examples first … first + rows − 1, in one view."""

    name: str
    first: int
    rows: int


def shards_of(layout: Layout, images: int, view: int) -> list[Shard]:
    """Returns the shards of one view, in order."""
    most = layout.rows_per_shard
    return [
        Shard(f"view-{view:03d}-{number:05d}.npy", first, min(most, images - first))
        for number, first in enumerate(range(0, images, most))
    ]


def shards_by_view(header: Mapping[str, Any], part: StorePart | None = None) -> dict[int, list[Shard]]:
    """Returns the shards of a store, or of one of its parts, by view.

    A part begins and ends where a batch of a teacher does, so that it predicts as one process would.
    """
    blocks = _blocks(header)
    begin, end = (0, len(blocks))
    if part:
        begin, end = ((number * len(blocks)) // part.of for number in (part.number - 1, part.number))
    found: dict[int, list[Shard]] = {}
    for view, shards in blocks[begin:end]:
        found.setdefault(view, []).extend(shards)
    return found


def rows(header: Mapping[str, Any], part: StorePart | None = None) -> int:
    """Returns the number of predictions in a store, or in one of its parts."""
    return sum(shard.rows for shards in shards_by_view(header, part).values() for shard in shards)


def most_parts(header: Mapping[str, Any]) -> int:
    """Returns the largest number of parts of a store of which none is empty."""
    return len(_blocks(header))


def _blocks(header: Mapping[str, Any]) -> list[tuple[int, list[Shard]]]:
    """Returns the smallest runs of shards that a part can have, each with its view, in order."""
    layout = Layout.described_by(header["layout"])
    together = max(1, _ALIGNED // layout.rows_per_shard)
    return [
        (view, shards[first : first + together])
        for view in range(header["views"])
        for shards in [shards_of(layout, header["images"], view)]
        for first in range(0, len(shards), together)
    ]


def _runs(shards: list[Shard]) -> list[list[Shard]]:
    """Groups consecutive shards, so that the teacher predicts all of them at once."""
    runs: list[list[Shard]] = []
    for shard in shards:
        if runs and runs[-1][-1].first + runs[-1][-1].rows == shard.first:
            runs[-1].append(shard)
        else:
            runs.append([shard])
    return runs


def _records(
    folder: Path,
    layout: Layout,
    predict: Callable[[Any, int], Iterable[TeacherOutputs]],
    run: list[Shard],
    view: int,
    progress: Callable[[int], None],
) -> Iterator[Any]:
    """Yields the teacher's predictions for the examples of some shards, batch by batch."""
    images = np.arange(run[0].first, run[-1].first + run[-1].rows)
    predicted = 0
    for batch in predict(images, view):
        try:
            records = layout.encode(batch)
        except RequestError as error:
            raise RequestError(f"Soft-label store {folder} cannot be filled: {error}") from None
        predicted += len(records)
        if predicted > len(images):
            break
        yield records
        progress(len(records))
    if predicted != len(images):
        raise RequestError(
            f"Soft-label store {folder} cannot be filled: of {len(images)} views the teacher predicted "
            f"{'more' if predicted > len(images) else predicted}; return one row per example."
        )


def _cut(batches: Iterator[Any], run: list[Shard], dtype: np.dtype[np.void]) -> Iterator[Any]:
    """Yields the rows of batches, regrouped by shard."""
    rest = np.empty(0, dtype)
    for shard in run:
        records = np.empty(shard.rows, dtype)
        filled = 0
        while filled < shard.rows:
            if not len(rest):
                rest = next(batches)
            rows = rest[: shard.rows - filled]
            records[filled : filled + len(rows)] = rows
            filled += len(rows)
            rest = rest[len(rows) :]
        yield records
    next(batches, None)  # raises its error about too many rows


def _save(path: Path, records: Any) -> dict[str, Any]:
    with replacing(path) as partial:
        with partial.open("wb") as stream:
            np.save(stream, records, allow_pickle=False)
        try:
            np.load(partial, mmap_mode="r", allow_pickle=False)
        except ValueError:  # numpy does not notice a disk that fills at the end of an array
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
        return described(partial)


def _claim(folder: Path, header: dict[str, Any]) -> dict[str, Any]:
    """Writes the header of a new store, or of one with more views; refuses a store with another header.

    Returns:
        The shards that earlier calls finished; none if the list is damaged, or if the header is damaged and the list
        does not belong to this store.
    """
    stored, listed = read_object(folder / HEADER), read_object(folder / SHARDS) or {}
    views = header["views"]
    if stored is not None and _is_sealed(stored):
        _compare(folder, stored, header)
        views = max(views, stored.get("views", 0))
    elif (folder / HEADER).exists() and listed.get(OWNER) != owner(header):
        listed = {}
    whole = {"schema": SCHEMA, **header, "views": views}
    write_json(folder / HEADER, {**whole, _SEAL: fingerprint(whole)})
    return {**listed, OWNER: owner(header)}


def _is_sealed(header: dict[str, Any]) -> bool:
    """Returns whether a header is unchanged; stores of tfkd 0.1 have no seal."""
    content = {key: value for key, value in header.items() if key != _SEAL}
    return header.get(_SEAL, fingerprint(content)) == fingerprint(content)


def owner(header: dict[str, Any]) -> str:
    return fingerprint({key: value for key, value in header.items() if key != "views"})


def _compare(folder: Path, stored: dict[str, Any], header: dict[str, Any]) -> None:
    for key, value in {"schema": SCHEMA, **header}.items():
        if key != "views" and stored.get(key) != value:
            raise RequestError(
                f"Soft-label store {folder} belongs to {key} = {stored.get(key)!r}, this run needs {value!r}; "
                "delete the folder to recreate it."
            )


def _listed(folder: Path) -> dict[str, Any]:
    """Returns the finished shards: name to size and checksum."""
    return _read_json(folder / SHARDS) if (folder / SHARDS).exists() else {}


def _read_json(path: Path) -> dict[str, Any]:
    value = read_object(path)
    if value is None or (path.name == HEADER and not _is_sealed(value)):
        raise RequestError(
            f"Soft-label store {path.parent} has no readable {path.name}; run the recipe again, which recreates it."
        )
    return value


def read_object(path: Path) -> dict[str, Any] | None:
    """Returns a JSON object from a file, or None if the file is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
