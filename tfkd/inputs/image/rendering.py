"""Input renderings of an image: its colours, its brightness, its edges, or a paired image.

An input rendering is named "rgb", "grey", "edges" or "folder:PATH". The first three are functions of the finished
image, at the network's own input size: after crop, resize and augmentation. Edges of a larger input are therefore finer
ones. An app has to do the same to its camera's images. A folder gives other files with the same names instead
(`tfkd.data.renderings`).
"""

from collections.abc import Callable
from typing import Any

from tfkd.errors import RequestError, nearest
from tfkd.inputs.image.views import LUMA

Transform = Callable[[Any], Any]


def rgb(image: Any) -> Any:
    """Returns the image (float32 [..., h, w, 3], 0..255) unchanged."""
    return image


def grey(image: Any) -> Any:
    """Returns the luma (ITU-R BT.601) in three equal channels.

    Args:
        image: float32 [..., h, w, 3], 0..255.

    Returns:
        float32 [..., h, w, 3], 0..255.
    """
    return _three_channels(_luma(image))


def edges(image: Any) -> Any:
    """Returns the magnitude of the luma's Sobel gradient in three equal channels.

    It is divided by 4, so that a straight edge from black to white gives 255; what a corner gives above is clipped.
    The image is extended beyond its border by the pixels of the border.

    Args:
        image: float32 [..., h, w, 3], 0..255.

    Returns:
        float32 [..., h, w, 3], 0..255.
    """
    import tensorflow as tf

    luma = _luma(image)
    luma = tf.pad(luma, [[0, 0]] * (luma.shape.rank - 2) + [[1, 1], [1, 1]], "SYMMETRIC")
    across = luma[..., 2:] - luma[..., :-2]
    down = luma[..., 2:, :] - luma[..., :-2, :]
    x = across[..., :-2, :] + 2.0 * across[..., 1:-1, :] + across[..., 2:, :]
    y = down[..., :-2] + 2.0 * down[..., 1:-1] + down[..., 2:]
    return _three_channels(tf.minimum(tf.sqrt(x * x + y * y) / 4.0, 255.0))


TRANSFORMS: dict[str, Transform] = {"rgb": rgb, "grey": grey, "edges": edges}


def transform(name: str) -> Transform:
    """Returns the function that renders finished images; images of a folder are not changed.

    Raises:
        RequestError: there is no such rendering.
    """
    kind, _, path = name.partition(":")
    if kind == "folder" and path:
        return rgb
    if name not in TRANSFORMS:
        raise RequestError(f"There is no rendering {name!r}.{nearest(name, [*TRANSFORMS, 'folder:PATH'])}")
    return TRANSFORMS[name]


def conversion(name: str) -> str:
    """Returns what an app does with a photo for a network of this rendering; empty where that is nothing."""
    return "" if name == "rgb" else f"The model expects {name} images; convert the photo first."


def _luma(image: Any) -> Any:
    import tensorflow as tf

    return tf.tensordot(image, tf.constant(LUMA), 1)


def _three_channels(image: Any) -> Any:
    import tensorflow as tf

    return tf.repeat(image[..., None], 3, axis=-1)
