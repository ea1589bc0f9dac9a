"""Views mixed with another image's: mixup (Zhang et al. 2017, arXiv:1710.09412), CutMix (Yun et al. 2019, 1905.04899).

A mixed view of an image is its view with the same-numbered view of a partner (`tfkd.inputs.seeds`) laid over it.
The view's own seed determines whether, how and how much it is mixed, so that the same mixed view can be recreated from
(run's seed, view's number, image), at any size.
"""

import math
from dataclasses import dataclass

import numpy as np

from tfkd.inputs.kind import Arrays
from tfkd.inputs.seeds import drawn
from tfkd.recipe import Augment

_OVERLAY = 2  # separates the random numbers from those of the view's crop, colours and operations
_MIXUP_ALPHA = 0.8


@dataclass(frozen=True)
class ImageOverlay:
    """The overlay of a partner's view over a view.

    Attributes:
        box: top, left, bottom and right of the covered part, as fractions of the side.
        opacity: 0..1.
    """

    box: tuple[float, float, float, float]
    opacity: float

    def own_weight(self) -> float:
        """Returns the weight of the view's own image, which is the same at every size."""
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


def draw(seed: np.ndarray, augment: Augment) -> ImageOverlay:
    """Draws a view's overlay from its seed (int [2]); opacity 0 where the view is not mixed."""
    random = drawn(seed, _OVERLAY)
    is_mixed = augment.mix != "none" and random.random() < augment.mix_share
    overlay = _mixup(random) if augment.mix == "mixup" else _cutmix(random)
    return overlay if is_mixed else ImageOverlay(overlay.box, 0.0)


def _mixup(random: np.random.Generator) -> ImageOverlay:
    """The whole view, with an opacity from Beta(0.8, 0.8)."""
    return ImageOverlay((0.0, 0.0, 1.0, 1.0), random.beta(_MIXUP_ALPHA, _MIXUP_ALPHA))


def _cutmix(random: np.random.Generator) -> ImageOverlay:
    """A square of uniform area inside the view; in the paper it may extend outside, which reduces its area."""
    area, down, across = random.random(3).tolist()
    side = math.sqrt(area)
    top, left = (1.0 - side) * down, (1.0 - side) * across
    return ImageOverlay((top, left, top + side, left + side), 1.0)


def _covered(first: float, last: float, size: int) -> np.ndarray:
    """Returns float32 [size], the fraction of each pixel of a row between two positions in 0..1."""
    pixel = np.arange(size, dtype=np.float32)
    return np.clip(np.minimum(size * last, pixel + 1) - np.maximum(size * first, pixel), 0, 1)
