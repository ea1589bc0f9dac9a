"""The JSON of `tfkd diff --json`: two bundles, what an app notices of the change, and the verdicts on it.

Fractions (accuracy, calibration error) run from 0 to 1, latencies are milliseconds, sizes are bytes.
"""

from typing import Literal

from pydantic import Field

from tfkd.records import Count, Entry, Fraction, Number, Sha256
from tfkd.verification.records import Gate, NegativeFlips

SCHEMA: Literal["tfkd-diff-1"] = "tfkd-diff-1"

Part = Literal["labels", "meaning", "files", "input", "output", "thresholds", "runtime", "metadata"]


class ReleaseEntry(Entry):
    """One of the two bundles."""

    folder: str
    name: str
    version: str = Field(description="of the model, as export.version of its recipe says")
    tfkd_version: str
    created: str = Field(description="UTC, ISO 8601")
    data_fingerprint: str = Field(description="of the examples that the bundle was measured on")
    test_images: Number


class ContractChange(Entry):
    """A change of what an app that uses the old bundle relies on."""

    part: Part = Field(description="meaning: which class an output means, by the predictions")
    text: str = Field(description="what changes, one sentence")
    breaks: bool = Field(description="whether an app that uses the old bundle must be changed")
    judged: bool = Field(True, description="False where the examples are too few to be sure")


class FileEntry(Entry):
    path: str = Field(description="inside its bundle")
    sha256: Sha256
    bytes: Number
    compressed_bytes: Number | None = Field(None, description="deflated; null for a folder")
    accuracy: Fraction | None = Field(description="on the examples of --data, else on the bundle's own test split")
    calibration_error: Fraction | None = Field(
        None, description="expected calibration error, 15 equal bins (Guo et al. 2017); only with --data"
    )


class CostChange(Entry):
    """One measurement of both files on the same device."""

    target: str
    device: str
    delegate: str | None
    threads: int | None
    emulated: bool
    quantity: Literal["latency", "instructions"]
    old: float = Field(ge=0, description="median, ms; or instructions of one inference")
    new: float = Field(ge=0)
    ratio: float = Field(
        ge=0, description="new / old; of latencies by their samples where both have them (see tfkd bench --baseline)"
    )
    interval: tuple[float, float] | None = Field(
        description="95 % confidence interval of the ratio; null where the measurements do not have one"
    )


class FlippedExample(Entry):
    """An example that one of the two files predicts rightly and the other one wrongly."""

    image: str = Field(description="name of the example")
    label: str = Field(description="the true class")
    old: str = Field(description="class that the old file predicts")
    old_probability: Fraction
    new: str
    new_probability: Fraction


class FileChange(Entry):
    """The files of one format and precision in both bundles."""

    format: str
    precision: str
    old: FileEntry
    new: FileEntry
    images: Count = Field(description="labelled examples that both files predicted")
    negative_flips: NegativeFlips | None = Field(
        description="examples that only the old file predicts rightly; null without common examples"
    )
    positive_flips: NegativeFlips | None = Field(description="examples that only the new file predicts rightly")
    examples: list[FlippedExample] = Field(
        [], description="the negative flips of which the old file is most confident, in this order"
    )
    gained_examples: list[FlippedExample] = Field(
        [], description="the positive flips of which the new file is most confident"
    )
    costs: list[CostChange] = Field([], description="what was measured of both on the same device")
    not_run: str | None = Field(None, description="why the files were not run on the examples of --data")


class StudentRecall(Entry):
    label: str
    images: Number = Field(description="test examples of the class")
    old_right: Count
    new_right: Count


class Diff(Entry):
    schema_: Literal["tfkd-diff-1"] = Field(SCHEMA, alias="schema")
    tfkd_version: str = Field(description="that compared")
    old: ReleaseEntry
    new: ReleaseEntry
    data: str | None = Field(description="source of the examples that both predicted; null: the golden examples")
    same_test_images: bool = Field(description="whether both bundles were measured on the same test examples")
    notes: list[str] = Field([], description="what limits the comparison")
    changes: list[ContractChange]
    files: list[FileChange]
    students: list[StudentRecall] = Field(
        [], description="the Keras models per class, where both were measured on the same test examples"
    )
    gates: list[Gate]

    @property
    def passed(self) -> bool:
        """True if no gate failed; a gate that was not judged has not failed."""
        return all(gate.verdict != "failed" for gate in self.gates)
