"""The JSON of `tfkd drift --out`: what phones counted against what the student did on test examples.

Fractions run from 0 to 1; days are in UTC.
"""

from typing import Literal

from pydantic import Field

from tfkd.bundle.counts import Day
from tfkd.records import Count, Entry, Fraction, Number, Sha256

DRIFT_SCHEMA: Literal["tfkd-drift-1"] = "tfkd-drift-1"

Feature = Literal["top1", "confidence", "entropy", "margin"]
DriftVerdict = Literal["alarm", "no alarm", "too few"]


class Range95(Entry):
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


class Look(Entry):
    """The test of one feature in one period."""

    period: str = Field(description="a day, or all")
    feature: Feature
    n: Number = Field(description="predictions")
    statistic: float = Field(ge=0, description="G of the two histograms")
    p_value: Fraction = Field(description="of this look alone, by simulation")
    corrected: Fraction = Field(description="for all looks together (step-down maxT, Westfall and Young 1993)")
    cramers_v: Fraction = Field(description="effect size: 0 no change, 1 no bin in common")
    alarm: bool = Field(description="whether corrected is at most the alarm rate")


class FeatureHistogram(Entry):
    """Predictions by class, or by tenth of a number, over all days."""

    reference: list[Count]
    observed: list[Count]


class CountedDay(Entry):
    day: Day
    n: Number = Field(description="predictions")
    mean_confidence: Fraction
    tested: bool = Field(description="by itself; days with few predictions are tested only together with all others")


class ClassChange(Entry):
    label: str
    reference: Fraction = Field(description="of the predictions for test examples")
    observed: Fraction = Field(description="of the predictions of the phones")
    change: Range95 = Field(description="observed less reference; the intervals of all classes hold together")
    estimated: Range95 | None = Field(
        None, description="estimated fraction of the examples that truly are of the class"
    )


class LabelShiftEntry(Entry):
    """Whether only the frequencies of the true classes have changed (BBSE, arXiv:1802.03916)."""

    singular_value: float | None = Field(description="the smallest of P(predicted | true); at least 0.1 is needed")
    p_value: Fraction | None = Field(description="of the assumption that nothing else has changed; rejected up to 0.01")
    explains: bool = Field(description="whether it was estimated and the assumption is not rejected")
    accuracy: Range95 | None = Field(description="of the file if the assumption holds")
    reason: str = Field("", description="why nothing was estimated")


class EstimatedAccuracy(Entry):
    """By what each confidence was worth on the test examples."""

    reference: Fraction | None = Field(description="on the test examples; null where their classes are not known")
    estimate: Range95 | None
    reason: str = Field("", description="why nothing was estimated")


class LeftOut(Entry):
    reason: Literal["before the bundle was created", "in the future"]
    days: Number
    predictions: Count


class PhoneDifferences(Entry):
    dispersion: float = Field(ge=0, description="of the top-1 classes: 1 where the phones differ by chance alone")
    p_value: Fraction


class NetworkDrift(Entry):
    """What one network predicts for examples that came back."""

    alarm: bool = Field(description="whether its predictions differ from those for test examples")
    p_value: Fraction = Field(description="over the four features together (step-down maxT)")
    mean_confidence: Fraction
    mean_confidence_reference: Fraction


DriftFinding = Literal[
    "nothing has changed", "the student drifted from the teacher", "the world changed for both", "both"
]


class ReturnedExamples(Entry):
    """Examples that came back (`--samples`): what the bundle's file and the teacher predict for them."""

    examples: Number
    labelled: Count
    student: NetworkDrift
    teacher: NetworkDrift | None = Field(description="null without a teacher")
    disagreement: Range95 | None = Field(description="fraction with another top-1 than the teacher's (Wilson)")
    disagreement_reference: Fraction | None = Field(description="the same on the test examples")
    disagreement_p_value: Fraction | None = Field(description="one-sided, Fisher's exact test: more than before")
    accuracy: Range95 | None = Field(description="of the labelled ones (Wilson); null without labels")
    teacher_accuracy: Range95 | None
    finding: DriftFinding | None = Field(description="null without a teacher whose test predictions are known")

    @property
    def alarm(self) -> bool:
        """True where a test of these examples gives an alarm."""
        return self.student.alarm or self.finding not in (None, "nothing has changed")


class Drift(Entry):
    schema_: Literal["tfkd-drift-1"] = Field(DRIFT_SCHEMA, alias="schema")
    tfkd_version: str
    bundle: str
    file: str = Field(description="path in the bundle")
    sha256: Sha256
    created: str = Field(description="of the bundle, UTC")
    alarm_rate: float = Field(gt=0, lt=1, description="probability of a false alarm over all looks of this call")
    drawings: Number
    seed: Count
    reference_examples: Number = Field(description="test examples whose predictions are compared with")
    phones: Count = Field(description="files of counts")
    predictions: Count
    rejected: Count = Field(description="predictions that got no label")
    rejected_reference: Fraction | None = Field(
        None, description="fraction of the test examples that get no label; null: the file has no threshold"
    )
    invalid: Count
    left_out: list[LeftOut] = Field([], description="days that clocks which are wrong have counted")
    notes: list[str] = Field([], description="what limits the result, a sentence each")
    verdict: DriftVerdict
    needed: Number | None = Field(
        description="predictions that find a medium change (Cohen's w 0.3) with 80 %; null: the reference is too small"
    )
    mean_confidence: Fraction | None = Field(description="by bins, each at the reference's mean in it")
    mean_confidence_reference: Fraction
    looks: list[Look] = Field([], description="all days first")
    histograms: dict[Feature, FeatureHistogram] = Field({}, description="empty where nothing was counted")
    days: list[CountedDay] = Field([], description="that phones counted predictions on")
    classes: list[ClassChange] = Field([], description="in the order of the outputs")
    label_shift: LabelShiftEntry | None = None
    accuracy: EstimatedAccuracy | None = None
    between_phones: PhoneDifferences | None = Field(None, description="null where there is one phone")
    samples: ReturnedExamples | None = Field(None, description="null without --samples")

    @property
    def alarm(self) -> bool:
        """True where a look or the examples that came back differ from the reference."""
        return self.verdict == "alarm"
