"""Training views, which depend on the photo and a seed alone.

The seed draws the crop relative to the photo, so the same view can be recreated at any size: a teacher and a student
with different inputs see the same view. A view is made by Pillow in eight bits, as a camera's pictures have them.
"""

import math

import numpy as np
from PIL import Image

from tfkd.inputs.image.operations import operate
from tfkd.inputs.seeds import drawn
from tfkd.recipe import Augment

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, which Pillow's "L" rounds to whole values
_LEVELS = np.arange(256)
_BASE, _OPERATIONS = 0, 1  # purposes of the numbers drawn from a view's seed; tfkd.inputs.image.mixing has the next

Box = tuple[float, float, float, float]


def make_view(photo: Image.Image, seed: np.ndarray, augment: Augment, size: int) -> np.ndarray:
    """Creates one view: a random crop, perhaps flipped, with changed brightness, saturation and contrast.

    The crop has an aspect drawn log-uniformly and an area drawn uniformly, as in Szegedy et al. 2014
    (arXiv:1409.4842); where the photo is too narrow for the area, it is the largest crop of that aspect. The
    operations of `tfkd.inputs.image.operations` come before the colours.

    Args:
        photo: RGB.
        seed: int [2].
        augment: the ranges; how views are mixed does not matter here.
        size: side of the view, pixels; it changes nothing else.

    Returns:
        uint8 [size, size, 3].
    """
    numbers = drawn(seed, _BASE).random(8).tolist()
    view = resample(photo, _crop_box(photo.height, photo.width, numbers[:4], augment), size)
    if augment.flip and numbers[4] < 0.5:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if augment.operations:
        view = operate(view, drawn(seed, _OPERATIONS), augment.operations, augment.magnitude)
    return np.asarray(_recolour(view, numbers[5:], augment))


def center(photo: Image.Image, size: int) -> np.ndarray:
    """Returns the largest square in the middle of a photo, resized as views are: what a model is evaluated on.

    Args:
        photo: RGB.
        size: side of the result, pixels.

    Returns:
        uint8 [size, size, 3].
    """
    side = min(photo.size)
    return np.asarray(resample(photo, ((photo.height - side) / 2, (photo.width - side) / 2, side, side), size))


def resample(photo: Image.Image, box: Box, size: int) -> Image.Image:
    """Resamples a box of a photo to size x size, with a triangle filter that widens where it shrinks (antialiased).

    Along the box's edge the filter reaches what lies just outside of it.

    Args:
        photo: RGB.
        box: top, left, height and width inside of the photo, pixels, fractions allowed.
        size: side of the result, pixels.
    """
    top, left, tall, wide = box
    # Pillow refuses a box that only rounding lets reach outside.
    corners = (left, top, min(left + wide, photo.width), min(top + tall, photo.height))
    return photo.resize((size, size), Image.Resampling.BILINEAR, box=corners)


def _crop_box(height: int, width: int, numbers: list[float], augment: Augment) -> Box:
    """Returns the crop of a photo that four numbers in 0..1 choose."""
    aspect, area, top, left = numbers
    ratio = augment.max_aspect ** (2.0 * aspect - 1.0)
    widest = min(width, height * ratio)
    largest = widest * widest / ratio
    pixels = (augment.min_area + (1.0 - augment.min_area) * area) * height * width
    shrink = min(math.sqrt(pixels / largest), 1.0)
    tall, wide = min(shrink * widest / ratio, height), min(shrink * widest, width)
    return (height - tall) * top, (width - wide) * left, tall, wide


def _recolour(view: Image.Image, numbers: list[float], augment: Augment) -> Image.Image:
    """Applies saturation, contrast (about the view's mean grey) and brightness, as three numbers in 0..1 choose.

    All three are linear in the pixel, so one 3x3 matrix and an offset do them at once.
    """
    most = (augment.brightness, augment.contrast, augment.saturation)
    brightness, contrast, saturation = (
        1.0 + (2.0 * u - 1.0) * at_most for u, at_most in zip(numbers, most, strict=True)
    )
    mean = float(np.dot(view.convert("L").histogram(), _LEVELS)) / (view.width * view.height)
    gain, offset = brightness * contrast, brightness * (1.0 - contrast) * mean
    own, (r, g, b) = gain * saturation, (gain * (1.0 - saturation) * coefficient for coefficient in LUMA)
    return view.convert("RGB", (own + r, g, b, offset, r, own + g, b, offset, r, g, own + b, offset))
