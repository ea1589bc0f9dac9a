"""What a model sees of a photo: its colours, its brightness, its edges, or a paired picture from elsewhere.

A modality is named "rgb", "grey", "edges" or "folder:PATH". The first three are functions of the finished picture, at
the model's own input size: after crop, resize and augmentation. Edges of a larger input are therefore finer ones. An
app has to do the same to its camera's picture. A folder gives other files with the same names instead.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfkd.data.check import deep_ranges
from tfkd.data.dataset import ImageData, Split
from tfkd.data.folder import paired
from tfkd.errors import RequestError, nearest
from tfkd.inputs.image.views import LUMA

_PARTS = ("train", "validation", "test", "unlabelled")

Transform = Callable[[tf.Tensor], tf.Tensor]


def rgb(image: tf.Tensor) -> tf.Tensor:
    """Returns the image (float32 [..., h, w, 3], 0..255) as it is."""
    return image


def grey(image: tf.Tensor) -> tf.Tensor:
    """Returns the luma (ITU-R BT.601) in three equal channels.

    Args:
        image: float32 [..., h, w, 3], 0..255.

    Returns:
        float32 [..., h, w, 3], 0..255.
    """
    return _three_channels(_luma(image))


def edges(image: tf.Tensor) -> tf.Tensor:
    """Returns the magnitude of the luma's Sobel gradient in three equal channels.

    It is divided by 4, so that a straight edge from black to white gives 255; what a corner gives above is clipped.
    The image goes on beyond its border as the border's own pixels.

    Args:
        image: float32 [..., h, w, 3], 0..255.

    Returns:
        float32 [..., h, w, 3], 0..255.
    """
    luma = _luma(image)
    luma = tf.pad(luma, [[0, 0]] * (luma.shape.rank - 2) + [[1, 1], [1, 1]], "SYMMETRIC")
    across = luma[..., 2:] - luma[..., :-2]
    down = luma[..., 2:, :] - luma[..., :-2, :]
    x = across[..., :-2, :] + 2.0 * across[..., 1:-1, :] + across[..., 2:, :]
    y = down[..., :-2] + 2.0 * down[..., 1:-1] + down[..., 2:]
    return _three_channels(tf.minimum(tf.sqrt(x * x + y * y) / 4.0, 255.0))


TRANSFORMS: dict[str, Transform] = {"rgb": rgb, "grey": grey, "edges": edges}


def transform(name: str) -> Transform:
    """Returns the function that makes this modality of a finished picture; a folder's pictures stay as they are.

    Raises:
        RequestError: there is no such modality.
    """
    if _path(name):
        return rgb
    if name not in TRANSFORMS:
        raise RequestError(f"There is no modality {name!r}.{nearest(name, [*TRANSFORMS, 'folder:PATH'])}")
    return TRANSFORMS[name]


def seen(name: str, split: Split) -> Split:
    """Returns a split's photos as this modality shows them: photo i there belongs to photo i here.

    Raises:
        RequestError: there is no such modality, or a photo has no partner in its folder.
    """
    transform(name)
    path = _path(name)
    return dataclasses.replace(paired(split, path) if path else split, modality=name)


def all_seen(name: str, data: ImageData) -> ImageData:
    """Returns every split of a run's images as this modality shows them.

    Raises:
        RequestError: there is no such modality, or a photo has no partner in its folder.
    """
    splits = {part: split for part in _PARTS if (split := getattr(data, part)) is not None}
    shown: dict[str, Any] = {part: seen(name, split) for part, split in splits.items()}
    if _path(name):
        ranges = deep_ranges(list(shown.values()))
        shown = {part: dataclasses.replace(split, ranges=ranges) for part, split in shown.items()}
    return dataclasses.replace(data, **shown)


def _path(name: str) -> str:
    """Returns the path of a "folder:PATH", or nothing."""
    kind, _, path = name.partition(":")
    return path if kind == "folder" else ""


def _luma(image: tf.Tensor) -> tf.Tensor:
    return tf.tensordot(image, tf.constant(LUMA), 1)


def _three_channels(image: tf.Tensor) -> tf.Tensor:
    return tf.repeat(image[..., None], 3, axis=-1)
