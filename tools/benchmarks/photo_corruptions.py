"""Corruptions of photos as a phone's camera makes them: noise, blur, light, contrast, compression, coarse pixels.

Reference: Hendrycks, Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
2019, arXiv:1903.12261. The strengths are for photos of 64 px, about the middle of its five.
"""

import io
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

_NOISE = 25.0  # standard deviation, of 255
_RADIUS = 1.2  # of the blur, pixels
_BRIGHTER, _LESS_CONTRAST = 1.6, 0.35  # factors
_QUALITY = 12  # of the JPEG
_COARSER = 0.4  # side of the coarse photo / side of the photo

Corruption = Callable[[Image.Image, np.random.Generator], Image.Image]


def noisy(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Adds Gaussian noise."""
    values = np.asarray(photo, np.float32)
    changed = values + random.normal(0.0, _NOISE, values.shape)
    return Image.fromarray(np.clip(np.rint(changed), 0, 255).astype(np.uint8))


def blurred(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Blurs it, as a lens out of focus does."""
    return photo.filter(ImageFilter.GaussianBlur(_RADIUS))


def overexposed(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Makes it brighter; what exceeds the range is clipped."""
    return ImageEnhance.Brightness(photo).enhance(_BRIGHTER)


def flat(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Lowers the contrast, as fog does."""
    return ImageEnhance.Contrast(photo).enhance(_LESS_CONTRAST)


def compressed(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Stores it as a JPEG of low quality."""
    stream = io.BytesIO()
    photo.save(stream, "JPEG", quality=_QUALITY)
    return Image.open(stream).convert("RGB")


def coarse(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Reduces it and enlarges it again."""
    small = photo.resize([max(1, round(_COARSER * side)) for side in photo.size], Image.Resampling.BOX)
    return small.resize(photo.size, Image.Resampling.NEAREST)


CORRUPTIONS: dict[str, Corruption] = {
    "noise": noisy,
    "blur": blurred,
    "overexposure": overexposed,
    "low contrast": flat,
    "JPEG": compressed,
    "coarse pixels": coarse,
}


def corrupted(batches: Iterable[np.ndarray], corruption: Corruption, seed: int) -> Iterator[np.ndarray]:
    """Yields batches of corrupted photos; the same seed gives the same photos.

    Args:
        batches: RGB [b, H, W, 3], 0 to 255.
        corruption: one of CORRUPTIONS.
        seed: of the noise.
    """
    random = np.random.default_rng(seed)
    for batch in batches:
        photos = np.rint(np.asarray(batch)).astype(np.uint8)
        yield np.stack([np.asarray(corruption(Image.fromarray(each), random), np.float32) for each in photos])
