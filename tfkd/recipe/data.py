"""Settings of the data: its source, splits and augmentation."""

import math
from numbers import Real
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from tfkd.recipe.base import Block, Separated

MOST_TOKENS = 512  # as many as the BERT models have positions
_KINDS = {"texts": "text", "table": "table"}  # by the source that has no others


class Augment(Block):
    """Augmentation of training views. All random values come from the view's seed (see inputs.image.views)."""

    min_area: float = Field(0.35, gt=0, le=1, description="smallest area of a random crop, as a fraction of the photo")
    max_aspect: float = Field(1.33, ge=1, description="largest width/height or height/width of a random crop")
    flip: bool = Field(True, description="flip half of the views horizontally")
    brightness: float = Field(0.2, ge=0, lt=1, description="largest relative change of brightness")
    contrast: float = Field(0.2, ge=0, lt=1, description="largest relative change of contrast")
    saturation: float = Field(0.2, ge=0, lt=1, description="largest relative change of saturation")
    operations: int = Field(0, ge=0, le=4, description="number of random operations per view, as in RandAugment")
    magnitude: float = Field(0.5, ge=0, le=1, description="strength of those operations")
    word_dropout: float = Field(0.1, ge=0, lt=1, description="fraction of a text's words that a view leaves out")
    jitter: float = Field(
        0.1, ge=0, le=2, description="deviation of what a view adds to a number of a table, in deviations of its column"
    )
    mix: Literal["none", "mixup", "cutmix"] = Field("none", description="how the views of two images are mixed")
    mix_share: float = Field(0.5, ge=0, le=1, description="fraction of the views that are mixed")

    @property
    def unmixed(self) -> "Augment":
        """The same views, of one image each."""
        return self.model_copy(update={name: type(self).model_fields[name].default for name in ("mix", "mix_share")})


class Data(Block):
    """Source and splits of the examples."""

    source: str = Field(
        description="embedded:NAME, tfds:NAME, folder:PATH (a folder or a .zip of class folders), files:LIST.csv "
        "(path, label, optional split and group), shards:PATH (tar files of WebDataset), texts:FILE (a CSV or JSON "
        "lines: text, label, optional split and group; a .zip of them; a folder of class folders), or "
        "table:FILE.csv (label, optional split and group, and a column per feature)"
    )
    kind: str = Field(
        "image", description="kind of input, a name of tfkd.inputs.KINDS; text for texts:FILE, table for table:FILE"
    )
    image_size: int = Field(96, ge=32, le=1024, description="side of the student's square input, pixels")
    tokens: int = Field(
        64, ge=4, le=MOST_TOKENS, description="length of the student's input, in pieces of words of a text"
    )
    vocabulary: str | None = Field(
        None,
        description="a vocab.txt or the folder of a BERT model, whose pieces the student knows as far as the training "
        "texts use them; default: that of the first teacher, or the words of the texts",
    )
    pieces: int = Field(8192, ge=128, le=100_000, description="largest vocabulary that is made from the texts alone")
    label_column: str = Field("label", min_length=1, description="column of a table that holds the classes")
    columns: Annotated[list[str] | None, Separated] = Field(
        None,
        min_length=1,
        description="columns of a table that the student reads; default: all but label, split, group",
    )
    categorical: Annotated[list[str], Separated] = Field(
        [], description="columns of a table whose numbers are categories, such as postal codes"
    )
    fraction: float = Field(1.0, gt=0, le=1, description="fraction of the training examples to use, per class")
    unlabelled: str | None = Field(
        None,
        description="examples without labels: folder:PATH, texts:FILE, table:FILE, or rest (the training examples that "
        "fraction leaves out)",
    )
    outside: str | None = Field(
        None,
        description="examples of none of the classes, never trained on, that measure how many get a label: folder:PATH "
        "or texts:FILE",
    )
    validation_share: float = Field(0.1, gt=0, lt=1, description="fraction for validation if the source has none")
    test_share: float = Field(0.1, gt=0, lt=1, description="fraction for the test if the source has none")
    folds: int | None = Field(
        None,
        ge=2,
        le=20,
        description="parts of all labelled examples: the accuracy on each part is that of networks that were trained "
        "on the others, and the student that ships is trained on all",
    )
    held_out: list[int] = Field(
        [], max_length=2, description="numbers of the folds, from 0, that are the test split; a run with folds sets it"
    )
    pixel_range: tuple[float, float] | None = Field(
        None, description="values that map to 0 and 255 in photos of more than 8 bits; default: found by a scan"
    )
    drop_duplicates: bool = Field(
        True, description="leave out training and unlabelled examples that are also in validation or test"
    )
    max_rejected: float = Field(0.01, ge=0, le=1, description="largest fraction of files that may fail to decode")
    augment: Augment = Augment()

    @property
    def is_pooled(self) -> bool:
        """Whether accuracies are pooled over the folds, and the student is trained on all labelled images."""
        return self.folds is not None and not self.held_out

    @model_validator(mode="before")
    @classmethod
    def _kind_of_source(cls, values: Any) -> Any:
        kind = _KINDS.get(str(values.get("source", "")).partition(":")[0]) if isinstance(values, dict) else None
        return values if kind is None else {"kind": kind} | values

    @field_validator("held_out")
    @classmethod
    def _different(cls, value: list[int]) -> list[int]:
        if min(value, default=0) < 0 or len(set(value)) < len(value):
            raise ValueError("must be different numbers of folds, from 0")
        return sorted(value)

    @model_validator(mode="after")
    def _held_out_of_folds(self) -> "Data":
        if self.held_out and not (self.folds and self.held_out[-1] < self.folds and len(self.held_out) < self.folds):
            raise ValueError(f"held_out = {self.held_out} needs more folds than data.folds = {self.folds}")
        return self

    @field_validator("pixel_range", mode="before")
    @classmethod
    def _ascending(cls, value: object) -> object:
        match value:
            case None:
                return None
            case [Real() as low, Real() as high] if math.isfinite(low) and math.isfinite(high) and low < high:
                return low, high
        raise ValueError("must be two numbers, the smaller one first, e.g. [0, 4095]")
