"""What every teacher family hands over: its normalisation, its body, and the classifier that came with the weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Backbone:
    """The parts of a teacher.

    Attributes:
        image_size: side of the square input, pixels.
        normalisation: layers that turn raw RGB 0..255 into what the body was trained on.
        body: Keras model from normalised images to pooled features [B, D].
        classifier: kernel [D, classes] and bias [classes] that belong to the weights, if there are any.
    """

    image_size: int
    normalisation: list[Any]
    body: Any
    classifier: list[np.ndarray] | None = None
