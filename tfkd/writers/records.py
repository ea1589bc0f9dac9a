"""What the writers record in a bundle's manifest."""

from pydantic import Field

from tfkd.records import Entry


class MissingFile(Entry):
    """A file that was asked for and could not be made."""

    path: str = Field(description="where it would be in the bundle")
    format: str = Field(description="tflite, mlmodel, mlpackage or onnx")
    precision: str
    reason: str
    required: bool = Field(description="the recipe's export.require names it: the gate of its name failed")
