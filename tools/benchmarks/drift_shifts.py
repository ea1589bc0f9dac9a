"""Corruptions of photos in five strengths, and mixtures of classes, for the evidence on `tfkd drift`.

Reference: Hendrycks, Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
2019, arXiv:1903.12261. Lengths are relative to the side of a photo, so that the strengths mean the same at any size.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

Corruption = Callable[[Image.Image, float, np.random.Generator], Image.Image]


def noisy(photo: Image.Image, deviation: float, random: np.random.Generator) -> Image.Image:
    """Adds Gaussian noise; its standard deviation is of 255."""
    values = np.asarray(photo, np.float32)
    changed = values + random.normal(0.0, deviation, values.shape)
    return Image.fromarray(np.clip(np.rint(changed), 0, 255).astype(np.uint8))


def blurred(photo: Image.Image, radius: float, random: np.random.Generator) -> Image.Image:
    """Blurs it as a lens out of focus does; the radius is of the side."""
    return photo.filter(ImageFilter.GaussianBlur(radius * photo.width))


def brighter(photo: Image.Image, factor: float, random: np.random.Generator) -> Image.Image:
    """Makes it brighter; what exceeds the range is clipped."""
    return ImageEnhance.Brightness(photo).enhance(factor)


def foggy(photo: Image.Image, white: float, random: np.random.Generator) -> Image.Image:
    """Mixes it with white, a fraction of all light, which lowers the contrast as fog does."""
    return Image.blend(photo, Image.new("RGB", photo.size, (255, 255, 255)), white)


def compressed(photo: Image.Image, quality: float, random: np.random.Generator) -> Image.Image:
    """Stores it as a JPEG."""
    stream = io.BytesIO()
    photo.save(stream, "JPEG", quality=round(quality))
    return Image.open(stream).convert("RGB")


CORRUPTIONS: Mapping[str, tuple[Corruption, tuple[float, ...]]] = {
    "noise": (noisy, (5, 10, 20, 35, 55)),
    "blur": (blurred, (0.01, 0.016, 0.024, 0.035, 0.05)),
    "brightness": (brighter, (1.15, 1.3, 1.6, 2.0, 2.6)),
    "JPEG": (compressed, (50, 30, 18, 10, 5)),
    "fog": (foggy, (0.15, 0.3, 0.45, 0.6, 0.75)),
}
STRENGTHS = (1, 2, 3, 4, 5)
CLASS_WEIGHTS = (1.5, 2.0, 3.0, 5.0, 10.0)  # of a fifth of the classes, at least one
NEW_FRACTIONS = (0.05, 0.1, 0.2, 0.4, 0.8)  # of examples of no class that the student knows


def corrupted(photos: np.ndarray, name: str, strength: int, seed: int) -> np.ndarray:
    """Returns corrupted photos, float32; the same seed gives the same ones.

    Args:
        photos: RGB [n, H, W, 3], 0 to 255.
        name: of CORRUPTIONS.
        strength: of STRENGTHS.
        seed: of the noise.
    """
    function, values = CORRUPTIONS[name]
    random, value = np.random.default_rng(seed), values[strength - 1]
    whole = np.rint(photos).astype(np.uint8)
    return np.stack([np.asarray(function(Image.fromarray(each), value, random), np.float32) for each in whole])


def shifted(
    labels: np.ndarray, classes: int, count: int, strength: int, random: np.random.Generator
) -> np.ndarray | None:
    """Draws examples, a fifth of whose classes are more frequent than before; returns positions, int64 [count].

    Each example is drawn at most once, so None is returned where a class has too few of them.

    Args:
        labels: int [n], the true classes.
        classes: their number.
        count: how many to draw.
        strength: of STRENGTHS.
        random: draws classes and examples.
    """
    favourites = random.choice(classes, max(1, classes // 5), replace=False)
    known = np.bincount(labels, minlength=classes)
    weights = known * np.where(np.isin(np.arange(classes), favourites), CLASS_WEIGHTS[strength - 1], 1.0)
    wanted = random.multinomial(count, weights / weights.sum())
    if (wanted > known).any():
        return None
    order = random.permutation(len(labels))
    drawn = [order[labels[order] == number][: wanted[number]] for number in range(classes)]
    return random.permutation(np.concatenate(drawn))
