"""Random operations on views, as in RandAugment (Cubuk et al. 2019, arXiv:1909.13719).

Every operation maps (square RGB view, strength) to such a view. A strength lies in -1..1; the further from 0, the more
changes, and 0 changes nothing. Operations without a direction ignore its sign. Lengths are relative to the view's side,
and statistics are measured on a grid of fixed size, so that a view is the same at every size. There is no inversion of
the whole view.
"""

import math
from collections.abc import Iterable

import numpy as np
from PIL import Image

_GRID = (64, 64)  # finer than this, nothing is measured or sharpened
_FILL = (128, 128, 128)  # mid-grey, where geometry uncovers what is outside of the view
_MAX_ANGLE = math.radians(30.0)
_MAX_SHEAR = 0.3
_MAX_SHIFT = 0.3
_POSTERIZED_BITS = 4.0  # lost at full strength
_SHARPENED = 0.9
_SOLARIZED = 0.5  # fraction of the range that full strength inverts
_LEVELS = np.arange(256.0)


def operate(view: Image.Image, random: np.random.Generator, count: int, magnitude: float) -> Image.Image:
    """Applies operations drawn at random, one after the other; one may come twice.

    Args:
        view: square, RGB.
        random: the view's own.
        count: how many operations.
        magnitude: 0..1; each strength is drawn uniformly from -magnitude..magnitude.
    """
    for which, strength in random.random((count, 2)).tolist():
        operation = OPERATIONS[int(which * len(OPERATIONS))]
        view = operation(view, magnitude * (2.0 * strength - 1.0))
    return view


def autocontrast(view: Image.Image, strength: float) -> Image.Image:
    """Stretches each channel that is not flat, at full strength to the whole range."""
    extremes = np.array(_on_grid(view).getextrema())
    stretched = [(_LEVELS - low) * (255.0 / (high - low)) if high > low else _LEVELS for low, high in extremes]
    return _mapped(view, [_blend(_LEVELS, channel, abs(strength)) for channel in stretched])


def equalize(view: Image.Image, strength: float) -> Image.Image:
    """Maps each value of a channel, at full strength to the relative area below it; lowest to 0, highest to 255.

    A flat channel stays as it is.
    """
    channels = np.reshape(_on_grid(view).histogram(), (3, 256))
    return _mapped(view, [_blend(_LEVELS, _equalized(counts), abs(strength)) for counts in channels])


def posterize(view: Image.Image, strength: float) -> Image.Image:
    """Rounds to steps of up to 2^4, a continuous number of lost bits."""
    step = 2.0 ** (_POSTERIZED_BITS * abs(strength))
    return _mapped(view, [np.rint(_LEVELS / step) * step] * 3)


def solarize(view: Image.Image, strength: float) -> Image.Image:
    """Inverts what is brighter than a threshold, which falls from white to mid-grey."""
    threshold = 255.0 * (1.0 - _SOLARIZED * abs(strength))
    return _mapped(view, [np.where(threshold < _LEVELS, 255.0 - _LEVELS, _LEVELS)] * 3)


def sharpness(view: Image.Image, strength: float) -> Image.Image:
    """Adds or takes away up to 0.9 of the difference from the view without its fine detail."""
    blurred = _on_grid(view).resize(view.size, Image.Resampling.BILINEAR)
    return Image.blend(blurred, view, 1.0 + _SHARPENED * strength)


def rotate(view: Image.Image, strength: float) -> Image.Image:
    """Turns by up to 30° about the middle."""
    angle = _MAX_ANGLE * strength
    cos, sin = math.cos(angle), math.sin(angle)
    return _warp(view, cos, -sin, 0.0, sin, cos, 0.0)


def shear_x(view: Image.Image, strength: float) -> Image.Image:
    """Shifts each row by up to 0.3 of its distance from the middle."""
    return _warp(view, 1.0, _MAX_SHEAR * strength, 0.0, 0.0, 1.0, 0.0)


def shear_y(view: Image.Image, strength: float) -> Image.Image:
    """Shifts each column by up to 0.3 of its distance from the middle."""
    return _warp(view, 1.0, 0.0, 0.0, _MAX_SHEAR * strength, 1.0, 0.0)


def translate_x(view: Image.Image, strength: float) -> Image.Image:
    """Moves sideways by up to 0.3 of the side."""
    return _warp(view, 1.0, 0.0, _MAX_SHIFT * strength, 0.0, 1.0, 0.0)


def translate_y(view: Image.Image, strength: float) -> Image.Image:
    """Moves up or down by up to 0.3 of the side."""
    return _warp(view, 1.0, 0.0, 0.0, 0.0, 1.0, _MAX_SHIFT * strength)


OPERATIONS = (
    autocontrast,
    equalize,
    posterize,
    solarize,
    sharpness,
    rotate,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
)


def _blend(first: np.ndarray, second: np.ndarray, fraction: float) -> np.ndarray:
    return first + fraction * (second - first)


def _on_grid(view: Image.Image) -> Image.Image:
    return view.resize(_GRID, Image.Resampling.BILINEAR)


def _equalized(counts: np.ndarray) -> np.ndarray:
    """Returns what each value of a channel goes to, given how often each occurs."""
    below = np.cumsum(counts) - counts
    below_highest = below[np.flatnonzero(counts)[-1]]
    return np.minimum(255.0 * below / below_highest, 255.0) if below_highest else _LEVELS


def _mapped(view: Image.Image, channels: Iterable[np.ndarray]) -> Image.Image:
    """Replaces values by what each of three channels has for them, rounded and brought into the range."""
    table = np.rint(np.concatenate(list(channels))).clip(0, 255).astype(np.uint8)
    return view.point(table.tolist())


def _warp(view: Image.Image, *rows: float) -> Image.Image:
    """Takes each pixel from where an affine map sends it; the map is about the middle, in sides of the view.

    Args:
        view: square, RGB.
        rows: the two rows [x from x, x from y, shift of x, y from x, y from y, shift of y].
    """
    (xx, xy, dx), (yx, yy, dy) = rows[:3], rows[3:]
    x = view.width * (dx + (1.0 - xx - xy) / 2)
    y = view.width * (dy + (1.0 - yx - yy) / 2)
    affine = (xx, xy, x, yx, yy, y)
    return view.transform(view.size, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR, fillcolor=_FILL)
