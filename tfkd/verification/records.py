"""What verification records in a bundle's manifest: tests, files, verdicts of gates, and likely causes."""

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tfkd.formats import FORMATS
from tfkd.records import Count, Entry, Fraction, Number, Sha256

Verdict = Literal["passed", "failed", "not judged"]
ORDER_BINS = 20  # of rank correlations from -1 to 1


class ChanceTest(Entry):
    """A permutation test of predictions on the test split: do they know more of the labels than chance?"""

    balanced_accuracy: Fraction = Field(
        description="mean over the split's classes of the fraction of examples that are right"
    )
    chance_level: float = Field(gt=0, le=1, description="balanced accuracy of guessing: 1 / classes of the split")
    p_value: float = Field(gt=0, le=1, description="probability of this balanced accuracy, or more, by chance")
    perfect_p_value: Fraction = Field(
        description="p-value without one wrong prediction: the least that the split allows"
    )


class PairedTest(Entry):
    """A one-sided exact McNemar test of one classifier against another on the test split."""

    gained: Count = Field(description="examples that only the first predicts rightly")
    lost: Count = Field(description="examples that only the second predicts rightly")
    p_value: Fraction = Field(description="probability of as many losses or more where both are equally good")
    worst_p_value: Fraction = Field(description="the least that the test split allows: the first is always wrong")


class ClassFlips(Entry):
    label: str
    flips: Number = Field(
        description="examples of the class that the reference predicts rightly, the other one wrongly"
    )
    right: Number = Field(description="examples of the class that the reference predicts rightly")

    @model_validator(mode="after")
    def _flips_of_right(self) -> "ClassFlips":
        if self.flips > self.right:
            raise ValueError(f"{self.label} has {self.flips} negative flips among {self.right} examples")
        return self


class NegativeFlips(Entry):
    """Examples that a reference predicts rightly and the judged classifier wrongly: `test.lost` of `right` examples."""

    right: Count = Field(description="examples that the reference predicts rightly")
    test: PairedTest = Field(description="of the judged classifier against the reference")
    per_class: list[ClassFlips] = Field(description="the classes that have negative flips, those with the most first")

    @model_validator(mode="after")
    def _sum_of_classes(self) -> "NegativeFlips":
        flips, right = sum(each.flips for each in self.per_class), sum(each.right for each in self.per_class)
        if flips != self.test.lost or right > self.right or flips > self.right:
            raise ValueError(f"counts {self.test.lost} negative flips of {self.right}, by class {flips} of {right}")
        return self

    @property
    def fraction(self) -> float | None:
        """Negative flips as a fraction of the images that the reference predicts rightly; None without any."""
        return self.test.lost / self.right if self.right else None


class OrderAgreement(Entry):
    """How far two networks rank the classes that are not the label alike."""

    correlation: float | None = Field(
        None, ge=-1, le=1, description="mean over the examples of Spearman's rank correlation; None: see `reason`"
    )
    standard_error: float | None = Field(None, ge=0, description="of the mean; None with fewer than two examples")
    images: Count = Field(description="test examples whose wrong classes have an order in both networks")
    reason: str = Field("", description="why there is no correlation")

    @model_validator(mode="after")
    def _of_images(self) -> "OrderAgreement":
        if (self.correlation is None) is not (self.images == 0) or bool(self.reason) is not (self.images == 0):
            raise ValueError(
                f"the correlation {self.correlation} ({self.reason or 'measured'}) of {self.images} examples"
            )
        return self


class Estimate(Entry):
    """A fraction with its 95 % confidence interval."""

    value: Fraction
    low: Fraction
    high: Fraction


class ClassScore(Entry):
    """What predictions are worth for one class: Wilson's score intervals of the counts."""

    images: Count = Field(description="test examples of the class (its support)")
    predicted: Count = Field(description="test examples that are predicted as this class")
    right: Count = Field(description="test examples that are both")
    recall: Estimate | None = Field(description="right / images; None without examples")
    precision: Estimate | None = Field(description="right / predicted; None where the class is never predicted")
    f1: Fraction | None = Field(description="2 right / (images + predicted); None where both are 0")


class Scores(Entry):
    """What predictions are worth per class; the means are over the classes that have test examples.

    The intervals of the means combine those of the classes (MOVER, Zou and Donner 2008). That of the macro-F1 is
    conservative, because a mistake counts in two classes.
    """

    classes: dict[str, ClassScore] = Field(description="in the order of the outputs")
    balanced_accuracy: Estimate = Field(description="mean recall")
    macro_f1: Estimate = Field(description="mean F1")


class RecallChange(Entry):
    lost: Count = Field(description="examples of the class that only the reference predicts rightly")
    gained: Count = Field(description="examples of the class that only the file predicts rightly")


class RecallChanges(Entry):
    """A file against the teacher, or the control where the teacher was not measured, on the same test examples."""

    reference: Literal["teacher", "control"]
    classes: dict[str, RecallChange] = Field(description="the classes where the two differ")


class Threshold(Entry):
    """The probability from which a class is predicted, chosen on the validation split with the Keras model.

    Of several classes that reach their thresholds, the one with the largest probability / threshold is predicted. If
    none does, it is the most probable of the classes without a threshold, or of all where every class has one.
    """

    promise: Fraction = Field(description="gates.min_recall of the class")
    value: float | None = Field(gt=0, le=1, description="None where the validation split has no example of the class")
    images: Count = Field(description="validation examples of the class")
    recall: Fraction | None = Field(description="on the validation split, with all thresholds")
    precision: Fraction | None = Field(description="the same; None where the class is never predicted")

    @property
    def kept(self) -> bool:
        """True where the promise is kept on the validation split."""
        return self.recall is not None and self.recall >= self.promise - 1e-9


class OutputTemperature(Entry):
    """The number that the logits of all files are divided by, in the last layer; the most probable class is the same.

    It minimises the negative log-likelihood of the validation split (Guo et al. 2017, arXiv:1706.04599).
    """

    value: float = Field(gt=0)
    examples: Number = Field(description="validation examples that it was fitted on")
    before: Fraction = Field(description="calibration error on the validation split without it")
    after: Fraction = Field(description="calibration error on the validation split with it")


class AcceptedExamples(Entry):
    """How many examples get a label in place of none."""

    examples: Number = Field(description="all examples, with a label or without")
    accepted: Count = Field(description="examples that get a label")
    wrong: Count | None = Field(None, description="examples that get a wrong label; None for examples of no class")

    @model_validator(mode="after")
    def _of_examples(self) -> "AcceptedExamples":
        if not (self.wrong or 0) <= self.accepted <= self.examples:
            raise ValueError(f"counts {self.wrong} wrong labels of {self.accepted}, of {self.examples} examples")
        return self


class CoveragePoint(Entry):
    """What a threshold would do on the test split."""

    threshold: Fraction
    accepted: Number = Field(description="test examples that would get a label")
    wrong: Count = Field(description="test examples that would get a wrong label")


class Rejection(Entry):
    """The least probability of a file's label, chosen on the validation split by the file's own predictions."""

    promise: Literal["max_error", "coverage"] = Field(
        description="max_error: expected fraction of all examples with a wrong label, at most; coverage: expected "
        "fraction with a label, at least"
    )
    limit: float = Field(gt=0, lt=1, description="the promised fraction")
    threshold: Fraction | None = Field(
        description="the most probable class is the label from this probability on, otherwise there is none; 0: every "
        "example gets its label; None: see `reason`"
    )
    validation: AcceptedExamples = Field(description="with the threshold; without one, everything is accepted")
    test: AcceptedExamples | None = Field(None, description="None before the file was run on the test split")
    outside: AcceptedExamples | None = Field(None, description="examples of no class; None without data.outside")
    curve: list[CoveragePoint] = Field([], max_length=100, description="from few accepted test examples to all")
    reason: str = Field("", description="why there is no threshold")

    @model_validator(mode="after")
    def _chosen_or_not(self) -> "Rejection":
        if (self.threshold is None) is not bool(self.reason):
            raise ValueError(f"has the threshold {self.threshold} and the reason {self.reason!r}")
        return self


class Tensor(Entry):
    name: str
    shape: list[Number]
    dtype: str
    scale: float | None = Field(None, gt=0, description="of a quantized tensor: the value of one step")
    zero_point: int | None = Field(
        None, ge=-(2**15), lt=2**15, description="of a quantized tensor: the integer that means 0"
    )
    range: list[float] | None = Field(None, description="smallest and largest value that may come in or out")


class InputOutput(Entry):
    input: Tensor
    output: Tensor


class Delegation(Entry):
    partitions: Count = Field(description="XNNPACK partitions; 1 means that the whole graph runs inside")
    operators: Count = Field(description="operators of the graph before delegation")
    outside: list[str] = Field(description="operators that XNNPACK does not run")
    look_up: list[str] = Field([], description="those of them that look up the word vectors of a text, as is expected")

    @model_validator(mode="after")
    def _looked_up_outside(self) -> "Delegation":
        if Counter(self.look_up) - Counter(self.outside):
            raise ValueError(f"the look-up {self.look_up} is not among the operators outside, {self.outside}")
        return self


class Accelerator(Entry):
    name: str
    operators: Count = Field(description="operators that run for every example")
    taken: Count = Field(description="those that the published rules let it take")
    left_out: list[str] = Field(description="kinds of the operators that a rule leaves out")
    not_stated: list[str] = Field(description="kinds of the operators that no published rule speaks of")

    @model_validator(mode="after")
    def _taken_of_all(self) -> "Accelerator":
        if self.taken > self.operators:
            raise ValueError(f"{self.name} takes {self.taken} of {self.operators} operators")
        return self


class Artifact(Entry):
    path: str = Field(description="inside the bundle, with forward slashes")
    format: str = Field(description=f"one of {', '.join(FORMATS)}")
    precision: str = Field(description="such as fp32, fp16, dynamic, int8 or 16x8")
    bytes: Number
    sha256: Sha256 = Field(description="of the file; of a folder: of its sorted `sha256  path` lines")
    accuracy: Fraction | None = Field(
        None,
        description="on the test split; None where the file was not run, and with folds, whose examples it has seen",
    )
    chance: ChanceTest | None = Field(None, description="None as accuracy")
    agreement: Fraction | None = Field(None, description="equal top-1 with the teacher; None as accuracy")
    negative_flips: NegativeFlips | None = Field(
        None, description="against the teacher; None as accuracy, and where the teacher was not run on the test split"
    )
    max_abs_error: Fraction | None = Field(None, description="largest probability difference from the Keras student")
    mean_total_variation: Fraction | None = Field(
        None,
        description="mean over the test examples of the probability mass that is elsewhere than in the Keras student",
    )
    top1_vs_keras: Fraction | None = Field(None, description="equal top-1 with the Keras student")
    scores: Scores | None = Field(None, description="of the most probable classes; None where the file was not run")
    scores_with_thresholds: Scores | None = Field(
        None, description="of the classes by the bundle's thresholds; None without them"
    )
    recall_changes: RecallChanges | None = Field(
        None, description="of the classes by the thresholds, if there are any; None without teacher and control"
    )
    calibration_error: Fraction | None = Field(
        None, description="expected calibration error on the test split, 15 equal bins (Guo et al. 2017); as accuracy"
    )
    rejection: Rejection | None = Field(
        None,
        description="when the file gives none of the classes; None without export.reject, and where it was not run",
    )
    golden_tolerances: dict[str, Annotated[float, Field(ge=0)]] = Field(
        {},
        description="largest difference from the golden predictions that passes, by runtime family; wider is ignored",
    )
    min_runtime: str | None = Field(
        None, description="oldest runtime that loads the file, such as TensorFlow Lite 2.17.0 or iOS 15; None: unknown"
    )
    operator_versions: dict[str, Number] = Field(
        {}, description="of a .tflite file: the newest version of each operator"
    )
    not_verified: str | None = Field(
        None, description="what this machine lacks to run the file, such as an operator; None where it was run"
    )
    delegation: Delegation | None = None
    accelerators: list[Accelerator] = Field([], description="what phones' accelerators take, by published rules")
    io: InputOutput

    @property
    def least_probability(self) -> float | None:
        """The probability below which there is no label; None where every example gets one."""
        return (self.rejection.threshold or None) if self.rejection else None

    @property
    def shipped_scores(self) -> Scores | None:
        """The scores of the classes that an app gets: by the thresholds, if there are any."""
        return self.scores_with_thresholds or self.scores


class Gate(Entry):
    name: str
    value: float | None = Field(description="what was measured; None where nothing was, or where it is no number")
    limit: float | None = Field(description="None where the gate was not judged")
    passed: bool = Field(description="True only where the verdict is passed")
    verdict: Verdict = Field("failed", description="where it is missing, `passed` decides between passed and failed")
    reason: str = Field("", description="what the value means, or why the gate was not judged")

    @model_validator(mode="before")
    @classmethod
    def _with_verdict(cls, values: Any) -> Any:
        if isinstance(values, dict) and "verdict" not in values:
            return {**values, "verdict": "passed" if values.get("passed") is True else "failed"}
        return values

    @model_validator(mode="after")
    def _of_one_mind(self) -> "Gate":
        if self.passed != (self.verdict == "passed"):
            raise ValueError(f"the gate {self.name} has passed = {self.passed} and the verdict {self.verdict!r}")
        return self


class Diagnosis(Entry):
    """A likely cause of a low accuracy; nothing of it was applied."""

    subject: str = Field(description="the model, or which teacher or student")
    cause: str = Field(description="labels, pixels, pixels and labels, untrained, other classes, fine-tuning, ...")
    evidence: str
    proposal: str = Field("", description="the flag or the field of the recipe to change")
    normalization: str | None = Field(None, description="the proposed words; None where that is right")
    labels: list[str] = Field([], description="the proposed names of the outputs, in order; empty where they are right")
    overrides: list[list[str]] = Field(
        [], description="of a poor student: the remedies that are overrides of the recipe, those of each together"
    )

    def __str__(self) -> str:
        return f"{self.evidence} Try {self.proposal}." if self.proposal else self.evidence
