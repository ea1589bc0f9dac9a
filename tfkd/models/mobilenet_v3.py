"""MobileNetV3 students (Howard et al. 2019, "Searching for MobileNetV3", arXiv:1905.02244, tables 1 and 2).

Layer names are those of keras.applications, whose ImageNet weights fit by name.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import RequestError
from tfkd.models.layers import activate, channels, hard_sigmoid, normalise, stem_stride
from tfkd.models.weights import application, load_by_name, read_apart, read_h5
from tfkd.recipe import Student


@dataclass(frozen=True)
class InvertedResidual:
    """One row of the paper's tables: an inverted residual block."""

    kernel: int
    expansion: float  # relative to the input channels
    filters: int
    squeeze_excite: bool
    wide: bool  # True: the activation of the student (the paper's h-swish); False: ReLU
    stride: int


SMALL = (
    InvertedResidual(3, 1, 16, True, False, 2),
    InvertedResidual(3, 72 / 16, 24, False, False, 2),
    InvertedResidual(3, 88 / 24, 24, False, False, 1),
    InvertedResidual(5, 4, 40, True, True, 2),
    InvertedResidual(5, 6, 40, True, True, 1),
    InvertedResidual(5, 6, 40, True, True, 1),
    InvertedResidual(5, 3, 48, True, True, 1),
    InvertedResidual(5, 3, 48, True, True, 1),
    InvertedResidual(5, 6, 96, True, True, 2),
    InvertedResidual(5, 6, 96, True, True, 1),
    InvertedResidual(5, 6, 96, True, True, 1),
)
LARGE = (
    InvertedResidual(3, 1, 16, False, False, 1),
    InvertedResidual(3, 4, 24, False, False, 2),
    InvertedResidual(3, 3, 24, False, False, 1),
    InvertedResidual(5, 3, 40, True, False, 2),
    InvertedResidual(5, 3, 40, True, False, 1),
    InvertedResidual(5, 3, 40, True, False, 1),
    InvertedResidual(3, 6, 80, False, True, 2),
    InvertedResidual(3, 2.5, 80, False, True, 1),
    InvertedResidual(3, 2.3, 80, False, True, 1),
    InvertedResidual(3, 2.3, 80, False, True, 1),
    InvertedResidual(3, 6, 112, True, True, 1),
    InvertedResidual(3, 6, 112, True, True, 1),
    InvertedResidual(5, 6, 160, True, True, 2),
    InvertedResidual(5, 6, 160, True, True, 1),
    InvertedResidual(5, 6, 160, True, True, 1),
)
_BLOCKS = {"small": SMALL, "large": LARGE}
_HIDDEN = {"small": 1024, "large": 1280}
_APPLICATIONS = {"small": "MobileNetV3Small", "large": "MobileNetV3Large"}


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

    def norm(x: Any, name: str) -> Any:
        return k.layers.BatchNormalization(epsilon=1e-3, momentum=batch_norm_momentum, name=name)(x)

    inputs = k.Input((image_size, image_size, 3), name="image")
    x = normalise(k, inputs)
    x = k.layers.Conv2D(16, 3, strides=stem_stride(image_size), padding="same", use_bias=False, name="conv")(x)
    x = activate(k, norm(x, "conv_bn"), activation, "conv_act")
    for index, block in enumerate(_BLOCKS[variant]):
        prefix = f"expanded_conv_{index}_" if index else "expanded_conv_"
        x = _inverted_residual(k, norm, x, block, channels(block.filters * width), activation, prefix)
    x = k.layers.Conv2D(channels(x.shape[-1] * 6), 1, use_bias=False, name="conv_1")(x)
    x = activate(k, norm(x, "conv_1_bn"), activation, "conv_1_act")
    x = k.layers.GlobalAveragePooling2D(name="pool")(x)
    hidden = _HIDDEN[variant]
    x = k.layers.Dense(channels(hidden * width) if width > 1 else hidden, name="conv_2")(x)
    x = activate(k, x, activation, "conv_2_act")
    x = k.layers.Dropout(dropout, name="dropout")(x)
    return k.Model(inputs, k.layers.Dense(classes, name="logits")(x), name=f"mobilenet_v3_{variant}")


def _inverted_residual(
    k: Any, norm: Any, x: Any, block: InvertedResidual, filters: int, activation: str, prefix: str
) -> Any:
    shortcut, incoming = x, x.shape[-1]
    expanded = channels(incoming * block.expansion)
    nonlinearity = activation if block.wide else "relu"
    if prefix != "expanded_conv_":  # the first block has nothing to expand
        x = k.layers.Conv2D(expanded, 1, use_bias=False, name=f"{prefix}expand")(x)
        x = activate(k, norm(x, f"{prefix}expand_bn"), nonlinearity, f"{prefix}expand_act")
    x = k.layers.DepthwiseConv2D(
        block.kernel, strides=block.stride, padding="same", use_bias=False, name=f"{prefix}depthwise"
    )(x)
    x = activate(k, norm(x, f"{prefix}depthwise_bn"), nonlinearity, f"{prefix}depthwise_act")
    if block.squeeze_excite:
        x = _squeeze_excite(k, x, f"{prefix}squeeze_excite_")
    x = norm(k.layers.Conv2D(filters, 1, use_bias=False, name=f"{prefix}project")(x), f"{prefix}project_bn")
    if block.stride == 1 and incoming == filters:
        x = k.layers.Add(name=f"{prefix}add")([shortcut, x])
    return x


def _squeeze_excite(k: Any, x: Any, prefix: str) -> Any:
    size = x.shape[-1]
    gate = k.layers.GlobalAveragePooling2D(name=f"{prefix}avg_pool")(x)
    gate = k.layers.Dense(channels(size * 0.25), name=f"{prefix}conv")(gate)
    gate = k.layers.ReLU(name=f"{prefix}relu")(gate)
    gate = k.layers.Dense(size, name=f"{prefix}conv_1")(gate)
    gate = hard_sigmoid(k, gate, f"{prefix}gate")
    gate = k.layers.Reshape((1, 1, size), name=f"{prefix}reshape")(gate)
    return k.layers.Multiply(name=f"{prefix}mul")([x, gate])


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
    if student.weights != "imagenet":
        arrays = read_apart(read_h5, Path(student.weights), student.weights)
    elif student.width in (0.75, 1.0):
        source = application(_APPLICATIONS[variant], alpha=student.width, weights="imagenet")
        arrays = {layer.name: layer.get_weights() for layer in source.layers if layer.weights}
    else:
        raise RequestError(
            f"ImageNet weights exist for width 0.75 and 1, not {student.width:g}; or use weights='none'."
        )
    load_by_name(model, _rescaled(arrays), fresh=("conv_2", "logits"), name=student.weights)


def _rescaled(arrays: dict[str, list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """Adapts the stem to x/128 - 1: with a = 128/127.5, p/127.5 - 1 = a (p/128 - 1) + (a - 1)."""
    try:
        (kernel,), (gamma, beta, mean, variance) = arrays["conv"], arrays["conv_bn"]
    except (KeyError, ValueError):
        raise RequestError("The weights file is not a MobileNetV3 of keras.applications.") from None
    ratio = 128.0 / 127.5
    offset = (ratio - 1.0) * kernel.sum(axis=(0, 1, 2))
    return {**arrays, "conv": [kernel * np.float32(ratio)], "conv_bn": [gamma, beta, mean - offset, variance]}
