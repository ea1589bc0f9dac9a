"""The soft-label store: a teacher's predictions of every augmented view, computed once and read many times.

A store is a folder. `header.json` says what the predictions belong to; `view-003-00000.npy` … hold one prediction per
row, for view 3 the examples 0, 1, 2 …; `shards.json` lists the finished shards with their size and SHA-256. Shards
belong to one view each, so more views extend a store and touch nothing that is finished. A shard gets its final name
when it is whole and is listed after that: a killed writer loses at most the shard that it was writing.

Rows are read by position instead of through a memory map, because the pages of a map count as memory of this process,
and a file that is truncated under a map kills the process, where a read can report the error.
"""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfkd.errors import RequestError, nearest
from tfkd.files import described, fingerprint, is_as_described, replacing, sha256, write_json
from tfkd.store.layout import LOGITS, Layout, TeacherOutputs

SCHEMA = "tfkd-soft-labels-2"
HEADER = "header.json"
SHARDS = "shards.json"
_SEAL = "seal"  # field of the header: a hash of the other fields
_OWNER = "of"  # field of the list of shards: a hash of the header without the number of views


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

    def _shards(self) -> Iterator["_Shard"]:
        for view in range(self.views):
            yield from _shards(self.layout, self.images, view)

    def _open(self, view: int, numbers: Any) -> "_Opened":
        """Returns a view's files, with the numbered shards open. Only the view that was read last stays open."""
        with self._opening:
            shards = _shards(self.layout, self.images, view)
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

    def _check_size(self, shard: "_Shard") -> None:
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

    def _check_content(self, shard: "_Shard") -> int:
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


def write_soft_labels(
    folder: Path,
    header: dict[str, Any],
    predict: Callable[[Any, int], Iterable[TeacherOutputs]],
    progress: Callable[[int], None],
) -> None:
    """Fills a store, or extends it to more views, keeping the shards that earlier calls finished.

    Args:
        folder: the store's folder, created if missing.
        header: identity of the predictions; `images`, `views` and `layout` (`Layout.described()`) are
            the store's shape. A store with another header is refused, unless only `views` differs.
        predict: maps (example numbers int64 [n], view number) to batches of predictions in order, in the form of
            `Layout.encode`.
        progress: called with the number of views that were predicted or found in the store.

    Raises:
        RequestError: the store has another header, the teacher's predictions do not fit the layout or are NaN or
            infinite, or the folder cannot be written.
    """
    listed = _claim(folder, header)
    layout = Layout.described_by(header["layout"])
    for view in range(header["views"]):
        due = []
        for shard in _shards(layout, header["images"], view):
            if is_as_described(folder / shard.name, listed.get(shard.name)):
                progress(shard.rows)
            else:
                due.append(shard)
        for run in _runs(due):
            batches = _records(folder, layout, predict, run, view, progress)
            for shard, records in zip(run, _cut(batches, run, layout.dtype), strict=True):
                listed[shard.name] = _save(folder / shard.name, records)
                write_json(folder / SHARDS, listed)


class _Shard(NamedTuple):
    """The predictions of the examples first … first + rows − 1, in one view."""

    name: str
    first: int
    rows: int


def _shards(layout: Layout, images: int, view: int) -> list[_Shard]:
    most = layout.rows_per_shard
    return [
        _Shard(f"view-{view:03d}-{number:05d}.npy", first, min(most, images - first))
        for number, first in enumerate(range(0, images, most))
    ]


def _runs(shards: list[_Shard]) -> list[list[_Shard]]:
    """Groups consecutive shards, so that the teacher predicts all of them at once."""
    runs: list[list[_Shard]] = []
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
    run: list[_Shard],
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


def _cut(batches: Iterator[Any], run: list[_Shard], dtype: np.dtype[np.void]) -> Iterator[Any]:
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
    with replacing(path) as partial, partial.open("wb") as stream:
        np.save(stream, records, allow_pickle=False)
    return described(path)


def _claim(folder: Path, header: dict[str, Any]) -> dict[str, Any]:
    """Writes the header of a new store, or of one with more views; refuses a store with another header.

    Returns:
        The shards that earlier calls finished; none if the list is damaged, or if the header is damaged and the list
        does not belong to this store.
    """
    stored, listed = _read_object(folder / HEADER), _read_object(folder / SHARDS) or {}
    views = header["views"]
    if stored is not None and _is_sealed(stored):
        _compare(folder, stored, header)
        views = max(views, stored.get("views", 0))
    elif (folder / HEADER).exists() and listed.get(_OWNER) != _owner(header):
        listed = {}
    whole = {"schema": SCHEMA, **header, "views": views}
    write_json(folder / HEADER, {**whole, _SEAL: fingerprint(whole)})
    return {**listed, _OWNER: _owner(header)}


def _is_sealed(header: dict[str, Any]) -> bool:
    """Returns whether a header is unchanged; stores of tfkd 0.1 have no seal."""
    content = {key: value for key, value in header.items() if key != _SEAL}
    return header.get(_SEAL, fingerprint(content)) == fingerprint(content)


def _owner(header: dict[str, Any]) -> str:
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
    value = _read_object(path)
    if value is None or (path.name == HEADER and not _is_sealed(value)):
        raise RequestError(
            f"Soft-label store {path.parent} has no readable {path.name}; run the recipe again, which recreates it."
        )
    return value


def _read_object(path: Path) -> dict[str, Any] | None:
    """Returns a JSON object from a file, or None if the file is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
