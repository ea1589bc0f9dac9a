"""The JSON of `tfkd diff OLD.lock NEW.lock`: how a teacher differs from the locked one.

Fractions (accuracy, agreement, confidence) run from 0 to 1.
"""

from typing import Literal

from pydantic import Field

from tfkd.records import Count, Entry, Fraction, Number

SCHEMA: Literal["tfkd-lock-diff-1"] = "tfkd-lock-diff-1"


class LockEntry(Entry):
    """One of the two locks."""

    file: str
    name: str = Field(description="of the run")
    tfkd_version: str
    teachers: list[str]
    data: str = Field(description="source of the examples")


class ClassFlow(Entry):
    """Examples whose predicted class changed from one to another."""

    old: str
    new: str
    examples: Number


class ClassShift(Entry):
    """The validation examples of one class."""

    label: str
    examples: Number
    old_right: Count
    new_right: Count
    changed: Count = Field(description="with another predicted class")
    p_value: Fraction = Field(
        description="exact two-sided McNemar test of the recalls, adjusted for all classes (Benjamini, Hochberg 1995)"
    )


class TeacherAgreement(Entry):
    """A teacher and the locked one on the same validation examples."""

    teacher: str = Field(description="its model, or that all of them are together")
    examples: Number = Field(description="that both predicted")
    equal: Count = Field(description="with the same predicted class")
    interval: tuple[float, float] = Field(description="95 % interval of the agreement (Wilson)")
    old_accuracy: Fraction
    new_accuracy: Fraction
    p_value: Fraction = Field(description="exact two-sided McNemar test of the accuracies")
    old_confidence: Fraction = Field(description="mean probability of the predicted class")
    new_confidence: Fraction
    distance: Fraction = Field(description="mean total variation between the stored probabilities")
    classes: list[ClassShift] = Field(description="with the most changed predictions first")
    flows: list[ClassFlow] = Field(description="the most frequent first")


class LockDiff(Entry):
    schema_: Literal["tfkd-lock-diff-1"] = Field(SCHEMA, alias="schema")
    tfkd_version: str = Field(description="that compared")
    old: LockEntry
    new: LockEntry
    changes: list[str] = Field(description="of classes, data and teachers; empty where all are the same")
    differs: list[Literal["classes", "data", "teachers"]] = Field(description="what the changes are of")
    settings: list[str] = Field(description="of the recipe, which explain the changes")
    agreements: list[TeacherAgreement] = Field(description="of each teacher; of several all together come first")
    not_compared: str = Field("", description="why there is no agreement; empty where there is one")

    @property
    def passed(self) -> bool:
        """True for the same teachers, classes and examples."""
        return not self.changes
