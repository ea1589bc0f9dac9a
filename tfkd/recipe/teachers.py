"""Settings of a teacher."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from tfkd.errors import RequestError
from tfkd.labels import read_labels
from tfkd.recipe.base import Block, Rendering, Separated
from tfkd.recipe.training import FineTune

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")


def is_model_file(model: str) -> bool:
    """Returns whether `model` is the path of a model file or SavedModel, not a name or `package.module:function`."""
    if ":" in model:
        return False
    path = Path(model)
    is_there = path.is_file() or (path / "saved_model.pb").is_file()
    return is_there or model.lower().endswith(MODEL_SUFFIXES) or "/" in model


class Teacher(Block):
    """A heavy classifier with its own input size and normalisation."""

    model: str = Field(description="name from `tfkd list teachers`, model file, or package.module:function")
    weights: str = Field("imagenet", description="imagenet, none, or the path of a weights file")
    image_size: int | None = Field(None, ge=32, le=1024, description="side of its input, pixels; default: the family's")
    fine_tune: FineTune | None = Field(
        default_factory=lambda fields: None if is_model_file(fields.get("model", "")) else FineTune(),
        description="None uses the weights unchanged, the default for a model file",
    )
    normalization: str = Field(
        "none", description="pixel values that a model of your own expects: none, tf, torch, caffe or numbers"
    )
    labels: list[str] | None = Field(
        None, min_length=1, description="classes in the order of its outputs: a list, or the path of a labels file"
    )
    classes: Annotated[list[str] | None, Separated] = Field(None, min_length=1, description="classes of a specialist")
    batch_norm: Literal["moving", "batch"] = Field(
        "moving", description="BatchNorm statistics at inference: those of its training, or of each batch"
    )
    share: float = Field(1.0, gt=0, description="weight in an ensemble, relative to the other teachers")
    rendering: Rendering = "rgb"

    @property
    def weights_file(self) -> str | None:
        """The path of the file of initial weights, or None."""
        return None if self.weights in ("none", "imagenet") else self.weights

    @field_validator("labels", mode="before")
    @classmethod
    def _read_labels(cls, value: Any) -> Any:
        """Reads a labels file, so that a stored recipe holds the names themselves."""
        if not isinstance(value, str):
            return value
        try:
            return list(read_labels(Path(value)))
        except RequestError as error:
            raise ValueError(str(error).removesuffix(".")) from None

    @model_validator(mode="after")
    def _one_meaning_of_outputs(self) -> "Teacher":
        if self.labels and self.classes:
            raise ValueError("has labels and classes; set labels for all outputs in order, or classes for a specialist")
        return self
