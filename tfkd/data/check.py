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

FORM = 2  # of the kept outcome
_CHUNK = 512
_NAMED = 3


@dataclass(frozen=True, eq=False)
class Checked:
    """The outcome of a check.

    Attributes:
        splits: the splits that were given, without the photos that cannot be decoded.
        rejected: "name: reason" of each of those.
        content: hex digits that name the photos' bytes, order and labels.
        contents: the same of each split with those before it, by the split's name.
    """

    splits: dict[str, Split]
    rejected: tuple[str, ...]
    contents: dict[str, str]

    @property
    def content(self) -> str:
        return list(self.contents.values())[-1]


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
    stamp = fingerprint(
        FORM, {name: [split.photos.stamp, split.longest_side, len(split)] for name, split in splits.items()}
    )
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
    return Checked(sound, rejected, outcome["contents"])


def _outcome(splits: dict[str, Split], progress: Progress | None) -> dict[str, object]:
    total = sum(map(len, splits.values()))
    done = 0
    content = hashlib.sha256()
    contents: dict[str, str] = {}
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
        contents[name] = content.hexdigest()
    return {"failures": failures, "contents": contents}


def content(split: Split, folder: Path) -> str:
    """Returns hex digits that name the bytes and the order of a split's photos.

    Args:
        split: the photos; they are read, not decoded.
        folder: keeps the digits under the photos' stamp, so that unchanged photos are read once.

    Raises:
        RequestError: a photo cannot be read.
    """
    kept = folder / f"content-{fingerprint(split.photos.stamp, split.numbers.tolist())}.json"
    if not kept.is_file():
        whole = hashlib.sha256()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(split), _CHUNK):
                for digits in pool.map(
                    lambda i: _photo_digest(split, i), range(start, min(start + _CHUNK, len(split)))
                ):
                    whole.update(digits)
        write_json(kept, whole.hexdigest())
    return str(json.loads(kept.read_text(encoding="utf-8")))


def _photo_digest(split: Split, i: int) -> bytes:
    try:
        return hashlib.sha256(split.encoded(i)).digest()
    except PhotoError as error:
        raise RequestError(f"{split.name(i)} cannot be read: {error}.") from None


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
