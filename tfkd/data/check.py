"""Decodes every photo once, so that a damaged one is found before hours of training and not in them."""

import dataclasses
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tfkd.data import duplicates
from tfkd.data.dataset import Progress, Split
from tfkd.errors import RequestError
from tfkd.files import fingerprint, read_sealed, write_sealed
from tfkd.inputs.image.decode import PhotoError, read
from tfkd.inputs.image.depth import EIGHT, FULL, Deep, Range, Ranges, fitting, loses_contrast

_CODE = 4  # raise it when the outcome holds other facts
_CHUNK = 512
_DARK = 15  # of 255: brightest value of a photo that is all but black
_PLAIN = 2  # of 255: largest difference of values within a photo of one colour
_SAMPLE = 32  # side of the thumbnail in which a blank photo shows, pixels
_COPY = 128  # side of the thumbnail in which two photos differ, pixels


@dataclass(frozen=True, eq=False)
class Checked:
    """The outcome of a check.

    Attributes:
        splits: the splits that were given, without the photos that cannot be decoded.
        rejected: "name: reason" of each of those.
        contents: hex digits that name the bytes, order and labels of each split and of those before it, by its name.
        ranges: the values that become 0 and 255 in photos of more than 8 bits, by kind.
        found: the smallest and the largest value of those photos, by kind.
        blank: names of photos that are all but black, or of one colour.
        crowded: how many photos of each kind lose most of their contrast in its range, and how many there are.
    """

    splits: dict[str, Split]
    rejected: tuple[str, ...]
    contents: dict[str, str]
    ranges: Ranges
    found: Mapping[str, Range]
    blank: tuple[str, ...]
    crowded: Mapping[str, tuple[int, int]]

    @property
    def content(self) -> str:
        """Hex digits that name the photos of all splits, their order and labels."""
        return list(self.contents.values())[-1]


class _Photo(NamedTuple):
    """What one photo's bytes and pixels are.

    Attributes:
        checksum: CRC-32 of the bytes.
        reason: why it cannot be decoded, or nothing.
        digest: of the pixels; 0 where there are none, even where it is of a thumbnail.
        kind: of the values.
        values: the smallest and the largest one; of 8-bit photos those of the channel that differs most.
        quantiles: of the values of a photo of more than 8 bits (see `Deep.quantiles`).
    """

    checksum: int
    reason: str = ""
    digest: int = 0
    kind: str = EIGHT
    values: Range = (0.0, 255.0)
    quantiles: np.ndarray | None = None


def check(
    splits: dict[str, Split],
    max_rejected: float,
    progress: Progress | None = None,
    folder: Path | None = None,
    ranges: Ranges | None = None,
    declared: Range | None = None,
) -> Checked:
    """Decodes every photo of these splits in parallel, holding a few hundred at a time.

    Args:
        splits: by name.
        max_rejected: largest fraction of all photos that may fail.
        progress: called with (done, in all).
        folder: keeps the outcome, under the photos' stamps, and answers from there when nothing has changed.
        ranges: the values that become 0 and 255, by the kind of photos of more than 8 bits; those of other kinds follow
            from the photos.
        declared: the range of all kinds.

    Raises:
        RequestError: more than `max_rejected` of the photos cannot be decoded.
    """
    asked = [_CODE, dict(ranges or {}), declared]
    stamp = fingerprint(asked, {name: _stamp(split) for name, split in splits.items()})
    kept = None if folder is None else folder / f"check-{stamp}.json"
    outcome = None if kept is None else read_sealed(kept)
    if outcome is None:
        outcome = _outcome(splits, progress, ranges or {}, declared)
        if kept is not None:
            write_sealed(kept, outcome)
    rejected = [
        (split.name(int(i)), reason)
        for name, split in splits.items()
        for i, reason in outcome["failures"][name].items()
    ]
    _judge(rejected, sum(map(len, splits.values())), max_rejected)
    return Checked(
        splits={name: _sound(split, outcome, name) for name, split in splits.items()},
        rejected=tuple(f"{name}: {reason}" for name, reason in rejected),
        contents=outcome["contents"],
        ranges=_pairs(outcome["ranges"]),
        found=_pairs(outcome["found"]),
        blank=tuple(split.name(i) for name, split in splits.items() for i in outcome["blank"][name]),
        crowded={kind: (count, total) for kind, (count, total) in outcome["crowded"].items()},
    )


def _stamp(split: Split) -> list[Any]:
    order = hashlib.sha256(split.numbers.tobytes() + split.labels.tobytes()).hexdigest()
    return [split.photos.stamp, split.longest_side, len(split), order]


def _pairs(ranges: dict[str, list[float]]) -> dict[str, Range]:
    return {kind: (low, high) for kind, (low, high) in ranges.items()}


def _sound(split: Split, outcome: dict[str, Any], name: str) -> Split:
    """Returns the photos of a split that can be decoded, with what was found of them."""
    described = dataclasses.replace(
        split,
        ranges=_pairs(outcome["ranges"]),
        checksums=np.frombuffer(bytes.fromhex(outcome["checksums"][name]), np.uint32),
        copies=_column(len(split), outcome["copies"][name]),
    )
    failed = np.array([int(i) for i in outcome["failures"][name]], np.int64)
    return described.take(np.setdiff1d(np.arange(len(split)), failed))


def _column(count: int, numbers: dict[str, int]) -> np.ndarray:
    column = np.full(count, duplicates.NO_COPY, np.int64)
    for i, number in numbers.items():
        column[int(i)] = number
    return column


def _outcome(
    splits: dict[str, Split], progress: Progress | None, given: Ranges, declared: Range | None
) -> dict[str, Any]:
    photos = _Facts(splits)
    total, done = sum(map(len, splits.values())), 0
    for name, split in splits.items():
        photos.begin(name)
        for i, photo in enumerate(_examined(split)):
            photos.add(name, i, photo)
            done += 1
            if progress is not None and (done % 64 == 0 or done == total):
                progress(done, total)
        photos.end(name)
    return photos.outcome(given, declared)


class _Facts:
    """Gathers what a check finds, photo by photo."""

    def __init__(self, splits: dict[str, Split]) -> None:
        self.splits = splits
        self.content = hashlib.sha256()
        self.contents: dict[str, str] = {}
        self.failures: dict[str, dict[str, str]] = {name: {} for name in splits}
        self.checksums = {name: np.zeros(len(split), np.uint32) for name, split in splits.items()}
        self.digests = {name: np.zeros(len(split), np.uint64) for name, split in splits.items()}
        self.found: dict[str, Range] = {}
        self.values: dict[tuple[str, int], tuple[str, Range]] = {}  # of deep photos, and of others that look blank
        self.quantiles: dict[str, list[np.ndarray]] = {}

    def begin(self, name: str) -> None:
        self.content.update(f"{name} {len(self.splits[name])};".encode())

    def end(self, name: str) -> None:
        self.contents[name] = self.content.hexdigest()

    def add(self, name: str, i: int, photo: _Photo) -> None:
        self.content.update(f"{self.splits[name].labels[i]} {photo.checksum};".encode())
        self.checksums[name][i] = photo.checksum
        if photo.reason:
            self.failures[name][str(i)] = photo.reason
            return
        self.digests[name][i] = photo.digest
        _widen(self.found, photo)
        if photo.quantiles is not None:
            self.quantiles.setdefault(photo.kind, []).append(photo.quantiles)
        if photo.kind != EIGHT or _blank(photo.values, FULL[EIGHT]):
            self.values[name, i] = photo.kind, photo.values

    def outcome(self, given: Ranges, declared: Range | None) -> dict[str, Any]:
        ranges = {kind: declared or given.get(kind) or fitting(kind, *values) for kind, values in self.found.items()}
        blank: dict[str, list[int]] = {name: [] for name in self.splits}
        for (name, i), (kind, values) in self.values.items():
            if _blank(values, ranges.get(kind, FULL[EIGHT])):
                blank[name].append(i)
        copied = self._copies()
        return {
            "failures": self.failures,
            "contents": self.contents,
            "ranges": ranges,
            "found": self.found,
            "blank": blank,
            "crowded": {
                kind: (sum(loses_contrast(values, ranges[kind]) for values in photos), len(photos))
                for kind, photos in self.quantiles.items()
            },
            "checksums": {name: column.tobytes().hex() for name, column in self.checksums.items()},
            "copies": {
                name: {str(i): int(column[i]) for i in np.flatnonzero(column != duplicates.NO_COPY).tolist()}
                for name, column in copied.items()
            },
        }

    def _copies(self) -> dict[str, np.ndarray]:
        """Numbers photos with the same pixels; large ones whose thumbnails are the same are decoded again."""
        for name, numbers in duplicates.copies(self.digests).items():
            split, digests = self.splits[name], self.digests[name]
            for i in np.flatnonzero((numbers != duplicates.NO_COPY) & (digests % 2 == 0)).tolist():
                digests[i] = _whole_digest(split, i)
        return duplicates.copies(self.digests)


def _whole_digest(split: Split, i: int) -> int:
    try:
        image = read(split.encoded(i), split.longest_side).image
    except PhotoError:  # it has vanished since; reading it for a training will say so
        return 0
    return 0 if image is None else _digest(image.tobytes(), image.size)


def content(split: Split, folder: Path) -> str:
    """Returns hex digits that name the bytes and the order of a split's photos.

    Args:
        split: the photos; they are read, not decoded.
        folder: keeps the digits under the photos' stamp, so that unchanged photos are read once.

    Raises:
        RequestError: a photo cannot be read.
    """
    kept = folder / f"content-{fingerprint(split.photos.stamp, split.numbers.tolist())}.json"
    digits = read_sealed(kept)
    if digits is None:
        whole = hashlib.sha256()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(split), _CHUNK):
                numbers = range(start, min(start + _CHUNK, len(split)))
                for each in pool.map(lambda i: _photo_digest(split, i), numbers):
                    whole.update(each)
        digits = whole.hexdigest()
        write_sealed(kept, digits)
    return str(digits)


def _photo_digest(split: Split, i: int) -> bytes:
    try:
        return hashlib.sha256(split.encoded(i)).digest()
    except PhotoError as error:
        raise RequestError(f"{split.name(i)} cannot be read: {error}.") from None


def deep_ranges(splits: list[Split]) -> Ranges:
    """Returns the values that become 0 and 255 in photos of more than 8 bits, by kind, as all of these photos need it.

    Where the first photo has 8 bits the others are not looked at: pictures that a program made are all of one kind.

    Args:
        splits: photos of one source; those that cannot be decoded are passed over.
    """
    first = next((_examine(split, 0) for split in splits if len(split)), None)
    if first is None or first.kind == EIGHT:
        return {}
    found: dict[str, Range] = {}
    for split in splits:
        for photo in _examined(split):
            _widen(found, photo)
    return {kind: fitting(kind, *values) for kind, values in found.items()}


def _widen(found: dict[str, Range], photo: _Photo) -> None:
    """Lets the extreme values of a photo's kind include the photo's."""
    if photo.kind != EIGHT:
        lowest, highest = found.get(photo.kind, photo.values)
        found[photo.kind] = min(photo.values[0], lowest), max(photo.values[1], highest)


def _examined(split: Split) -> Iterator[_Photo]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(split), _CHUNK):  # map() alone would queue a million photos at once
            numbers = range(start, min(start + _CHUNK, len(split)))
            yield from pool.map(lambda i: _examine(split, i), numbers)


def _examine(split: Split, i: int) -> _Photo:
    try:
        encoded = split.encoded(i)
    except PhotoError as error:
        return _Photo(0, str(error))
    checksum = zlib.crc32(encoded)
    try:
        pixels = read(encoded, split.longest_side)
    except PhotoError as error:
        return _Photo(checksum, str(error))
    image = pixels.image
    if image is not None and max(image.size) > _COPY:
        sample = image.resize((_COPY, _COPY), Image.Resampling.NEAREST)
        return _Photo(checksum, "", _digest(sample.tobytes(), image.size) - 1, EIGHT, _values(image))
    if image is not None:
        return _Photo(checksum, "", _digest(image.tobytes(), image.size), EIGHT, _values(image))
    assert isinstance(pixels.deep, Deep)
    values = pixels.deep.values
    digest = _digest(values.tobytes(), (values.shape, pixels.orientation, pixels.deep.white_is_zero))
    return _Photo(
        checksum, "", digest, pixels.deep.kind, pixels.deep.extremes(), pixels.deep.quantiles().astype(np.float32)
    )


def _digest(pixels: bytes, shape: object) -> int:
    """Returns 63 bits of a hash as an odd number."""
    digest = hashlib.sha256(pixels)
    digest.update(str(shape).encode())
    return int.from_bytes(digest.digest()[:8], "little") | 1


def _values(image: Image.Image) -> Range:
    """Returns (brightest value - largest difference within a channel, brightest value) of an RGB photo."""
    if max(image.size) > _SAMPLE:
        values = _values(image.resize((_SAMPLE, _SAMPLE), Image.Resampling.NEAREST))
        if not _blank(values, FULL[EIGHT]):
            return values
    extrema: Any = image.getextrema()
    brightest = max(high for _, high in extrema)
    return float(brightest - max(high - low for low, high in extrema)), float(brightest)


def _blank(values: Range, limits: Range) -> bool:
    """Tells whether a photo with these values shows next to nothing once `limits` are 0 and 255."""
    factor = 255 / (limits[1] - limits[0])
    low, high = (values[0] - limits[0]) * factor, (values[1] - limits[0]) * factor
    return high <= _DARK or high - low <= _PLAIN or low >= 255 - _PLAIN


def _judge(rejected: list[tuple[str, str]], total: int, max_rejected: float) -> None:
    if len(rejected) <= max_rejected * total:
        return
    names: dict[str, list[str]] = {}
    for name, reason in rejected:
        names.setdefault(reason, []).append(name)
    reasons = [f"{duplicates.some(those, ', ')}: {reason}" for reason, those in names.items()]
    advice = "Repair or remove them." if len(rejected) == total else "Repair or remove them, or raise the limit."
    raise RequestError(
        f"{len(rejected)} of {total} files cannot be read, over data.max_rejected = {max_rejected:g}: "
        f"{duplicates.some(reasons)}. {advice}"
    )
