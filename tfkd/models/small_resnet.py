"""ResNets for small images (He et al. 2015, arXiv:1512.03385, section 4.2), 32 px by default.

A shortcut that changes the shape is a 1 x 1 convolution (the paper's option B), which needs no zero-padded channels.
"""

from typing import Any

import keras

from tfkd.errors import RequestError
from tfkd.models.backbone import Backbone


def build(variant: str, image_size: int | None, weights: str, classes: int) -> Backbone:
    """Builds a body of 6n + 1 convolutions with 16, 32 and 64 channels.

    Args:
        variant: number of layers, "20", "32", "44", "56" or "110".
        image_size: side of the input in pixels; None takes 32.
        weights: "none"; there are no published weights.
        classes: ignored, because there is no pretrained classifier.

    Raises:
        RequestError: `weights` is anything else.
    """
    if weights != "none":
        raise RequestError(
            f"resnet{variant} has no published weights, so weights={weights!r} cannot be had: use weights='none', or a "
            ".weights.h5 file that a resnet of yours was saved to."
        )
    size = image_size or 32
    inputs = keras.Input((size, size, 3), name="normalised")
    x = _relu(_conv(inputs, 16, 3, 1, "stem"), "stem")
    for stage, filters in enumerate((16, 32, 64)):
        for block in range((int(variant) - 2) // 6):
            stride = 2 if stage > 0 and block == 0 else 1
            x = _residual(x, filters, stride, f"stage_{stage}_block_{block}")
    features = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    rescale = keras.layers.Rescaling(1.0 / 128.0, offset=-1.0, name="rescale")
    return Backbone(size, [rescale], keras.Model(inputs, features, name="backbone"))


def _residual(x: Any, filters: int, stride: int, name: str) -> Any:
    shortcut = x if stride == 1 else _conv(x, filters, 1, stride, f"{name}_shortcut")
    x = _relu(_conv(x, filters, 3, stride, f"{name}_1"), f"{name}_1")
    x = _conv(x, filters, 3, 1, f"{name}_2")
    return _relu(keras.layers.Add(name=f"{name}_add")([shortcut, x]), name)


def _conv(x: Any, filters: int, kernel: int, stride: int, name: str) -> Any:
    x = keras.layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)


def _relu(x: Any, name: str) -> Any:
    return keras.layers.ReLU(name=f"{name}_relu")(x)
