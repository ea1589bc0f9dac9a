"""The parts of a teacher family: normalisation, body, and the classifier of its weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Backbone:
    """The parts of a teacher.

    Attributes:
        image_size: side of the square input, pixels.
        normalisation: layers that convert raw RGB 0..255 to the input of the body.
        body: Keras model from normalised images to pooled features [B, D].
        classifier: kernel [D, classes] and bias [classes] of the weights, if any.
    """

    image_size: int
    normalisation: list[Any]
    body: Any
    classifier: list[np.ndarray] | None = None
