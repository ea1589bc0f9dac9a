"""Settings of the export."""

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


class Reject(Block):
    """When a file gives "none of these" in place of a label: exactly one promise (see tfkd.verification.rejection)."""

    max_error: float | None = Field(
        None, gt=0, lt=1, description="largest expected fraction of all examples that get a wrong label instead of none"
    )
    coverage: float | None = Field(
        None, gt=0, lt=1, description="smallest expected fraction of all examples that get a label"
    )

    @model_validator(mode="after")
    def _one_promise(self) -> "Reject":
        if (self.max_error is None) is (self.coverage is None):
            raise ValueError("set exactly one of max_error and coverage, such as max_error=0.02")
        return self


class Export(Block):
    """The files to export, and their metadata."""

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
        description="minimum iOS version of the files; default: the lowest that each form supports",
    )
    onnx: bool = Field(False, description="write an .onnx file as well, for TensorRT; needs the extra onnx")
    require: Annotated[list[str], Separated] = Field(
        [],
        description="files that must be written, by their names in tflite and coreml, or onnx; if one cannot be "
        "written, nothing is published",
    )
    calibration_images: int = Field(500, ge=1, description="training examples that determine the int8 ranges")
    ranges: Literal["min_max", "mse"] = Field(
        "min_max", description="int8 activation ranges: the observed range, or that with the least squared error"
    )
    float_layers: Annotated[list[str], Separated] = Field(
        [], description="operators to leave in float in the int8 file, each by a part of its name"
    )
    int8_io: Literal["uint8", "int8"] = Field("uint8", description="input and output type of the int8 file")
    thresholds: bool = Field(
        True,
        description="choose, for each class in gates.min_recall, the probability from which it is predicted, on the "
        "validation split",
    )
    reject: Reject | None = Field(
        None,
        description="choose, for each file, the probability below which it gives none of the classes, on the "
        "validation split",
    )
    temperature: Literal["auto"] | None = Field(
        None,
        description="auto: divide the logits by the temperature that fits the validation split best, in the last layer",
    )
    golden_images: int = Field(8, ge=1, description="test examples stored with the probabilities expected of each file")
    author: str = "tfkd"
    license: str = "see MODEL_CARD.md"
    version: str = "1"
    description: str = "Image classifier distilled with tfkd"

    @field_validator("tflite", "coreml", "require")
    @classmethod
    def _once_each(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("lists a format twice; list each once")
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
                    "add it to tflite or coreml, or remove it from require"
                )
        return self

    @model_validator(mode="after")
    def _old_enough(self) -> "Export":
        for form in self.coreml:
            if self.ios_target is not None and self.ios_target < oldest_ios(form):
                raise ValueError(
                    f"ios_target = {self.ios_target}, but {form} needs iOS {oldest_ios(form)}; raise it or remove "
                    f"{form} from coreml"
                )
        return self


def oldest_ios(form: CoremlForm) -> int:
    """Returns the minimum iOS version for a Core ML form."""
    if form.startswith("mlmodel"):
        return 13
    return 15 if form in ("mlpackage", "mlpackage_fp32") else 16
