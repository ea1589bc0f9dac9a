"""Decodes every photo once, so that a damaged one is found before hours of training and not in them."""

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkd.data.dataset import Progress, Split
from tfkd.data.decode import PhotoError, decode
from tfkd.errors import RequestError
from tfkd.files import fingerprint, write_json

_CHUNK = 512
_NAMED = 3


@dataclass(frozen=True, eq=False)
class Checked:
    """The outcome of a check.

    Attributes:
        splits: the splits that were given, without the photos that cannot be decoded.
        rejected: "name: reason" of each of those.
        content: hex digits that name the photos' bytes, order and labels.
    """

    splits: dict[str, Split]
    rejected: tuple[str, ...]
    content: str


def check(
    splits: dict[str, Split], max_rejected: float, progress: Progress | None = None, folder: Path | None = None
) -> Checked:
    """Decodes every photo of these splits in parallel, holding a few hundred at a time.

    Args:
        splits: by name.
        max_rejected: largest share of all photos that may fail.
        progress: called with (done, in all).
        folder: keeps the outcome, under the photos' stamps, and answers from there when nothing has changed.

    Raises:
        RequestError: more than `max_rejected` of the photos cannot be decoded.
    """
    stamp = fingerprint({name: [split.photos.stamp, split.longest_side, len(split)] for name, split in splits.items()})
    kept = None if folder is None else folder / f"check-{stamp}.json"
    if kept is not None and kept.is_file():
        outcome = json.loads(kept.read_text(encoding="utf-8"))
    else:
        outcome = _outcome(splits, progress)
        if kept is not None:
            write_json(kept, outcome)
    failures: dict[str, dict[str, str]] = outcome["failures"]
    rejected = tuple(
        f"{split.name(int(i))}: {reason}" for name, split in splits.items() for i, reason in failures[name].items()
    )
    _judge(rejected, sum(map(len, splits.values())), max_rejected)
    sound = {name: split.take(_without(len(split), failures[name])) for name, split in splits.items()}
    return Checked(sound, rejected, outcome["content"])


def _outcome(splits: dict[str, Split], progress: Progress | None) -> dict[str, object]:
    total = sum(map(len, splits.values()))
    done = 0
    content = hashlib.sha256()
    failures: dict[str, dict[str, str]] = {name: {} for name in splits}
    for name, split in splits.items():
        content.update(f"{name} {len(split)};".encode())
        for i, (crc, reason) in enumerate(_decoded(split)):
            content.update(f"{split.labels[i]} {crc};".encode())
            if reason:
                failures[name][str(i)] = reason
            done += 1
            if progress is not None and (done % 64 == 0 or done == total):
                progress(done, total)
    return {"failures": failures, "content": content.hexdigest()}


def _decoded(split: Split) -> Iterator[tuple[int, str]]:
    def attempt(i: int) -> tuple[int, str]:
        try:
            encoded = split.encoded(i)
        except PhotoError as error:
            return 0, str(error)
        try:
            decode(encoded, split.longest_side)
        except PhotoError as error:
            return zlib.crc32(encoded), str(error)
        return zlib.crc32(encoded), ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(split), _CHUNK):  # map() alone would queue a million photos at once
            yield from pool.map(attempt, range(start, min(start + _CHUNK, len(split))))


def _judge(rejected: tuple[str, ...], total: int, max_rejected: float) -> None:
    if len(rejected) <= max_rejected * total:
        return
    more = f" and {len(rejected) - _NAMED} more" if len(rejected) > _NAMED else ""
    raise RequestError(
        f"{len(rejected)} of {total} files cannot be decoded, over data.max_rejected = {max_rejected:g}: "
        f"{'; '.join(rejected[:_NAMED])}{more}. Repair or remove them, or raise the limit."
    )


def _without(count: int, failures: dict[str, str]) -> np.ndarray:
    return np.setdiff1d(np.arange(count), np.array([int(i) for i in failures], np.int64))
