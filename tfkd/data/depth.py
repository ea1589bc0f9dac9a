"""Photos with more than 8 bits per sample, and the range of values that becomes 0 to 255.

A range belongs to a data set, never to one photo: a stretch per photo would change how bright photos are relative to
each other. It is declared (`data.pixel_range`) or follows from the extreme values of all photos of a kind.
"""

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

Range = tuple[float, float]
Ranges = Mapping[str, Range]

EIGHT = "8-bit"
SIXTEEN = "16-bit"
INTEGER = "32-bit"
FLOAT = "float"
FULL: dict[str, Range] = {EIGHT: (0, 255), SIXTEEN: (0, 65535)}

_BITS = (8, 10, 12, 14, 16)
_FLOATS: tuple[Range, ...] = ((0, 1), (-1, 1), (0, 255), *((0, 2**bits - 1) for bits in _BITS[1:]))
_SLACK = 1e-3  # by how much of a range floats may exceed it, as resampling makes them (of 255 at most)
_SAMPLE_FORMAT = 339  # TIFF 6.0, section 19
_UNSIGNED = 1
_OTHER_BYTE = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
_COLOURS = ("RGB;16", "RGBA;16", "RGBX;16")


@dataclass(frozen=True, eq=False)
class Deep:
    """A decoded photo of more than 8 bits, as it is stored.

    Attributes:
        kind: SIXTEEN, INTEGER or FLOAT.
        values: [h, w] or [h, w, 3 or 4], numbers.
    """

    kind: str
    values: np.ndarray

    def extremes(self) -> Range:
        """Returns the smallest and the largest finite value of the colours; (0, 0) where there is none."""
        colours = self.values[..., :3] if self.values.ndim == 3 else self.values
        if self.kind == FLOAT:
            colours = colours[np.isfinite(colours)]
        return (float(colours.min()), float(colours.max())) if colours.size else (0.0, 0.0)

    def eight_bit(self, limits: Range) -> Image.Image:
        """Returns the photo with `limits` as 0 and 255; values outside are clipped, values that are no number are 0.

        Integers keep their high bits, so that [0, 65535] gives the high byte.
        """
        low, high = limits
        offset = self.values.astype(np.float64) - low
        if self.kind == FLOAT:
            scaled = np.rint(np.nan_to_num(offset, nan=0.0, posinf=high - low, neginf=0.0) * (255 / (high - low)))
        else:
            scaled = np.floor(offset * (256 / (high - low + 1)))
        return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))


def deep(image: Image.Image, encoded: bytes) -> Deep | None:
    """Returns the values of an opened photo of more than 8 bits, or None of any other.

    Args:
        image: as Pillow opened it, its pixels not loaded.
        encoded: the same photo's bytes.
    """
    if image.mode.startswith("I;16"):
        return Deep(SIXTEEN, np.asarray(image).astype(np.uint16))
    if image.mode == "I":
        return _integers(image)
    if image.mode == "F":
        return Deep(FLOAT, np.asarray(image))
    return _colours(image, encoded)


def fitting(kind: str, low: float, high: float) -> Range:
    """Returns the range for photos of a kind whose values lie between `low` and `high`.

    Integers get the fewest bits of 8, 10, 12, 14 and 16 that hold them; floats [0, 1], [-1, 1] or the values of such
    integers. All others get the values' own range.
    """
    if kind == FLOAT:
        for start, end in _FLOATS:
            slack = _SLACK * min(end - start, 255)
            if start - slack <= low and high <= end + slack:
                return start, end
    elif low >= 0 and high < 2 ** _BITS[-1]:
        return 0, next(2**bits - 1 for bits in _BITS if high < 2**bits)
    return low, max(high, low + 1)


def _integers(image: Image.Image) -> Deep:
    values = np.asarray(image)
    if image.format == "PPM" or image.format == "PNG":  # Pillow gives them 0 to 65535
        return Deep(SIXTEEN, values)
    tags = getattr(image, "tag_v2", {})
    unsigned = tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))
    if unsigned in (_UNSIGNED, (_UNSIGNED,)):
        values = values.view(np.uint32)
    return Deep(INTEGER, values)


def _colours(image: Image.Image, encoded: bytes) -> Deep | None:
    """Returns colours of 16 bits, of which Pillow gives one byte at a time: the high one, or the low one on request."""
    raw = [_raw_mode(tile.args) for tile in getattr(image, "tile", [])]
    if not raw or not all(mode[:-1] in _COLOURS and mode[-4:] in _OTHER_BYTE for mode in raw):
        return None
    with Image.open(io.BytesIO(encoded), formats=[image.format or ""]) as second:
        second.tile = [tile._replace(args=_other_byte(tile.args)) for tile in second.tile]
        low = np.asarray(second).astype(np.uint16)
    return Deep(SIXTEEN, np.asarray(image).astype(np.uint16) << 8 | low)


def _raw_mode(args: object) -> str:
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _other_byte(args: Any) -> Any:
    mode = _raw_mode(args)
    swapped = mode[:-4] + _OTHER_BYTE[mode[-4:]]
    return (swapped, *args[1:]) if isinstance(args, tuple) else swapped
