"""Findings about photos: bit depth, blank photos, lost contrast."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tfkd.errors import counted, some
from tfkd.inputs.image.decode import read
from tfkd.inputs.image.depth import EIGHT, FULL, Deep, fitting, loses_contrast
from tfkd.inputs.kind import ExampleError, Ranges
from tfkd.signature import Range

_DARK = 15  # of 255: brightest value of an almost black photo
_PLAIN = 2  # of 255: largest difference of values within a photo of one colour
_SAMPLE = 32  # side of the thumbnail for the detection of blank photos, pixels
_COPY = 128  # side of the thumbnail for the detection of equal photos, pixels


class PhotoFinding(NamedTuple):
    """The finding about one photo.

    Attributes:
        digest: of the pixels, odd; even where it is of a thumbnail.
        kind: of the values.
        values: the smallest and the largest one; of 8-bit photos those of the channel that differs most.
        quantiles: of the values of a photo of more than 8 bits (see `Deep.quantiles`).
    """

    digest: int
    kind: str = EIGHT
    values: Range = (0.0, 255.0)
    quantiles: np.ndarray | None = None


def examine(encoded: bytes, longest_side: int) -> PhotoFinding:
    """Decodes a photo and returns the finding.

    Raises:
        ExampleError: it cannot be decoded.
    """
    pixels = read(encoded, longest_side)
    image = pixels.image
    if image is not None and max(image.size) > _COPY:
        sample = image.resize((_COPY, _COPY), Image.Resampling.NEAREST)
        return PhotoFinding(_digest(sample.tobytes(), image.size) - 1, EIGHT, _values(image))
    if image is not None:
        return PhotoFinding(_digest(image.tobytes(), image.size), EIGHT, _values(image))
    assert isinstance(pixels.deep, Deep)
    values = pixels.deep.values
    digest = _digest(values.tobytes(), (values.shape, pixels.orientation, pixels.deep.white_is_zero))
    quantiles = pixels.deep.quantiles().astype(np.float32)
    return PhotoFinding(digest, pixels.deep.kind, pixels.deep.extremes(), quantiles)


def whole_digest(encoded: bytes, longest_side: int) -> int:
    """Returns the digest of all pixels of a photo of 8 bits; 0 if it can no longer be read."""
    try:
        image = read(encoded, longest_side).image
    except ExampleError:
        return 0
    return 0 if image is None else _digest(image.tobytes(), image.size)


class PhotoFindings:
    """Collects the findings of a check, photo by photo.

    Args:
        ranges: the values that become 0 and 255 in photos of more than 8 bits, by kind, where they are settled.
        declared: the range of all kinds.
    """

    def __init__(self, ranges: Ranges, declared: Range | None) -> None:
        self._settled = ranges
        self._declared = declared
        self.found: dict[str, Range] = {}
        self._values: dict[tuple[str, int], tuple[str, Range]] = {}  # of deep photos, and of others that look blank
        self._quantiles: dict[str, list[np.ndarray]] = {}

    def add(self, split: str, position: int, finding: PhotoFinding) -> None:
        """Adds a decoded photo."""
        if finding.kind != EIGHT:
            lowest, highest = self.found.get(finding.kind, finding.values)
            self.found[finding.kind] = min(finding.values[0], lowest), max(finding.values[1], highest)
        if finding.quantiles is not None:
            self._quantiles.setdefault(finding.kind, []).append(finding.quantiles)
        if finding.kind != EIGHT or _blank(finding.values, FULL[EIGHT]):
            self._values[split, position] = finding.kind, finding.values

    @property
    def ranges(self) -> Ranges:
        """The values that map to 0 and 255, by kind."""
        return {
            kind: self._declared or self._settled.get(kind) or fitting(kind, *values)
            for kind, values in self.found.items()
        }

    def facts(self) -> dict[str, Any]:
        """Returns ranges, extreme values, blank photos (split and position), and how many photos lose contrast."""
        ranges = self.ranges
        return {
            "ranges": ranges,
            "found": self.found,
            "blank": [
                place for place, (kind, values) in self._values.items() if _blank(values, ranges.get(kind, FULL[EIGHT]))
            ],
            "crowded": {
                kind: (sum(loses_contrast(values, ranges[kind]) for values in photos), len(photos))
                for kind, photos in self._quantiles.items()
            },
        }


@dataclass(frozen=True)
class PhotoReport:
    """Notes and warnings about photos.

    Attributes:
        facts: of the check.
        name: maps a split and a position in it to the photo's name.
        total: number of photos that could be decoded.
        is_declared: the recipe declares a range.
    """

    facts: Mapping[str, Any]
    name: Callable[[str, int], str]
    total: int
    is_declared: bool

    def notes(self) -> Iterator[str]:
        """Yields notes about the ranges of values that map to 0 to 255."""
        for kind, (first, last) in self.facts["ranges"].items():
            low, high = self.facts["found"][kind]
            yield (
                f"{kind} photos hold values from {low:g} to {high:g}; {first:g} becomes 0 and {last:g} "
                "becomes 255 (data.pixel_range)"
            )
        if self.is_declared and not self.facts["ranges"]:
            yield "data.pixel_range is not used: no photo has more than 8 bits"

    def warnings(self) -> Iterator[str]:
        """Yields warnings about blank photos."""
        blank = [self.name(split, position) for split, position in self.facts["blank"]]
        if blank:
            yield f"{counted(len(blank), 'photo')} all but black or of one colour: {some(blank)}; {self._remedy()}"
        for kind, (count, total) in self.facts["crowded"].items():
            low, high = self.facts["ranges"][kind]
            if 2 * count > total:
                yield (
                    f"{count:,} of {total:,} {kind} photos lose most of their contrast in the range from {low:g} to "
                    f"{high:g}; declare one that fits them as data.pixel_range (a mark for missing pixels or a defect "
                    "may have set this one)"
                )

    def explanation(self) -> str:
        """Returns the explanation of a message about equal photos, if most are blank."""
        blank = len(self.facts["blank"])
        if 2 * blank <= self.total:
            return ""
        return f" ({blank:,} of {self.total:,} photos are all but black or of one colour: {self._remedy()})"

    def _remedy(self) -> str:
        if self.facts["ranges"]:
            return "if their values have another range, declare it as data.pixel_range"
        return "check how they were made"


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
    """Returns whether a photo with these values is blank once `limits` map to 0 and 255."""
    factor = 255 / (limits[1] - limits[0])
    low, high = (values[0] - limits[0]) * factor, (values[1] - limits[0]) * factor
    return high <= _DARK or high - low <= _PLAIN or low >= 255 - _PLAIN
