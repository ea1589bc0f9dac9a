"""Further changes of a view, a few drawn for each as in RandAugment (Cubuk et al. 2019, arXiv:1909.13719).

Every operation maps (view float32 [size, size, 3] 0..255, strength float32 scalar) to such a view. A strength lies in
-1..1; the further from 0, the more changes, and 0 changes nothing but by rounding. Operations without a direction
ignore its sign. Lengths are shares of the view's side, and statistics are measured on a grid of fixed size, so that a
view is the same at every size. There is no inversion of the whole view.
"""

import math
from functools import partial

import tensorflow as tf

_STREAM = 1  # apart from the numbers that the view's seed gives its crop and colours
_GRID = 64  # finer than this, nothing is measured or sharpened
_FILL = 128.0  # mid-grey, where geometry uncovers what is outside of the view
_MAX_ANGLE = math.radians(30.0)
_MAX_SHEAR = 0.3
_MAX_SHIFT = 0.3
_POSTERIZED_BITS = 4.0  # lost at full strength
_SHARPENED = 0.9
_SOLARIZED = 0.5  # share of the range that full strength inverts


def operate(view: tf.Tensor, seed: tf.Tensor, count: int, magnitude: float) -> tf.Tensor:
    """Applies operations drawn from the seed, one after the other; one may come twice.

    Args:
        view: float32 [size, size, 3], 0..255.
        seed: int32 or int64 [2], the view's.
        count: how many operations.
        magnitude: 0..1; each strength is drawn uniformly from -magnitude..magnitude.

    Returns:
        float32 [size, size, 3], 0..255.
    """
    stream = tf.random.fold_in(seed, tf.constant(_STREAM, tf.int64), alg="philox")
    drawn = tf.random.stateless_uniform([2, count], stream, alg="philox")
    chosen = tf.cast(drawn[0] * len(OPERATIONS), tf.int32)
    strengths = magnitude * (2.0 * drawn[1] - 1.0)
    for k in range(count):
        view = tf.switch_case(chosen[k], [partial(operation, view, strengths[k]) for operation in OPERATIONS])
    return view


def autocontrast(view: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Stretches each channel that is not flat, at full strength to the whole range."""
    grid = _on_grid(view)
    low, high = tf.reduce_min(grid, [0, 1]), tf.reduce_max(grid, [0, 1])
    is_flat = high - low < 1.0
    gain = _blend(1.0, tf.where(is_flat, 1.0, 255.0 / (high - low)), tf.abs(strength))
    offset = -tf.abs(strength) * tf.where(is_flat, 0.0, 255.0 * low / (high - low))
    return tf.clip_by_value(view * gain + offset, 0.0, 255.0)


def equalize(view: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Moves each value of a channel, at full strength to the share of the area below it; lowest to 0, highest to 255.

    A flat channel stays as it is.
    """
    values = tf.reshape(_whole(_on_grid(view)), [-1, 3])
    counts = tf.raw_ops.DenseBincount(input=tf.transpose(values), size=256, weights=tf.zeros([0]))
    below = tf.cumsum(counts, axis=1, exclusive=True)
    below_highest = tf.reduce_max(tf.where(counts > 0, below, 0.0), axis=1, keepdims=True)
    level = tf.range(256, dtype=tf.float32)
    equal = tf.where(below_highest > 0, tf.minimum(255.0 * below / below_highest, 255.0), level)
    table = _blend(level, equal, tf.abs(strength))
    return tf.gather(tf.reshape(table, [-1]), _whole(view) + tf.constant([0, 256, 512]))


def posterize(view: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Rounds to steps of up to 2^4, a continuous number of lost bits."""
    step = 2.0 ** (_POSTERIZED_BITS * tf.abs(strength))
    return tf.minimum(tf.round(view / step) * step, 255.0)


def solarize(view: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Inverts what is brighter than a threshold, which falls from white to mid-grey."""
    is_bright = tf.cast(view > 255.0 * (1.0 - _SOLARIZED * tf.abs(strength)), tf.float32)  # tf.where is slower
    return view + is_bright * (255.0 - 2.0 * view)


def sharpness(view: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Adds or takes away up to 0.9 of the difference from the view without its fine detail."""
    blurred = _resized(_on_grid(view), view.shape[0])
    return tf.clip_by_value(_blend(blurred, view, 1.0 + _SHARPENED * strength), 0.0, 255.0)


def rotate(view: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Turns by up to 30° about the middle."""
    angle = _MAX_ANGLE * strength
    cos, sin = tf.cos(angle), tf.sin(angle)
    return _warp(view, cos, -sin, 0.0, sin, cos, 0.0)


def shear_x(view: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Shifts each row by up to 0.3 of its distance from the middle."""
    return _warp(view, 1.0, _MAX_SHEAR * strength, 0.0, 0.0, 1.0, 0.0)


def shear_y(view: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Shifts each column by up to 0.3 of its distance from the middle."""
    return _warp(view, 1.0, 0.0, 0.0, _MAX_SHEAR * strength, 1.0, 0.0)


def translate_x(view: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Moves sideways by up to 0.3 of the side."""
    return _warp(view, 1.0, 0.0, _MAX_SHIFT * strength, 0.0, 1.0, 0.0)


def translate_y(view: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
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


def _blend(first: float | tf.Tensor, second: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    return first + share * (second - first)


def _whole(view: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(view), tf.int32)


def _on_grid(view: tf.Tensor) -> tf.Tensor:
    return _resized(view, _GRID)


def _resized(view: tf.Tensor, size: int) -> tf.Tensor:
    side = tf.constant(view.shape[0], tf.float32)
    return tf.raw_ops.ScaleAndTranslate(
        images=view[None],
        size=[size, size],
        scale=tf.fill([2], size / side),
        translation=tf.zeros([2]),
        kernel_type="triangle",
        antialias=True,
    )[0]


def _warp(view: tf.Tensor, *rows: float | tf.Tensor) -> tf.Tensor:
    """Takes each pixel from where an affine map sends it; the map is about the middle, in sides of the view.

    Args:
        view: float32 [size, size, 3].
        rows: the two rows [x from x, x from y, shift of x, y from x, y from y, shift of y].
    """
    size = view.shape[0]
    (xx, xy, dx), (yx, yy, dy) = rows[:3], rows[3:]
    middle = (size - 1) / 2
    x = size * dx + middle * (1.0 - xx - xy)
    y = size * dy + middle * (1.0 - yx - yy)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=view[None],
        transforms=[tf.stack([xx, xy, x, yx, yy, y, 0.0, 0.0])],
        output_shape=[size, size],
        fill_value=_FILL,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]
