"""Images as arrays in memory, converted to a model's input or to files."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfkd import arguments
from tfkd.errors import RequestError
from tfkd.inputs.image.decode import upright_rgb
from tfkd.inputs.image.tensors import side_of
from tfkd.inputs.image.views import center
from tfkd.inputs.label_numbers import label_numbers
from tfkd.signature import Signature

LISTED = "images.csv"


def fitted(images: Any, signature: Signature) -> np.ndarray:
    """Returns images as a model's input: the largest square in the middle of each, resized.

    Args:
        images: raw RGB 0..255, uint8 or numbers of another dtype, [n, H, W, 3]; one image [H, W, 3]; or a list of
            images of any sizes.
        signature: the model's signature, a square of side S.

    Returns:
        uint8 [n, S, S, 3].

    Raises:
        RequestError: they have another shape or other values.
    """
    side = side_of(signature)
    squares = [center(Image.fromarray(each), side) for each in _listed(images)]
    return np.stack(squares) if squares else np.zeros((0, side, side, 3), np.uint8)


def write_files(images: Any, labels: Any, classes: Sequence[str], folder: Path) -> str:
    """Writes labelled images without loss, and returns the source that names them, for `data.source`.

    Args:
        images: as `fitted` takes them.
        labels: int [n], numbers of classes.
        classes: names, in order.
        folder: where to; it is made where it is missing.

    Raises:
        RequestError: the images have another shape or other values, or a label is no class.
    """
    listed = _listed(images)
    numbers = label_numbers(labels, len(listed), len(classes), "image")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LISTED).open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("path", "label"))
        for number, (image, label) in enumerate(zip(listed, numbers.tolist(), strict=True)):
            name = f"{number:06}.png"
            Image.fromarray(image).save(folder / name, compress_level=1)
            table.writerow((name, classes[label]))
    return source_in(folder)


def source_in(folder: Path) -> str:
    """Returns the source that `write_files` writes into a folder."""
    return f"files:{folder / LISTED}"


def _listed(images: Any) -> list[np.ndarray]:
    """Returns each image as uint8 [H, W, 3]."""
    if isinstance(images, Image.Image) or (isinstance(images, np.ndarray) and images.ndim == 3):
        images = [images]
    if isinstance(images, str | bytes | Mapping) or not isinstance(images, Iterable):
        raise arguments.wrong("images", images, "an array, or a list of images: RGB [n, H, W, 3], values 0 to 255")
    return [_pixels(_array(each)) for each in images]


def _array(image: Any) -> np.ndarray:
    if isinstance(image, Image.Image):
        if image.mode[0] in "IF":
            raise RequestError(
                f"An image of Pillow has the mode {image.mode!r}; convert it to 8 bits per channel first."
            )
        return np.asarray(upright_rgb(image))
    try:
        return np.asarray(image)
    except ValueError as error:
        raise arguments.wrong("an image", image, "RGB [H, W, 3], values 0 to 255") from error


def _pixels(image: np.ndarray) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise RequestError(
            f"An image has the shape {image.shape}; give RGB [H, W, 3], values 0 to 255. For a grey one, repeat its "
            "channel: np.stack([grey] * 3, axis=-1)."
        )
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if not (np.issubdtype(image.dtype, np.integer) or np.issubdtype(image.dtype, np.floating)):
        raise RequestError(
            f"An image has the dtype {image.dtype}; give RGB values from 0 to 255 as numbers, e.g. uint8."
        )
    if not np.isfinite(image).all():
        raise RequestError("An image holds values that are not finite numbers; give RGB values from 0 to 255.")
    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 255 or 0 < high <= 1:
        raise RequestError(
            f"An image holds values from {low:.3g} to {high:.3g}; give RGB values from 0 to 255, not normalised: the "
            "model does that itself."
        )
    return np.rint(image).astype(np.uint8)
