"""Views mixed with another image's: mixup (Zhang et al. 2017, arXiv:1710.09412), CutMix (Yun et al. 2019, 1905.04899).

A mixed view of an image is its view with the same-numbered view of a partner laid over it. The partners of a view
number are a permutation of the pool; whether a view is mixed, how, and how much comes from the view's own seed. So the
same mixed view can be made again from (run's seed, view's number, image), at any size.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfkd.data.views import view_seeds
from tfkd.recipe import Augment

_OVERLAY, _OPACITY = 2, 3  # streams apart from the numbers that a view's seed gives its crop, colours and operations
_MIXUP_ALPHA = 0.8


@dataclass(frozen=True, eq=False)
class Partners:
    """Whom some views are mixed with.

    Attributes:
        images: int64 [m], positions in the split.
        seeds: int64 [m, 2], of the partners' views.
    """

    images: np.ndarray
    seeds: np.ndarray


@dataclass(frozen=True, eq=False)
class Overlay:
    """How a partner's view is laid over a view.

    Attributes:
        box: float32 [4], top, left, bottom and right of what it covers, in sides of the view.
        opacity: float32 scalar, 0..1.
    """

    box: tf.Tensor
    opacity: tf.Tensor

    def share(self) -> tf.Tensor:
        """Returns float32 scalar, the share of the view that stays the image's own; the same at every size."""
        top, left, bottom, right = tf.unstack(self.box)
        return 1.0 - self.opacity * (bottom - top) * (right - left)

    def lay(self, own: tf.Tensor, partner: tf.Tensor) -> tf.Tensor:
        """Returns the mixed view; a pixel that the box's edge cuts is mixed by area.

        Args:
            own: float32 [size, size, 3].
            partner: float32 [size, size, 3].
        """
        top, left, bottom, right = tf.unstack(self.box)
        rows, columns = _covered(top, bottom, own.shape[0]), _covered(left, right, own.shape[1])
        weight = self.opacity * rows[:, None, None] * columns[:, None]
        return (1.0 - weight) * own + weight * partner


def partners(seed: int, view: int, images: np.ndarray, pool: int) -> Partners:
    """Returns whom view number `view` of these images is mixed with; an image may be its own partner.

    Args:
        seed: the run's.
        view: number of the view.
        images: int64 [m], positions in the pool.
        pool: how many images the pool has.
    """
    source = np.random.SeedSequence([seed, view], spawn_key=(_OVERLAY,))
    chosen = np.random.default_rng(source).permutation(pool)[np.asarray(images, np.int64)]
    return Partners(chosen, view_seeds(seed, chosen, view))


def draw(seed: tf.Tensor, augment: Augment) -> Overlay:
    """Draws a view's overlay from its seed (int32 or int64 [2]); opacity 0 where the view is not mixed."""
    drawn = tf.random.stateless_uniform([4], _stream(seed, _OVERLAY), alg="philox")
    overlay = _mixup(_stream(seed, _OPACITY)) if augment.mix == "mixup" else _cutmix(drawn[1:])
    is_mixed = drawn[0] < (0.0 if augment.mix == "none" else augment.mix_share)
    return Overlay(overlay.box, tf.where(is_mixed, overlay.opacity, 0.0))


def _stream(seed: tf.Tensor, number: int) -> tf.Tensor:
    return tf.random.fold_in(seed, tf.constant(number, tf.int64), alg="philox")


def _mixup(seed: tf.Tensor) -> Overlay:
    """All of the view, as opaque as a draw from Beta(0.8, 0.8), made of two gamma draws."""
    gamma = tf.random.stateless_gamma([2], seed, _MIXUP_ALPHA)
    return Overlay(tf.constant([0.0, 0.0, 1.0, 1.0]), gamma[0] / (gamma[0] + gamma[1]))


def _cutmix(drawn: tf.Tensor) -> Overlay:
    """A square whose area is uniform, anywhere inside; the paper lets it reach outside, and its area is less then."""
    side = tf.sqrt(drawn[0])
    corner = (1.0 - side) * drawn[1:]
    return Overlay(tf.concat([corner, corner + side], axis=0), tf.constant(1.0))


def _covered(first: tf.Tensor, last: tf.Tensor, size: int) -> tf.Tensor:
    """Returns float32 [size], the share of each pixel of a row that lies between two positions in 0..1."""
    pixel = tf.range(size, dtype=tf.float32)
    return tf.clip_by_value(tf.minimum(size * last, pixel + 1.0) - tf.maximum(size * first, pixel), 0.0, 1.0)
