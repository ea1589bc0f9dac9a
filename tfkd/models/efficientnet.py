"""EfficientNet B0 to B7 and V2 teachers of keras.applications (Tan, Le, arXiv:1905.11946 and arXiv:2104.00298)."""

import keras
import numpy as np

from tfkd.models.applications import application_body
from tfkd.models.backbone import Backbone

_SIZES = {
    **{"B0": 224, "B1": 240, "B2": 260, "B3": 300, "B4": 380, "B5": 456, "B6": 528, "B7": 600},
    **{"V2B0": 224, "V2B1": 240, "V2B2": 260, "V2B3": 300, "V2S": 384, "V2M": 480, "V2L": 480},
}
_STD_RGB = np.array([0.229, 0.224, 0.225], np.float32)


def build(variant: str, image_size: int | None, weights: str, classes: int) -> Backbone:
    """Builds an EfficientNet body, which contains its normalisation of raw RGB.

    Args:
        variant: "B0" to "B7", "V2B0" to "V2B3", "V2S", "V2M", "V2L".
        image_size: side of the input in pixels; None takes the variant's own.
        weights: "none", "imagenet" (downloaded by Keras) or a `.h5` file in keras.applications' layout.
        classes: number of classes; a classifier of the weights with this number is used.

    Raises:
        RequestError: the weights are not available or don't fit.
    """
    size = image_size or _SIZES[variant]
    body, classifier = application_body(f"EfficientNet{variant}", size, weights, classes)
    if variant.startswith("B") and weights not in ("none", "imagenet"):
        _match_imagenet_scale(body)
    return Backbone(size, [], body, classifier)


def _match_imagenet_scale(body: keras.Model) -> None:
    """Divides by the root of the standard deviation again if a file contains ImageNet's statistics.

    The published B0 to B7 divide by the variance. Keras adds the missing root as a layer of its own, but only when it
    downloads the weights itself; for a file it goes into the variance here.
    """
    layer = next(layer for layer in body.layers if isinstance(layer, keras.layers.Normalization))
    mean, variance, count = layer.get_weights()
    if np.allclose(variance, _STD_RGB**2, rtol=1e-3):
        layer.set_weights([mean, variance * _STD_RGB, count])
        layer.finalize_state()
