"""MobileNetV4-Conv students (Qin et al. 2024, "MobileNetV4: Universal Models for the Mobile Ecosystem",
arXiv:2404.10518), block by block as in the authors' code (github.com/tensorflow/models, official/vision).

A universal inverted bottleneck is an inverted residual whose two depthwise convolutions are optional, one before the
expansion (`start`), one after it (`kernel`).
"""

from dataclasses import dataclass
from typing import Any

from tfkd.models.inverted_residual import Convolutions, InvertedResidual, inverted_residual
from tfkd.models.layers import channels, normalise, stem_stride


@dataclass(frozen=True)
class FusedBlock:
    """A 3 x 3 convolution of stride 2, then a 1 x 1 one.

    Attributes:
        hidden: channels of the first convolution at width 1.
        filters: channels of the second.
        linear: no activation after the second.
    """

    hidden: int
    filters: int
    linear: bool


@dataclass(frozen=True)
class MobilenetV4Variant:
    """The blocks after the stem."""

    fused: tuple[FusedBlock, ...]
    blocks: tuple[InvertedResidual, ...]


_SMALL = MobilenetV4Variant(
    (FusedBlock(32, 32, linear=False), FusedBlock(96, 64, linear=False)),
    (
        InvertedResidual(5, 3, 96, 2, start=5),
        InvertedResidual(3, 2, 96),
        InvertedResidual(3, 2, 96),
        InvertedResidual(3, 2, 96),
        InvertedResidual(3, 2, 96),
        InvertedResidual(0, 4, 96, start=3),
        InvertedResidual(3, 6, 128, 2, start=3),
        InvertedResidual(5, 4, 128, start=5),
        InvertedResidual(5, 4, 128),
        InvertedResidual(5, 3, 128),
        InvertedResidual(3, 4, 128),
        InvertedResidual(3, 4, 128),
    ),
)
_MEDIUM = MobilenetV4Variant(
    (FusedBlock(128, 48, linear=True),),
    (
        InvertedResidual(5, 4, 80, 2, start=3),
        InvertedResidual(3, 2, 80, start=3),
        InvertedResidual(5, 6, 160, 2, start=3),
        InvertedResidual(3, 4, 160, start=3),
        InvertedResidual(3, 4, 160, start=3),
        InvertedResidual(5, 4, 160, start=3),
        InvertedResidual(3, 4, 160, start=3),
        InvertedResidual(0, 4, 160, start=3),
        InvertedResidual(0, 2, 160),
        InvertedResidual(0, 4, 160, start=3),
        InvertedResidual(5, 6, 256, 2, start=5),
        InvertedResidual(5, 4, 256, start=5),
        InvertedResidual(5, 4, 256, start=3),
        InvertedResidual(5, 4, 256, start=3),
        InvertedResidual(0, 4, 256),
        InvertedResidual(0, 4, 256, start=3),
        InvertedResidual(5, 2, 256, start=3),
        InvertedResidual(5, 4, 256, start=5),
        InvertedResidual(0, 4, 256),
        InvertedResidual(0, 4, 256),
        InvertedResidual(0, 2, 256, start=5),
    ),
)
VARIANTS = {"conv_small": _SMALL, "conv_medium": _MEDIUM}
_STEM, _LAST, _HIDDEN = 32, 960, 1280


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
    """Builds a MobileNetV4-Conv from the layers of `k`.

    The 1 x 1 convolution on the pooled features is a Dense layer here, as in MobileNetV3.

    Args:
        k: `keras` or `tf_keras`.
        variant: "conv_small" or "conv_medium".
        image_size: side of the square input in pixels, at least 32; below 64 the stem's stride is 1.
        classes: number of outputs.
        width: multiplier of every channel count; the hidden layer of the head only grows (above 1).
        activation: relu (the paper's), relu6, silu or hard_swish.
        dropout: fraction of the hidden features dropped before the logits.
        batch_norm_momentum: of the moving statistics.

    Returns:
        A model from float32 [B, image_size, image_size, 3] raw RGB to float32 logits [B, classes].
    """
    table = VARIANTS[variant]
    layers = Convolutions(k, activation, batch_norm_momentum)
    inputs = k.Input((image_size, image_size, 3), name="image")
    x = layers.conv(normalise(k, inputs), channels(_STEM * width), "conv", activation, 3, stem_stride(image_size))
    for index, fused in enumerate(table.fused):
        x = layers.conv(x, channels(fused.hidden * width), f"fused_{index}_expand", activation, 3, 2)
        x = layers.conv(
            x, channels(fused.filters * width), f"fused_{index}_project", None if fused.linear else activation
        )
    for index, block in enumerate(table.blocks):
        x = inverted_residual(layers, x, block, channels(block.filters * width), f"block_{index}_")
    x = layers.conv(x, channels(_LAST * width), "top", activation)
    x = k.layers.GlobalAveragePooling2D(name="pool")(x)
    x = k.layers.Dense(channels(_HIDDEN * max(width, 1)), use_bias=False, name="hidden")(x)
    x = layers.normalised(x, "hidden", activation)
    x = k.layers.Dropout(dropout, name="dropout")(x)
    return k.Model(inputs, k.layers.Dense(classes, name="logits")(x), name=f"mobilenet_v4_{variant}")
