"""The request of `tfkd export`."""

import re
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from tfkd.recipe import NAME, Bench, Block, Export, Gates
from tfkd.recipe import files as recipe_files
from tfkd.recipe.of_export import default_blocks
from tfkd.verification.gates import OF_SEVERAL, is_on


class Request(Block):
    """The settings of `tfkd export`."""

    name: str = Field(pattern=NAME, description="name of the bundle")
    model: str = Field(description="a .keras or .h5 file of Keras 2 or 3, or the folder of a SavedModel")
    labels: str = Field(description="text file with one class name per line, in the order of the model's outputs")
    data: str = Field(
        description="embedded:NAME, tfds:NAME, folder:PATH or files:LIST.csv; its classes are among the labels"
    )
    normalization: str = Field(
        "none", description="pixel values that the model expects: none, tf, torch, caffe or numbers"
    )
    allow_code: bool = Field(False, description="run code that the model file contains")
    imports: list[str] = Field([], description="modules that register the model's custom layers")
    image_size: int | None = Field(None, ge=8, le=1024, description="input size where the model has none")
    export: Export
    bench: Bench
    gates: Gates
    seed: int = Field(1, ge=0, lt=2**31, description="seed of missing splits and of example selection")

    @field_validator("export")
    @classmethod
    def _measurable(cls, value: Export) -> Export:
        if not value.tflite:
            raise ValueError("lists no .tflite file; latency is measured on those, so add at least fp32")
        return value

    @model_validator(mode="after")
    def _alone(self) -> "Request":
        for name in OF_SEVERAL:
            if is_on(getattr(self.gates, name)):
                raise ValueError(f"gates.{name} needs a teacher or a control, which tfkd export has not; leave it out")
        return self


def name_of(model: str) -> str:
    """Returns a bundle name for a model's file or folder, without characters that are not allowed."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", Path(model).stem).strip("-_")[:64] or "model"


def request(fields: dict[str, Any], files: dict[str, Any], overrides: list[str]) -> Request:
    """Returns a validated request.

    Args:
        fields: fields of the request itself.
        files: files to write, by their field in `export`; they are required unless an override sets `export.require`.
        overrides: further fields as `key.path=value`.

    Raises:
        RequestError: a field is unknown or has a wrong value.
    """
    values = {**fields, **{name: block.model_dump(mode="json") for name, block in default_blocks().items()}}
    named = [*files.get("tflite", []), *files.get("coreml", []), *(["onnx"] if files.get("onnx") else [])]
    values["export"] |= files | {"require": named}
    return recipe_files.validated(recipe_files.overridden(values, overrides), Request, "tfkd export")
