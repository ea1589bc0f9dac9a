"""The files to write."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from tfkd.recipe.base import Block, Separated

TflitePrecision = Literal["fp32", "fp16", "dynamic", "int8", "16x8"]

CoremlForm = Literal[
    "mlmodel",
    "mlmodel_fp16",
    "mlmodel_int8",
    "mlpackage",
    "mlpackage_fp32",
    "mlpackage_int8",
    "mlpackage_palette6",
    "mlpackage_palette4",
    "mlpackage_pruned",
]


class Export(Block):
    """The files that an app takes, and what is written into them."""

    tflite: Annotated[list[TflitePrecision], Separated] = Field(
        ["fp32", "fp16", "dynamic", "int8"], description="TFLite files to write"
    )
    coreml: Annotated[list[CoremlForm], Separated] = Field(
        ["mlmodel", "mlpackage"], description="Core ML files to write"
    )
    ios_target: int | None = Field(
        None,
        ge=13,
        le=18,
        description="oldest iOS that takes the files; default: the oldest that each of them can have",
    )
    onnx: bool = Field(False, description="write an .onnx file too, for TensorRT; needs the extra onnx")
    require: Annotated[list[str], Separated] = Field(
        [],
        description="files that must exist, by their names in tflite and coreml, or onnx: where one cannot be made, "
        "nothing is published",
    )
    calibration_images: int = Field(500, ge=1, description="real training images that set the int8 ranges")
    ranges: Literal["min_max", "mse"] = Field(
        "min_max", description="of int8 activations: all that was seen, or the range with the least squared error"
    )
    float_layers: Annotated[list[str], Separated] = Field(
        [], description="operators of the int8 file left in float, by a part of their name"
    )
    int8_io: Literal["uint8", "int8"] = Field("uint8", description="what the int8 file takes and gives")
    golden_images: int = Field(8, ge=1, description="test images stored with the probabilities each file must give")
    author: str = "tfkd"
    license: str = "see MODEL_CARD.md"
    version: str = "1"
    description: str = "Image classifier distilled with tfkd"

    @field_validator("tflite", "coreml", "require")
    @classmethod
    def _once_each(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("names a format twice; name each once")
        return value

    @property
    def forms(self) -> list[str]:
        """The names of all files to write."""
        return [*self.tflite, *self.coreml, *(["onnx"] if self.onnx else [])]

    @model_validator(mode="after")
    def _written(self) -> "Export":
        for form in self.require:
            if form not in self.forms:
                raise ValueError(
                    f"require names {form!r}, but the files to write are {', '.join(self.forms) or 'none'}; "
                    "add it to tflite or coreml, or leave it out of require"
                )
        return self

    @model_validator(mode="after")
    def _old_enough(self) -> "Export":
        for form in self.coreml:
            if self.ios_target is not None and self.ios_target < oldest_ios(form):
                raise ValueError(
                    f"ios_target = {self.ios_target}, but {form} needs iOS {oldest_ios(form)}; raise it or leave that "
                    "file out of coreml"
                )
        return self


def oldest_ios(form: CoremlForm) -> int:
    """Returns the iOS that brought what a Core ML file is made of: ML programs, then compressed weights in them."""
    if form.startswith("mlmodel"):
        return 13
    return 15 if form in ("mlpackage", "mlpackage_fp32") else 16
