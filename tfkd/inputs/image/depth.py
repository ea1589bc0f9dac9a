"""Photos with more than 8 bits per sample, and the range of values that maps to 0 to 255.

A range belongs to a data set, never to one photo: a stretch per photo would change how bright photos are relative to
each other. It is declared (`data.pixel_range`) or follows from the extreme values of all photos of a kind.
"""

import io
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tfkd.signature import Range

EIGHT = "8-bit"
SIXTEEN = "16-bit"
INTEGER = "32-bit"
FLOAT = "float"
FULL: dict[str, Range] = {EIGHT: (0, 255), SIXTEEN: (0, 65535)}

_BITS = (8, 10, 12, 14, 16)
_FLOATS: tuple[Range, ...] = ((0, 1), (-1, 1), (0, 255), *((0, 2**bits - 1) for bits in _BITS[1:]))
_SLACK = 1e-3  # by how much of a range floats may exceed it after resampling (of 255 at most)
# TIFF 6.0, sections 19 and 4 (page 37).
_SAMPLE_FORMAT, _UNSIGNED, _SIGNED = 339, 1, 2
_PHOTOMETRIC, _WHITE_IS_ZERO, _BLACK_IS_ZERO = 262, 0, 1
_SAMPLED, _QUANTILES = 4096, 129  # number of pixels and values to judge a photo's contrast
_OTHER_BYTE = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
_COLOURS = ("RGB;16", "RGBA;16", "RGBX;16")


@dataclass(frozen=True, eq=False)
class Deep:
    """A decoded photo of more than 8 bits, as it is stored.

    Attributes:
        kind: SIXTEEN, INTEGER or FLOAT.
        values: [h, w] or [h, w, 3 or 4], numbers; the fourth is the opacity.
        white_is_zero: the smallest value is white, as in X-ray pictures.
    """

    kind: str
    values: np.ndarray
    white_is_zero: bool = False

    @property
    def colours(self) -> np.ndarray:
        """The values without the opacity, [h, w] or [h, w, 3]."""
        return self.values[..., :3] if self.values.ndim == 3 else self.values

    def finite(self) -> np.ndarray:
        """Returns the finite values of the colours, [n]."""
        return self.colours[np.isfinite(self.colours)] if self.kind == FLOAT else self.colours.ravel()

    def extremes(self) -> Range:
        """Returns the smallest and the largest finite value of the colours; (0, 0) where there is none."""
        finite = self.finite()
        return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)

    def quantiles(self) -> np.ndarray:
        """Returns values of the colours at even steps of their order, smallest to largest, float64 [129]."""
        finite = self.finite()
        sample = np.sort(finite[:: len(finite) // _SAMPLED + 1]).astype(np.float64)
        return sample[np.linspace(0, len(sample) - 1, _QUANTILES).astype(int)]

    def eight_bit(self, limits: Range) -> Image.Image:
        """Returns the photo with `limits` as 0 and 255; values outside are clipped, values that are no number are 0.

        Integers keep their high bits, so that [0, 65535] gives the high byte.
        """
        low, high = limits
        colours = self.colours.astype(np.float64)
        offset = high - colours if self.white_is_zero else colours - low
        pixels = _eight_bit(self.kind, offset, high - low)
        if self.values.ndim == 3 and self.values.shape[2] == 4:
            opacity = self.values[..., 3:].astype(np.float64)
            whole = high if opacity.max() <= high else FULL[SIXTEEN][1]  # some programs scale it like the colours
            opacity = _eight_bit(SIXTEEN, opacity, whole)
            pixels = np.concatenate([pixels, opacity], axis=2)
        return Image.fromarray(pixels)


def _eight_bit(kind: str, offset: np.ndarray, span: float) -> np.ndarray:
    if kind == FLOAT:
        scaled = np.rint(np.nan_to_num(offset, nan=0.0, posinf=span, neginf=0.0) * (255 / span))
    else:
        scaled = np.floor(offset * (256 / (span + 1)))
    return np.clip(scaled, 0, 255).astype(np.uint8)


def loses_contrast(quantiles: np.ndarray, limits: Range) -> bool:
    """Returns whether most differences within a photo vanish once `limits` map to 0 and 255.

    Args:
        quantiles: of its values (see `Deep.quantiles`).
        limits: the range.
    """
    low, high = limits
    levels = np.floor((quantiles - low) * (256 / (high - low)))
    return len(np.unique(np.clip(levels, 0, 255))) * 3 < len(np.unique(quantiles))


def deep(image: Image.Image, encoded: bytes) -> Deep | None:
    """Returns the values of an opened photo of more than 8 bits, or None of any other.

    Args:
        image: as Pillow opened it, its pixels not loaded.
        encoded: the same photo's bytes.
    """
    if image.mode.startswith("I;16"):
        return Deep(SIXTEEN, _grey(image), _white_is_zero(image))
    if image.mode == "I":
        return _integers(image)
    if image.mode == "F":
        return Deep(FLOAT, np.asarray(image), _white_is_zero(image))
    if image.mode == "L" and _tag(image, _SAMPLE_FORMAT, _UNSIGNED) == _SIGNED:
        return Deep(INTEGER, np.asarray(image).view(np.int8).astype(np.int32))
    return _grey_and_opacity(image, encoded) or _colours(image, encoded)


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


def _tag(image: Image.Image, number: int, default: int) -> int:
    """Returns the first value of a TIFF tag; of other formats the default."""
    value = getattr(image, "tag_v2", {}).get(number, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _white_is_zero(image: Image.Image) -> bool:
    """Returns whether the smallest value of a TIFF photo is white; Pillow inverts only those of 8 bits."""
    return _tag(image, _PHOTOMETRIC, _BLACK_IS_ZERO) == _WHITE_IS_ZERO


def _integers(image: Image.Image) -> Deep:
    values = np.asarray(image)
    if image.format == "PPM" or image.format == "PNG":  # Pillow gives them 0 to 65535
        return Deep(SIXTEEN, values)
    if _tag(image, _SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED:
        values = values.view(np.uint32)
    return Deep(INTEGER, values)


def _grey(image: Image.Image) -> np.ndarray:
    values = np.asarray(image).astype(np.uint16)
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return values
    return _with_opacity(np.stack([values] * 3, axis=2), values != transparent)


def _with_opacity(colours: np.ndarray, opaque: np.ndarray) -> np.ndarray:
    return np.concatenate([colours, np.where(opaque, 65535, 0).astype(np.uint16)[..., None]], axis=2)


def _grey_and_opacity(image: Image.Image, encoded: bytes) -> Deep | None:
    """Returns a 16-bit PNG of grey and opacity, whose four bytes per pixel Pillow can give as RGBA."""
    if [_raw_mode(tile.args) for tile in getattr(image, "tile", [])] != ["LA;16B"]:
        return None
    with Image.open(io.BytesIO(encoded), formats=["PNG"]) as second:
        second._mode = "RGBA"
        second.tile = [tile._replace(args="RGBA") for tile in second.tile]
        high_and_low = np.asarray(second).astype(np.uint16)
    values = high_and_low[..., ::2] << 8 | high_and_low[..., 1::2]
    return Deep(SIXTEEN, values[..., [0, 0, 0, 1]])


def _colours(image: Image.Image, encoded: bytes) -> Deep | None:
    """Returns colours of 16 bits, of which Pillow gives one byte at a time: the high one, or the low one on request."""
    raw = [_raw_mode(tile.args) for tile in getattr(image, "tile", [])]
    if not raw or not all(mode[:-1] in _COLOURS and mode[-4:] in _OTHER_BYTE for mode in raw):
        return None
    with Image.open(io.BytesIO(encoded), formats=[image.format or ""]) as second:
        second.tile = [tile._replace(args=_other_byte(tile.args)) for tile in second.tile]
        low = np.asarray(second).astype(np.uint16)
    values = np.asarray(image).astype(np.uint16) << 8 | low
    transparent = image.info.get("transparency")
    if isinstance(transparent, tuple) and values.shape[2] == len(transparent):
        values = _with_opacity(values, (values != transparent).any(axis=2))
    return Deep(SIXTEEN, values)


def _raw_mode(args: object) -> str:
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _other_byte(args: Any) -> Any:
    mode = _raw_mode(args)
    swapped = mode[:-4] + _OTHER_BYTE[mode[-4:]]
    return (swapped, *args[1:]) if isinstance(args, tuple) else swapped
