"""`evidence.json`: learning curves, the confusion matrix and predictions on real examples, which the report shows.

Bundles of earlier versions lack the file or parts of it. Shares and probabilities run from 0 to 1.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tfkd.bundle.layout import EVIDENCE
from tfkd.bundle.manifest import Manifest
from tfkd.inputs.image.files import shown_type


def _can_be_shown(text: str) -> str:
    shown_type(text)
    return text


Shown = Annotated[str, AfterValidator(_can_be_shown)]


class EvidenceEntry(BaseModel):
    """A part of the evidence; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class EvidencePoint(EvidenceEntry):
    epoch: int = Field(description="counted from 1")
    loss: float = Field(description="mean training loss; the student's includes its distillation losses")
    validation_accuracy: float | None = None
    learning_rate: float | None = None
    parts: dict[str, float] = Field({}, description="what the loss is made of, each part times its weight")


class Confusion(EvidenceEntry):
    variant: str = Field(description="whose predictions these are, named as in the manifest's comparison")
    classes: int = Field(gt=0)
    cells: list[tuple[int, int, int]] = Field(
        description="true class, predicted class, test images; pairs without images are left out"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_a_matrix(cls, values: Any) -> Any:
        """Reads the square of counts that evidence held before, rows true, columns predicted."""
        if not isinstance(values, dict) or "counts" not in values:
            return values
        counts = values["counts"]
        if any(len(row) != len(counts) for row in counts):
            raise ValueError(f"has {len(counts)} rows, but not every row has as many columns")
        cells = [(i, j, count) for i, row in enumerate(counts) for j, count in enumerate(row) if count]
        others = {name: value for name, value in values.items() if name != "counts"}
        return {**others, "classes": len(counts), "cells": cells}

    @model_validator(mode="after")
    def _inside(self) -> "Confusion":
        for true, predicted, images in self.cells:
            if not (0 <= true < self.classes and 0 <= predicted < self.classes and images > 0):
                raise ValueError(f"counts {images} images of class {true} as {predicted}, of {self.classes} classes")
        return self


class Example(EvidenceEntry):
    image: Shown = Field(
        description="base64 text of the example as the student takes it (see `InputKind.encode_shown`)"
    )
    label: str = Field(description="the true class")
    teacher: list[float] | None = Field(None, description="probabilities in class order")
    control: list[float] | None = None
    student: list[float]


class Prediction(EvidenceEntry):
    label: str = Field(description="the class of the highest probability")
    probability: float


class Mistake(EvidenceEntry):
    """A test image that the student takes for another class."""

    image: Shown = Field(
        description="base64 text of the example as the student takes it (see `InputKind.encode_shown`)"
    )
    label: str = Field(description="the true class")
    teacher: Prediction | None = None
    control: Prediction | None = None
    student: Prediction


Trained = Literal["teacher", "control", "student"]


class Evidence(EvidenceEntry):
    curves: dict[Trained, dict[int, list[EvidencePoint]]] = Field(
        {}, description="who was trained -> seed -> epochs in order"
    )
    confusion: Confusion | None = None
    examples: list[Example] = []
    mistakes: list[Mistake] = Field([], description="of the most frequent confused pairs, the most confident ones")


def other_classes(evidence: Evidence, manifest: Manifest) -> int | None:
    """Returns how many classes the evidence has, if its manifest has another number of them."""
    predictions = [row for each in evidence.examples for row in (each.teacher, each.control, each.student) if row]
    counts = {len(row) for row in predictions} | ({evidence.confusion.classes} if evidence.confusion else set())
    return max(counts - {len(manifest.data.classes)}, default=None)


def contradictions(evidence: Evidence, manifest: Manifest) -> Iterator[str]:
    """Yields what the evidence says otherwise than its manifest."""
    if (classes := other_classes(evidence, manifest)) is not None:
        yield f"it has {len(manifest.data.classes)} classes, {EVIDENCE} has {classes}"
    if evidence.confusion is None:
        return
    cells = evidence.confusion.cells
    images, right = sum(count for *_, count in cells), sum(count for i, j, count in cells if i == j)
    expected = round(manifest.student.accuracy * manifest.images)
    if (images, right) != (manifest.images, expected):
        yield (
            f"the student is right for {expected} of {manifest.images} images, by {EVIDENCE} for {right} of {images}"
        )
