"""MobileNetV3 students (Howard et al. 2019, "Searching for MobileNetV3", arXiv:1905.02244, tables 1 and 2).

Layer names are those of keras.applications, whose ImageNet weights fit by name.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import RequestError
from tfkd.models.inverted_residual import Convolutions, InvertedResidual, inverted_residual
from tfkd.models.layers import activate, channels, normalise, stem_stride
from tfkd.models.weights import application_with_file, initial_file, load_by_name, read_apart, read_h5
from tfkd.recipe import Student

SMALL = (
    InvertedResidual(3, 1, 16, 2, squeeze_excite=True, relu=True),
    InvertedResidual(3, 72 / 16, 24, 2, relu=True),
    InvertedResidual(3, 88 / 24, 24, 1, relu=True),
    InvertedResidual(5, 4, 40, 2, squeeze_excite=True),
    InvertedResidual(5, 6, 40, 1, squeeze_excite=True),
    InvertedResidual(5, 6, 40, 1, squeeze_excite=True),
    InvertedResidual(5, 3, 48, 1, squeeze_excite=True),
    InvertedResidual(5, 3, 48, 1, squeeze_excite=True),
    InvertedResidual(5, 6, 96, 2, squeeze_excite=True),
    InvertedResidual(5, 6, 96, 1, squeeze_excite=True),
    InvertedResidual(5, 6, 96, 1, squeeze_excite=True),
)
LARGE = (
    InvertedResidual(3, 1, 16, 1, relu=True),
    InvertedResidual(3, 4, 24, 2, relu=True),
    InvertedResidual(3, 3, 24, 1, relu=True),
    InvertedResidual(5, 3, 40, 2, squeeze_excite=True, relu=True),
    InvertedResidual(5, 3, 40, 1, squeeze_excite=True, relu=True),
    InvertedResidual(5, 3, 40, 1, squeeze_excite=True, relu=True),
    InvertedResidual(3, 6, 80, 2),
    InvertedResidual(3, 2.5, 80, 1),
    InvertedResidual(3, 2.3, 80, 1),
    InvertedResidual(3, 2.3, 80, 1),
    InvertedResidual(3, 6, 112, 1, squeeze_excite=True),
    InvertedResidual(3, 6, 112, 1, squeeze_excite=True),
    InvertedResidual(5, 6, 160, 2, squeeze_excite=True),
    InvertedResidual(5, 6, 160, 1, squeeze_excite=True),
    InvertedResidual(5, 6, 160, 1, squeeze_excite=True),
)
_BLOCKS = {"small": SMALL, "large": LARGE}
_HIDDEN = {"small": 1024, "large": 1280}
_APPLICATIONS = {"small": "MobileNetV3Small", "large": "MobileNetV3Large"}
_WIDTHS = (0.75, 1.0)


def build(
    k: Any,
    *,
    variant: str,
    image_size: int,
    classes: int,
    width: float,
    activation: str,
    dropout: float,
    batch_norm_momentum: float,
) -> Any:
    """Builds a MobileNetV3 from the layers of `k`.

    The paper's 1 x 1 convolutions on a 1 x 1 map are Dense layers here: the same mathematics, but the gradient of
    the convolution takes TensorFlow 170 ms on a CPU where the Dense layer's takes 1 ms.

    Args:
        k: `keras` or `tf_keras`.
        variant: "small" or "large".
        image_size: side of the square input in pixels, at least 32; below 64 the stem's stride is 1.
        classes: number of outputs.
        width: multiplier of every channel count; the hidden layer of the head only grows (above 1).
        activation: replacement of the paper's h-swish: hard_swish, relu6, silu or relu.
        dropout: fraction of the hidden features dropped before the logits.
        batch_norm_momentum: of the moving statistics.

    Returns:
        A model from float32 [B, image_size, image_size, 3] raw RGB to float32 logits [B, classes].
    """
    layers = Convolutions(k, activation, batch_norm_momentum)
    inputs = k.Input((image_size, image_size, 3), name="image")
    x = layers.conv(normalise(k, inputs), 16, "conv", activation, 3, stem_stride(image_size))
    for index, block in enumerate(_BLOCKS[variant]):
        prefix = f"expanded_conv_{index}_" if index else "expanded_conv_"
        x = inverted_residual(layers, x, block, channels(block.filters * width), prefix)
    x = layers.conv(x, channels(x.shape[-1] * 6), "conv_1", activation)
    x = k.layers.GlobalAveragePooling2D(name="pool")(x)
    hidden = _HIDDEN[variant]
    x = k.layers.Dense(channels(hidden * width) if width > 1 else hidden, name="conv_2")(x)
    x = activate(k, x, activation, "conv_2_act")
    x = k.layers.Dropout(dropout, name="dropout")(x)
    return k.Model(inputs, k.layers.Dense(classes, name="logits")(x), name=f"mobilenet_v3_{variant}")


def load_pretrained(model: Any, variant: str, student: Student) -> None:
    """Loads the ImageNet weights of keras.applications' MobileNetV3.

    They were trained on x/127.5 - 1. The first convolution and its batch normalisation absorb the difference to
    x/128 - 1: exact inside, while a zero padded at the right and lower border now means 128 instead of 127.5.
    On a random network that moves the logits by 0.2 % of their range.

    Args:
        model: a MobileNetV3 of ours.
        variant: of the model.
        student: its recipe; `weights` is "imagenet" (downloaded by Keras, width 0.75 or 1), or the path of a `.h5` file
            in keras.applications' layout.

    Raises:
        RequestError: the weights cannot be had, or don't fit this student.
    """
    path = initial_file(student, variant, imagenet_file)
    if student.weights_file:
        arrays = read_apart(read_h5, path, student.weights)
    else:
        source, _ = _published(variant, student.width)
        arrays = {layer.name: layer.get_weights() for layer in source.layers if layer.weights}
    load_by_name(model, _rescaled(arrays, student.weights), fresh=("conv_2", "logits"), name=student.weights)


def imagenet_file(variant: str, width: float) -> Path:
    """Returns the file that Keras downloaded, now or earlier.

    Raises:
        RequestError: there are no weights for this width, or they cannot be downloaded.
    """
    if width not in _WIDTHS:
        raise RequestError(f"ImageNet weights exist for width 0.75 and 1, not {width:g}; or use weights='none'.")
    return _published(variant, width)[1]


@functools.lru_cache(1)  # to hash the file and to read the network
def _published(variant: str, width: float) -> tuple[Any, Path]:
    """Returns the network of keras.applications with its ImageNet weights, and their file."""
    return application_with_file(_APPLICATIONS[variant], alpha=width, weights="imagenet")


def _rescaled(arrays: dict[str, list[np.ndarray]], name: str) -> dict[str, list[np.ndarray]]:
    """Adapts the stem to x/128 - 1: with a = 128/127.5, p/127.5 - 1 = a (p/128 - 1) + (a - 1)."""
    ratio = 128.0 / 127.5
    try:
        (kernel,), (gamma, beta, mean, variance) = arrays["conv"], arrays["conv_bn"]
        offset = (ratio - 1.0) * kernel.sum(axis=(0, 1, 2))
        norm = [gamma, beta, mean - offset, variance]
    except (KeyError, ValueError):
        raise RequestError(
            f"{name} is not a MobileNetV3 of keras.applications: the layers 'conv' and 'conv_bn' are missing or "
            "differ. Check which network it is of."
        ) from None
    return {**arrays, "conv": [kernel * np.float32(ratio)], "conv_bn": norm}
