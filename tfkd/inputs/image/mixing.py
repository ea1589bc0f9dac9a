"""Views mixed with another image's: mixup (Zhang et al. 2017, arXiv:1710.09412), CutMix (Yun et al. 2019, 1905.04899).

A mixed view of an image is its view with the same-numbered view of a partner (`tfkd.inputs.seeds`) laid over it.
Whether a view is mixed, how, and how much comes from the view's own seed. So the same mixed view can be made again from
(run's seed, view's number, image), at any size.
"""

import math
from dataclasses import dataclass

import numpy as np

from tfkd.inputs.kind import Arrays
from tfkd.inputs.seeds import drawn
from tfkd.recipe import Augment

_OVERLAY = 2  # numbers apart from those that a view's seed gives its crop, colours and operations
_MIXUP_ALPHA = 0.8


@dataclass(frozen=True)
class Overlay:
    """How a partner's view is laid over a view.

    Attributes:
        box: top, left, bottom and right of what it covers, in sides of the view.
        opacity: 0..1.
    """

    box: tuple[float, float, float, float]
    opacity: float

    def share(self) -> float:
        """Returns the share of the view that stays the image's own; the same at every size."""
        top, left, bottom, right = self.box
        return 1.0 - self.opacity * (bottom - top) * (right - left)

    def lay(self, own: Arrays, partner: Arrays) -> Arrays:
        """Returns the mixed view, one float32 [size, size, 3]; a pixel that the box's edge cuts is mixed by area.

        Args:
            own: one uint8 or float32 [size, size, 3].
            partner: the same.
        """
        return (self._laid(*own, *partner),)

    def _laid(self, own: np.ndarray, partner: np.ndarray) -> np.ndarray:
        top, left, bottom, right = self.box
        rows, columns = _covered(top, bottom, len(own)), _covered(left, right, len(own))
        weight = np.float32(self.opacity) * rows[:, None, None] * columns[:, None]
        return own + weight * (partner - own.astype(np.float32))


def draw(seed: np.ndarray, augment: Augment) -> Overlay:
    """Draws a view's overlay from its seed (int [2]); opacity 0 where the view is not mixed."""
    random = drawn(seed, _OVERLAY)
    is_mixed = augment.mix != "none" and random.random() < augment.mix_share
    overlay = _mixup(random) if augment.mix == "mixup" else _cutmix(random)
    return overlay if is_mixed else Overlay(overlay.box, 0.0)


def _mixup(random: np.random.Generator) -> Overlay:
    """All of the view, as opaque as a draw from Beta(0.8, 0.8)."""
    return Overlay((0.0, 0.0, 1.0, 1.0), random.beta(_MIXUP_ALPHA, _MIXUP_ALPHA))


def _cutmix(random: np.random.Generator) -> Overlay:
    """A square whose area is uniform, anywhere inside; the paper lets it reach outside, and its area is less then."""
    area, down, across = random.random(3).tolist()
    side = math.sqrt(area)
    top, left = (1.0 - side) * down, (1.0 - side) * across
    return Overlay((top, left, top + side, left + side), 1.0)


def _covered(first: float, last: float, size: int) -> np.ndarray:
    """Returns float32 [size], the share of each pixel of a row that lies between two positions in 0..1."""
    pixel = np.arange(size, dtype=np.float32)
    return np.clip(np.minimum(size * last, pixel + 1) - np.maximum(size * first, pixel), 0, 1)
