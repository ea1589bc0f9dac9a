"""The soft-label store: a teacher's logits on every augmented view, paid once and read many times.

A store is a folder. `header.json` says what the answers belong to; `shard-00000.npy` … hold float16 logits, one view a
row; `shards.json` lists the finished shards with their SHA-256. Row `view * images + image` belongs to view number
`view` of pool image `image`, whose pixels `tfkd.data.views` makes again from the seed. A shard gets its final name when
it is whole, so a killed writer loses at most the shard it was writing.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import RequestError
from tfkd.files import replacing, sha256, write_json

SCHEMA = "tfkd-soft-labels-1"
ROWS_PER_SHARD = 16_384


class SoftLabels:
    """A finished store, memory-mapped: any number of processes may read it at once.

    Args:
        folder: the store's folder.
        header: what the answers must belong to, compared field by field with the stored header.

    Raises:
        RequestError: the store is of something else, unfinished, truncated or changed.
    """

    def __init__(self, folder: Path, header: dict[str, Any]) -> None:
        self.folder = folder
        stored = _read_json(folder / "header.json")
        for key, value in {"schema": SCHEMA, **header}.items():
            if stored.get(key) != value:
                raise RequestError(
                    f"Soft-label store {folder} belongs to {key} = {stored.get(key)!r}, this run needs {value!r}; "
                    "delete the folder to have it made again."
                )
        self.images: int = stored["images"]
        self.views: int = stored["views"]
        self.classes: int = stored["classes"]
        rows = self.images * self.views
        sums = _read_json(folder / "shards.json")
        self._shards = [
            _open_shard(folder / name, sums.get(name), (stop - start, self.classes))
            for name, start, stop in _shard_names(rows)
        ]

    def logits(self, images: Any, view: int) -> Any:
        """Returns the teacher's logits of one view of some images.

        Args:
            images: int64 [n], numbers of images in the pool.
            view: number of the view; wraps around after `views`.

        Returns:
            float32 [n, classes].
        """
        rows = (view % self.views) * self.images + np.asarray(images, np.int64)
        answers = np.empty((len(rows), self.classes), np.float32)
        shard_of = rows // ROWS_PER_SHARD
        for number in np.unique(shard_of):
            chosen = shard_of == number
            answers[chosen] = self._shards[number][rows[chosen] - number * ROWS_PER_SHARD]
        return answers


def write_soft_labels(
    folder: Path,
    header: dict[str, Any],
    answer: Callable[[Any, int], Iterator[Any]],
    progress: Callable[[int], None],
) -> None:
    """Fills a store, keeping the shards that an earlier, interrupted call finished.

    Args:
        folder: the store's folder, made if missing.
        header: says what the answers belong to; `images`, `views` and `classes` give the store its shape.
        answer: maps (image numbers int64 [n], view number) to an iterator over float logits [batch, classes], in order.
        progress: called with the number of views that were just answered or found answered.

    Raises:
        RequestError: the teacher answered with NaN or infinity, or the folder cannot be written.
    """
    images, classes = header["images"], header["classes"]
    write_json(folder / "header.json", {"schema": SCHEMA, **header})
    sums = _read_json(folder / "shards.json") if (folder / "shards.json").exists() else {}
    for name, start, stop in _shard_names(images * header["views"]):
        path = folder / name
        if name in sums and path.is_file() and sha256(path) == sums[name]:
            progress(stop - start)
            continue
        shard = np.empty((stop - start, classes), np.float16)
        filled = 0
        for view, first, last in _runs(start, stop, images):
            for logits in answer(np.arange(first, last), view):
                shard[filled : filled + len(logits)] = _checked(logits, folder)
                filled += len(logits)
                progress(len(logits))
        with replacing(path) as partial, partial.open("wb") as stream:
            np.save(stream, shard, allow_pickle=False)
        sums[name] = sha256(path)
        write_json(folder / "shards.json", sums)


def _shard_names(rows: int) -> Iterator[tuple[str, int, int]]:
    for number, start in enumerate(range(0, rows, ROWS_PER_SHARD)):
        yield f"shard-{number:05d}.npy", start, min(start + ROWS_PER_SHARD, rows)


def _runs(start: int, stop: int, images: int) -> Iterator[tuple[int, int, int]]:
    """Cuts a range of rows into (view, first image, last image + 1)."""
    while start < stop:
        view, first = divmod(start, images)
        last = min(images, first + stop - start)
        yield view, first, last
        start += last - first


def _checked(logits: Any, folder: Path) -> Any:
    if not np.isfinite(logits).all():
        raise RequestError(
            f"The teacher answered with NaN or infinity while {folder} was filled; check its weights and input size."
        )
    largest = float(np.finfo(np.float16).max)
    return np.clip(logits, -largest, largest)


def _open_shard(path: Path, checksum: str | None, shape: tuple[int, int]) -> Any:
    if checksum is None:
        raise RequestError(
            f"Soft-label store {path.parent} is unfinished: {path.name} is missing. Run the recipe again."
        )
    damaged = f"Soft-label store {path.parent} is damaged: {path.name} {{}}; delete that file and run the recipe again."
    if not path.is_file():
        raise RequestError(damaged.format("is missing"))
    if sha256(path) != checksum:
        raise RequestError(damaged.format("does not match its checksum"))
    shard = np.load(path, mmap_mode="r", allow_pickle=False)
    if shard.shape != shape or shard.dtype != np.float16:
        raise RequestError(damaged.format(f"holds {shard.dtype} {shard.shape}, not float16 {shape}"))
    return shard


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise RequestError(f"Soft-label store {path.parent} has no readable {path.name}; delete the folder to redo it.")
    return value
