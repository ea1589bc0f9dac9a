"""Training views: each is a function of the photo and of its seed alone.

The seed draws the crop relative to the photo, so the same view can be made again at any size: a teacher and a student
with different inputs see the same view.
"""

import numpy as np
import tensorflow as tf

from tfkd.data.operations import operate
from tfkd.recipe import Augment

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def view_seeds(seed: int, indices: np.ndarray, view: int) -> np.ndarray:
    """Returns int64 [m, 2], the seeds of view number `view` of the photos at these indices (int64 [m]).

    A seed depends on the run's seed, the view's number and the photo's index, not on the other indices.
    """
    stream = np.random.SeedSequence([seed, view]).generate_state(1, np.uint64)[0] >> np.uint64(1)
    return np.stack([np.full(len(indices), stream, np.int64), np.asarray(indices, np.int64)], axis=1)


def make_view(image: tf.Tensor, seed: tf.Tensor, augment: Augment, size: int) -> tf.Tensor:
    """Makes one view: a random crop, mirrored or not, with changed brightness, saturation and contrast.

    The crop has an aspect drawn log-uniformly and an area drawn uniformly, as in Szegedy et al. 2014
    (arXiv:1409.4842); where the photo is too narrow for the area, it is the largest crop of that aspect. The
    operations of `tfkd.data.operations` come last.

    Args:
        image: uint8 [h, w, 3].
        seed: int32 or int64 [2].
        augment: the ranges; how views are mixed does not matter here.
        size: side of the view, pixels; it changes nothing else.

    Returns:
        float32 [size, size, 3], 0..255.
    """
    drawn = tf.random.stateless_uniform([8], seed, alg="philox")
    box = _crop_box(tf.shape(image), drawn[:4], augment)
    view = resample(image, box, size)
    if augment.flip:
        view = tf.cond(drawn[4] < 0.5, lambda: tf.reverse(view, [1]), lambda: view)
    view = _recolour(view, 2.0 * drawn[5:] - 1.0, augment)
    return operate(view, seed, augment.operations, augment.magnitude) if augment.operations else view


def resample(image: tf.Tensor, box: tf.Tensor, size: int) -> tf.Tensor:
    """Resamples a box of an image to size x size, with a triangle filter that widens where it shrinks (antialiased).

    Args:
        image: uint8 [h, w, 3].
        box: float32 [4], top, left, height and width in pixels, fractions allowed.
        size: side of the result, pixels.

    Returns:
        float32 [size, size, 3], 0..255.
    """
    corner, extent = box[:2], box[2:]
    first = tf.cast(tf.floor(corner), tf.int32)
    last = tf.cast(tf.math.ceil(corner + extent), tf.int32)
    part = image[first[0] : last[0], first[1] : last[1]]
    scale = tf.cast(size, tf.float32) / extent
    return tf.raw_ops.ScaleAndTranslate(
        images=part[None],
        size=[size, size],
        scale=scale,
        translation=(tf.floor(corner) - corner) * scale,
        kernel_type="triangle",
        antialias=True,
    )[0]


def _crop_box(shape: tf.Tensor, drawn: tf.Tensor, augment: Augment) -> tf.Tensor:
    photo = tf.cast(shape[:2], tf.float32)
    aspect = tf.exp((2.0 * drawn[0] - 1.0) * np.float32(np.log(augment.max_aspect)))
    width = tf.minimum(photo[1], photo[0] * aspect)
    largest = tf.stack([width / aspect, width])
    area = (augment.min_area + (1.0 - augment.min_area) * drawn[1]) * tf.reduce_prod(photo)
    shrink = tf.minimum(tf.sqrt(area / tf.reduce_prod(largest)), 1.0)
    extent = tf.minimum(
        largest * shrink, photo
    )  # rounding alone could reach outside, and a slice from -1 is the far end
    return tf.concat([(photo - extent) * drawn[2:4], extent], axis=0)


def _recolour(view: tf.Tensor, drawn: tf.Tensor, augment: Augment) -> tf.Tensor:
    """Applies saturation, contrast (about the view's mean grey) and brightness; `drawn` is float32 [3] in -1..1.

    All three are linear in the pixel, so one 3x3 matrix and an offset do them at once.
    """
    factors = 1.0 + drawn * tf.constant([augment.brightness, augment.contrast, augment.saturation])
    brightness, contrast, saturation = tf.unstack(factors)
    luma = tf.constant(LUMA)[:, None]
    pixels = tf.reshape(view, [-1, 3])
    mean = tf.reduce_mean(pixels, axis=0, keepdims=True) @ luma
    mix = saturation * tf.eye(3) + (1.0 - saturation) * luma
    coloured = brightness * (pixels @ (contrast * mix) + (1.0 - contrast) * mean)
    return tf.reshape(tf.clip_by_value(coloured, 0.0, 255.0), view.shape)
