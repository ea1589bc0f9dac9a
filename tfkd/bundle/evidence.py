"""`evidence.json`: learning curves, the confusion matrix and predictions on real examples, which the report shows.

Bundles of earlier versions lack the file or parts of it. Shares and probabilities run from 0 to 1.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tfkd.bundle.layout import EVIDENCE
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.rules import Rules
from tfkd.inputs import shown_type
from tfkd.records import Count
from tfkd.verification.gates import STUDENT
from tfkd.verification.records import ORDER_BINS


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
        description="true class, predicted class, test examples; pairs without examples are left out"
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
                raise ValueError(f"counts {images} examples of class {true} as {predicted}, of {self.classes} classes")
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
    """A test example that the student takes for another class."""

    image: Shown = Field(
        description="base64 text of the example as the student takes it (see `InputKind.encode_shown`)"
    )
    label: str = Field(description="the true class")
    teacher: Prediction | None = None
    control: Prediction | None = None
    student: Prediction


class Flip(EvidenceEntry):
    """A test example that the teacher predicts rightly, and the student or a file wrongly."""

    image: Shown = Field(
        description="base64 text of the example as the student takes it (see `InputKind.encode_shown`)"
    )
    label: str = Field(description="the true class")
    teacher: Prediction
    wrong: dict[str, Prediction] = Field(
        min_length=1, description="by path of the file, or `student` for the Keras student; the others are right"
    )

    @model_validator(mode="after")
    def _flipped(self) -> "Flip":
        if self.teacher.label != self.label or any(each.label == self.label for each in self.wrong.values()):
            raise ValueError(f"an example of {self.label} is no negative flip")
        return self


class SuspectedExample(EvidenceEntry):
    """A labelled example whose label is probably wrong."""

    image: Shown = Field(
        description="base64 text of the example as the student takes it (see `InputKind.encode_shown`)"
    )
    file: str = Field(description="name of the example in the data")
    label: str
    suggested: Prediction

    @model_validator(mode="after")
    def _another_class(self) -> "SuspectedExample":
        if self.label == self.suggested.label:
            raise ValueError(f"the label {self.label} of {self.file} is suggested itself")
        return self


Trained = Literal["teacher", "control", "student"]
OrderHistogram = Annotated[list[Count], Field(min_length=ORDER_BINS, max_length=ORDER_BINS)]


class Evidence(EvidenceEntry):
    curves: dict[Trained, dict[int, list[EvidencePoint]]] = Field(
        {}, description="who was trained -> seed -> epochs in order"
    )
    confusion: Confusion | None = None
    examples: list[Example] = []
    mistakes: list[Mistake] = Field([], description="of the most frequent confused pairs, the most confident ones")
    flips: list[Flip] = Field(
        [], description="the negative flips of which the teacher is most confident, in this order"
    )
    suspects: list[SuspectedExample] = Field([], description="the labels that are most probably wrong, in this order")
    wrong_class_orders: dict[Literal["control", "student"], OrderHistogram] = Field(
        {}, description="test examples by their rank correlation with the teacher over the wrong classes, in equal bins"
    )
    rules: Rules | None = Field(None, description="of a student that consists of trees")


def other_classes(evidence: Evidence, manifest: Manifest) -> int | None:
    """Returns how many classes the evidence has, if its manifest has another number of them."""
    predictions = [row for each in evidence.examples for row in (each.teacher, each.control, each.student) if row]
    counts = {len(row) for row in predictions} | ({evidence.confusion.classes} if evidence.confusion else set())
    return max(counts - {len(manifest.data.classes)}, default=None)


def contradictions(evidence: Evidence, manifest: Manifest) -> Iterator[str]:
    """Yields what the evidence says otherwise than its manifest."""
    if (classes := other_classes(evidence, manifest)) is not None:
        yield f"it has {len(manifest.data.classes)} classes, {EVIDENCE} has {classes}"
    yield from _other_flips(evidence.flips, manifest)
    yield from _other_orders(evidence, manifest)
    yield from _other_suspects(evidence.suspects, manifest)
    if evidence.rules and not {node.label for node in evidence.rules.nodes} <= set(manifest.data.classes):
        yield f"{EVIDENCE} has rules for a class that is not listed"
    if evidence.confusion is None:
        return
    cells = evidence.confusion.cells
    images, right = sum(count for *_, count in cells), sum(count for i, j, count in cells if i == j)
    expected = round(manifest.student.accuracy * manifest.images)
    if (images, right) != (manifest.images, expected):
        yield (
            f"the student is right for {expected} of {manifest.images} examples, by {EVIDENCE} for {right} of {images}"
        )


def _other_flips(flips: list[Flip], manifest: Manifest) -> Iterator[str]:
    counts = {STUDENT: manifest.student.negative_flips}
    counts |= {each.path: each.negative_flips for each in manifest.artifacts}
    for name, shown in Counter(name for flip in flips for name in flip.wrong).items():
        flipped = counts.get(name)
        if flipped is None or shown > flipped.test.lost:
            yield f"{EVIDENCE} shows {shown} negative flips of {name}, more than it counts"
    labels = {flip.label for flip in flips} | {each.label for flip in flips for each in flip.wrong.values()}
    if not labels <= set(manifest.data.classes):
        yield f"{EVIDENCE} shows a negative flip of a class that is not listed"


def _other_suspects(suspects: list[SuspectedExample], manifest: Manifest) -> Iterator[str]:
    counted = manifest.suspected_labels.suspects if manifest.suspected_labels else 0
    if len(suspects) > counted:
        yield f"{EVIDENCE} shows {len(suspects)} suspected labels, more than the {counted} that are counted"
    if not {label for each in suspects for label in (each.label, each.suggested.label)} <= set(manifest.data.classes):
        yield f"{EVIDENCE} shows a suspected label of a class that is not listed"


def _other_orders(evidence: Evidence, manifest: Manifest) -> Iterator[str]:
    student = manifest.student
    orders = {"student": student.wrong_classes, "control": student.control_wrong_classes}
    for name, counts in evidence.wrong_class_orders.items():
        order = orders[name]
        images = order.images if order else 0
        if sum(counts) != images:
            yield f"the {name} has an order of wrong classes for {images} examples, by {EVIDENCE} for {sum(counts)}"
