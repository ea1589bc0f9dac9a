"""What `tfkd export` is asked for."""

import re
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from tfkd.recipe import NAME, Bench, Block, Export, Gates
from tfkd.recipe import files as recipe_files
from tfkd.verification.gates import OF_SEVERAL, is_on


class Request(Block):
    """What `tfkd export` was asked for."""

    name: str = Field(pattern=NAME, description="names the bundle")
    model: str = Field(description="a .keras or .h5 file of Keras 2 or 3, or the folder of a SavedModel")
    labels: str = Field(description="a text file with one class name a line, in the order of the model's outputs")
    data: str = Field(
        description="embedded:NAME, tfds:NAME, folder:PATH or files:LIST.csv; its classes are among the labels"
    )
    normalization: str = Field(
        "none", description="what the model expects of pixels: none, tf, torch, caffe or numbers"
    )
    allow_code: bool = Field(False, description="run code that the model file brings along")
    imports: list[str] = Field([], description="modules that register the model's custom layers")
    image_size: int | None = Field(None, ge=8, le=1024, description="side of the input where the model leaves it free")
    export: Export
    bench: Bench
    gates: Gates
    seed: int = Field(1, ge=0, lt=2**31, description="draws the splits that the data lack, and the images")

    @field_validator("export")
    @classmethod
    def _measurable(cls, value: Export) -> Export:
        if not value.tflite:
            raise ValueError("names no .tflite file; a bundle's latencies are of those, so name at least fp32")
        return value

    @model_validator(mode="after")
    def _alone(self) -> "Request":
        for name in OF_SEVERAL:
            if is_on(getattr(self.gates, name)):
                raise ValueError(f"gates.{name} compares with a teacher or a control, and here is none; leave it out")
        return self


def name_of(model: str) -> str:
    """Returns a name for the bundle of a model's file or folder: its own, without what a name may not hold."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", Path(model).stem).strip("-_")[:64] or "model"


def request(given: dict[str, Any], files: dict[str, Any], overrides: list[str]) -> Request:
    """Puts a request together.

    Args:
        given: the fields of the request itself.
        files: which files to write, by the field of `export` that names them; those that are named must exist, unless
            the overrides set `export.require`.
        overrides: further fields as `key.path=value`.

    Raises:
        RequestError: a field is unknown or has a wrong value.
    """
    parts: dict[str, Block] = {
        "export": Export(description="Image classifier"),
        "bench": Bench(),
        # The network is what it is: operators that XNNPACK does not have are told, and judged on request.
        "gates": Gates(one_partition=False, min_relative_accuracy=None, not_worse_than_control=False),
    }
    values = {**given, **{name: part.model_dump(mode="json") for name, part in parts.items()}}
    named = [*files.get("tflite", []), *files.get("coreml", []), *(["onnx"] if files.get("onnx") else [])]
    values["export"] |= files | {"require": named}
    return recipe_files.validated(recipe_files.overridden(values, overrides), Request, "tfkd export")
