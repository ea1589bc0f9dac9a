"""The student."""

from typing import Literal

from pydantic import Field

from tfkd.recipe.base import Block

Activation = Literal["hard_swish", "relu6", "silu", "relu"]


class Student(Block):
    """The classifier that ships."""

    model: str = Field("mobilenet_v3_small", description="a name from `tfkd list students`, or package.module:function")
    weights: str = Field("none", description="none, imagenet, or the path of a weights file to start from")
    width: float = Field(1.0, ge=0.1, le=4, description="multiplier of the number of channels")
    activation: Activation = Field("relu6", description="of the student; hard_swish is the paper's, relu6 the fastest")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of features dropped before the classifier")
    batch_norm_momentum: float = Field(0.9, gt=0, lt=1, description="Keras's 0.99 needs longer runs to settle")
    rendering: str = Field("rgb", description="what it sees: rgb, grey, edges, or folder:PATH of paired images")
