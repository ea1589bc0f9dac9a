"""The counts that apps send of what a file predicts: no example, no prediction, only how often each bin came up."""

import datetime
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from tfkd.records import Entry, Number, Sha256
from tfkd.verification.counting import BINS, FEATURES, LARGEST_COUNT, MOST_DAYS

COUNTS_SCHEMA: Literal["tfkd-counts-1"] = "tfkd-counts-1"

Counter64 = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
OfBins = Annotated[list[Counter64], Field(min_length=BINS, max_length=BINS)]
Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class PredictionCounts(Entry):
    """How often each class and each tenth of confidence, entropy and margin came up (`tfkd.verification.counting`)."""

    n: Counter64 = Field(description="predictions in the bins; the sum of each list")
    rejected: Counter64 = Field(
        0, description="those of them below the threshold of the file or of the app, which get no label"
    )
    invalid: Counter64 = Field(0, description="predictions that were no probabilities; they are in no bin")
    top1: list[Counter64] = Field(min_length=1, description="by number of the most probable class")
    confidence: OfBins = Field(description="by the probability of that class")
    entropy: OfBins = Field(description="by entropy / ln(classes)")
    margin: OfBins = Field(description="by confidence less the next largest probability")

    @model_validator(mode="after")
    def _of_all_predictions(self) -> "PredictionCounts":
        for name in FEATURES:
            if (found := sum(getattr(self, name))) != self.n:
                raise ValueError(f"{name} adds up to {found:,}, n is {self.n:,}")
        if self.rejected > self.n:
            raise ValueError(f"rejected is {self.rejected:,}, n is {self.n:,}")
        return self

    def histograms(self) -> list[np.ndarray]:
        """Returns the counts of each feature in the order of FEATURES, int64 [classes] and three times [10]."""
        return [np.array(getattr(self, name), np.int64) for name in FEATURES]


def counted(rows: np.ndarray, classes: int, rejected: int = 0, invalid: int = 0) -> PredictionCounts:
    """Counts predictions.

    Args:
        rows: of `PredictionFeatures.binned`, int [n, 4].
        classes: number of classes.
        rejected: of the predictions.
        invalid: predictions that are not in `rows`.
    """
    sizes = (classes, BINS, BINS, BINS)
    lists = {
        name: np.bincount(column, minlength=size).tolist()
        for name, column, size in zip(FEATURES, rows.T, sizes, strict=True)
    }
    return PredictionCounts(n=len(rows), rejected=rejected, invalid=invalid, **lists)


class PhoneCounts(Entry):
    """The counts of one file on one phone, as the sources in a bundle write them."""

    schema_: Literal["tfkd-counts-1"] = Field(alias="schema")
    bundle: str = Field(description="name of the bundle")
    file: str = Field(description="path of the file in the bundle")
    sha256: Sha256 = Field(description="of the file, as in the manifest")
    tfkd_version: str = Field(description="that made the bundle")
    device: str = Field(
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="chosen by the app: a random text per installation, or empty; never an identifier of phone or user",
    )
    classes: Number
    days: dict[Day, PredictionCounts] = Field(max_length=MOST_DAYS, description="by day in UTC, the last ones only")

    @field_validator("days")
    @classmethod
    def _of_the_calendar(cls, days: dict[str, PredictionCounts]) -> dict[str, PredictionCounts]:
        for day in days:
            datetime.date.fromisoformat(day)
        return days

    @model_validator(mode="after")
    def _of_all_classes(self) -> "PhoneCounts":
        for day, counts in self.days.items():
            if len(counts.top1) != self.classes:
                raise ValueError(f"{day} counts {len(counts.top1)} classes, classes is {self.classes}")
        return self
