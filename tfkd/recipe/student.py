"""The student."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tfkd.recipe.base import AUTO, Block, Rendering, Separated
from tfkd.recipe.bert import is_bert

Activation = Literal["hard_swish", "relu6", "silu", "relu"]

OF_TEXTS = "word_average"  # the default for texts
TREE, FOREST = "tree", "forest"  # the students of tables, the first by default
_DEPTHS = {TREE: 6, FOREST: 12}
RANDOM, IMAGENET, OF_TEACHER = "none", "imagenet", "teacher"  # weights that are not the path of a file
_OF_HASH = "@sha256:"


class Student(Block):
    """The classifier that ships."""

    model: str = Field(
        "mobilenet_v3_small",
        description="name from `tfkd list students`, or package.module:function; default for texts: word_average",
    )
    weights: str = Field(
        "auto",
        description="initial weights: auto (a run chooses imagenet where these weights can be had, otherwise none), "
        "none, imagenet, imagenet@sha256:HASH (no other file), the path of a weights file, or the folder of a run or a "
        "bundle (its present student); for texts teacher (the word vectors of the first teacher, a BERT model) or the "
        "folder of a BERT model",
    )
    width: float = Field(
        1.0, ge=0.1, le=4, description="multiplier of the number of channels, or of the width of vectors"
    )
    activation: Activation = Field(
        "relu6", description="activation function; hard_swish is MobileNetV3's own, relu6 the fastest"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="fraction of features dropped before the classifier")
    batch_norm_momentum: float = Field(
        0.9, gt=0, lt=1, description="momentum of the BatchNorm statistics; Keras's 0.99 needs longer runs to converge"
    )
    layers: int = Field(2, ge=1, le=24, description="number of layers of text_transformer")
    heads: int = Field(2, ge=1, le=64, description="attention heads of text_transformer; they divide its width")
    teacher_layers: Annotated[list[int] | None, Separated] = Field(
        None,
        description="layers of the BERT model in `weights`, from 0, that text_transformer starts from; none: its word "
        "vectors alone; default: as many as the student has, at equal distances",
    )
    max_depth: int | None = Field(
        None, ge=1, le=16, description="comparisons on the way to a leaf of a tree; default: 6, of a forest 12"
    )
    trees: int = Field(50, ge=1, le=500, description="number of trees of a forest")
    min_leaf: int = Field(
        1, ge=1, description="least number of training rows in a leaf, views of one row counted apart"
    )
    rendering: Rendering = "rgb"

    @field_validator("weights")
    @classmethod
    def _whole_hash(cls, value: str) -> str:
        if value.startswith(f"{IMAGENET}@") and not re.fullmatch(f"{IMAGENET}{_OF_HASH}[0-9a-f]{{64}}", value):
            raise ValueError(f"a hash has the form {IMAGENET}{_OF_HASH} and 64 hexadecimal digits")
        return value

    @model_validator(mode="after")
    def _layers_of_a_teacher(self) -> "Student":
        if self.teacher_layers is not None and self.is_random:
            raise ValueError(f"reads teacher_layers with weights={OF_TEACHER} alone; set both or leave it out")
        return self

    @property
    def weights_file(self) -> str | None:
        """The path of the file of initial weights, or None."""
        named = self.is_random or self.weights.partition(_OF_HASH)[0] in (IMAGENET, OF_TEACHER)
        return None if named else self.weights

    @property
    def is_tree(self) -> bool:
        """Whether it is a tree or a forest, which is fitted at once and not in steps."""
        return self.model in _DEPTHS

    @property
    def depth(self) -> int:
        """The largest depth of the trees of one that has them."""
        return self.max_depth or _DEPTHS[self.model]

    @property
    def starts_from_bert(self) -> bool:
        """Whether the initial weights are those of a BERT model, by a name or its folder."""
        return is_bert(self.weights)

    @property
    def weights_hash(self) -> str | None:
        """The SHA-256 that the file of ImageNet weights must have, or None for any."""
        return None if self.weights_file else self.weights.partition(_OF_HASH)[2] or None

    @property
    def is_random(self) -> bool:
        """Whether the initial weights are random; `auto` is, until a run has chosen."""
        return self.weights in (AUTO, RANDOM)


def Tree(max_depth: int = _DEPTHS[TREE], min_leaf: int = 1) -> Student:  # noqa: N802 (named like the blocks)
    """Returns the student of a table whose rules can be read: one decision tree."""
    return Student(model=TREE, max_depth=max_depth, min_leaf=min_leaf)


def Forest(trees: int = 50, max_depth: int = _DEPTHS[FOREST], min_leaf: int = 1) -> Student:  # noqa: N802
    """Returns the student of a table that is the mean of several trees."""
    return Student(model=FOREST, trees=trees, max_depth=max_depth, min_leaf=min_leaf)


def imagenet_of(sha256: str) -> str:
    """Returns `weights` of a student that starts from one file of ImageNet weights."""
    return f"{IMAGENET}{_OF_HASH}{sha256}"
