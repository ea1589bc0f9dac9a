"""The limits that decide the exit code."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from tfkd.recipe.base import Block


def _fraction(value: Any, example: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"must be a fraction from 0 to 1, such as {example}")
    return float(value)


def _by_class(value: Any) -> Any:
    """Reads fractions by class; an empty mapping is no gate."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError('must name classes, such as {"malignant": 0.98}, or gates.min_recall.malignant=0.98')
    return {str(name): _fraction(each, "0.98") for name, each in value.items()} or None


def _by_class_or_for_all(value: Any) -> Any:
    """Reads one fraction for all classes, or fractions by class."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        return _fraction(value, '0.02, or fractions by class, such as {"malignant": 0.02}')
    return {str(name): _fraction(each, "0.02") for name, each in value.items()} or None


class Gates(Block):
    """The limits that decide the exit code. Accuracies are fractions from 0 to 1; None or False switches a gate off.

    The first four compare with the labels, the control and the teacher. Both tests use the significance level 0.01
    (see tfkd.verification.truth). A gate is listed as not judged when the test split is too small for it, or when it
    is switched off although it is on by default.
    """

    better_than_chance: bool = Field(
        True,
        description="each network and each file predicts the test split better than guessing: p-value of a permutation "
        "test of the balanced accuracy",
    )
    not_worse_than_control: bool = Field(
        True,
        description="the student is not worse than its control on the test split: p-value of a one-sided exact McNemar "
        "test",
    )
    diagnosis: bool = Field(
        True, description="no likely cause of wrong predictions is found: label order, normalization, missing training"
    )
    min_relative_accuracy: float | None = Field(0.8, ge=0, description="student accuracy / teacher accuracy")
    min_accuracy: float | None = Field(None, ge=0, le=1, description="lowest accuracy of each file")
    min_recall: Annotated[dict[str, float] | None, BeforeValidator(_by_class)] = Field(
        None,
        description='lowest recall by class, such as {"malignant": 0.98}, in each file, by the thresholds that '
        "export.thresholds chooses; judged by its 95 % confidence interval",
    )
    min_balanced_accuracy: float | None = Field(
        None, ge=0, le=1, description="lowest mean recall of the classes in each file, judged by its 95 % interval"
    )
    max_recall_drop: Annotated[float | dict[str, float] | None, BeforeValidator(_by_class_or_for_all)] = Field(
        None,
        description="recall of the teacher, or of the control where the teacher was not measured, minus that of each "
        "file: one limit for all classes, or by class; judged by its 95 % interval on the same examples",
    )
    max_accuracy_drop: float | None = Field(0.02, ge=0, description="accuracy of the Keras model minus that of a file")
    min_agreement: float | None = Field(
        0.95,
        ge=0,
        le=1,
        description="fraction of examples for which a quantized file and the Keras model predict the same class; "
        "palettes are not judged",
    )
    min_float_agreement: float | None = Field(
        0.995, ge=0, le=1, description="fraction of examples for which an fp32 or fp16 file and the Keras model agree"
    )
    max_float_error: float | None = Field(
        1e-3, gt=0, description="largest difference of a probability between an fp32 file and the Keras model"
    )
    max_half_shift: float | None = Field(
        0.01, gt=0, le=1, description="mean probability that an fp16 file assigns to other classes than the Keras model"
    )
    max_half_error: float | None = Field(
        None,
        gt=0,
        description="largest difference of a probability between an fp16 file and the Keras model; grows with the "
        "logits of one example",
    )
    one_partition: bool = Field(True, description="XNNPACK runs an fp32, fp16 or int8 .tflite in one partition")
    max_negative_flips: float | None = Field(
        None,
        ge=0,
        le=1,
        description="negative flips of each file: wrong predictions as a fraction of the test examples that the "
        "teacher predicts rightly",
    )
    max_error_when_confident: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="wrong labels of each file as a fraction of the test examples that get a label by export.reject; "
        "judged by its 95 % interval",
    )
    max_outside_accepted: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="fraction of the examples of data.outside that each file gives a label by export.reject; judged by "
        "its 95 % interval",
    )
    min_gain_over_control: float | None = Field(None, description="student accuracy - control accuracy")
    min_size_ratio: float | None = Field(
        None, gt=0, description="bytes of teacher fp32 / student int8 .tflite, or dynamic where there is no int8"
    )
    min_speed_ratio: float | None = Field(None, gt=0, description="one-thread latency of the same two files")
    switched_off_by: str | None = Field(None, description="what switched gates off, for the report; set by --smoke")
