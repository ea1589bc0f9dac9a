"""The request of `tfkd export`."""

import re
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from tfkd.inputs import KINDS, kind_of
from tfkd.recipe import NAME, Bench, Block, Data, Export, Gates
from tfkd.recipe import files as recipe_files
from tfkd.recipe.base import default_of
from tfkd.recipe.of_export import default_blocks
from tfkd.recipe.rejecting import require_rejection
from tfkd.verification.gates import OF_SEVERAL, is_on


class Request(Block):
    """The settings of `tfkd export`."""

    name: str = Field(pattern=NAME, description="name of the bundle")
    model: str = Field(description="a .keras or .h5 file of Keras 2 or 3, or the folder of a SavedModel")
    labels: str = Field(description="text file with one class name per line, in the order of the model's outputs")
    data: str = Field(
        description="embedded:NAME, tfds:NAME, folder:PATH, files:LIST.csv or texts:FILE; its classes are among the "
        "labels"
    )
    normalization: str = Field(
        "none", description="pixel values that the model expects: none, tf, torch, caffe or numbers"
    )
    allow_code: bool = Field(False, description="run code that the model file contains")
    imports: list[str] = Field([], description="modules that register the model's custom layers")
    image_size: int | None = Field(None, ge=8, le=1024, description="input size where the model has none")
    vocabulary: str | None = Field(
        None, description="vocab.txt, or a folder with one, that a model of texts was trained with"
    )
    tokens: int | None = Field(None, ge=4, le=512, description="number of ids where a model of texts takes any")
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

    @model_validator(mode="after")
    def _rejects(self) -> "Request":
        require_rejection(self.export, self.gates)
        if self.gates.max_outside_accepted is not None:
            raise ValueError("gates.max_outside_accepted needs data.outside, which tfkd export has not; leave it out")
        return self

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Request":
        for kind in KINDS:
            for name in sorted(kind_of(kind).export_fields) if kind != self.kind else ():
                if getattr(self, name) != default_of(Request, name):
                    raise ValueError(
                        f"{name} is for models of {kind}s, and this one is of {self.kind}s by its data and vocabulary; "
                        f"leave {name} out"
                    )
        return self

    @property
    def kind(self) -> str:
        """The kind of input of the model and the data, a name of `tfkd.inputs.KINDS`."""
        return _kind(self.data, self.vocabulary)


def _kind(data: str, vocabulary: str | None) -> str:
    return Data(source=data).kind if vocabulary is None else "text"


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
    kind = kind_of(_kind(fields["data"], fields.get("vocabulary")))
    blocks = default_blocks(kind.name, kind.not_by_default)
    values = {**fields, **{name: block.model_dump(mode="json") for name, block in blocks.items()}}
    named = [*files.get("tflite", []), *files.get("coreml", []), *(["onnx"] if files.get("onnx") else [])]
    values["export"] |= files | {"require": named}
    return recipe_files.validated(recipe_files.overridden(values, overrides), Request, "tfkd export")
