"""The student."""

from typing import Literal

from pydantic import Field

from tfkd.recipe.base import Block, Rendering

Activation = Literal["hard_swish", "relu6", "silu", "relu"]


class Student(Block):
    """The classifier that ships."""

    model: str = Field("mobilenet_v3_small", description="name from `tfkd list students`, or package.module:function")
    weights: str = Field("none", description="initial weights: none, imagenet, or the path of a weights file")
    width: float = Field(1.0, ge=0.1, le=4, description="multiplier of the number of channels")
    activation: Activation = Field(
        "relu6", description="activation function; hard_swish is MobileNetV3's own, relu6 the fastest"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="fraction of features dropped before the classifier")
    batch_norm_momentum: float = Field(
        0.9, gt=0, lt=1, description="momentum of the BatchNorm statistics; Keras's 0.99 needs longer runs to converge"
    )
    rendering: Rendering = "rgb"
