"""What the students of a run predict on the validation images, and what its gates would make of that."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkd.pipeline.causes.class_limits import (
    ON_CLASSES,
    SplitPredictions,
    balanced_accuracy,
    keys_on_classes,
    measured,
    shortfalls,
)
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import STUDENT_MODEL, of_seed
from tfkd.pipeline.stages.student import STUDENT
from tfkd.pipeline.stages.teacher import ensemble_logits
from tfkd.progress import Advance
from tfkd.recipe import Recipe
from tfkd.verification import thresholds
from tfkd.verification.class_gates import promises

_BATCH = 64


def promises_with_thresholds(recipe: Recipe, classes: Sequence[str]) -> dict[str, float]:
    """Returns the promised recalls that need thresholds, by class."""
    return promises(recipe.gates, classes) if recipe.export.thresholds else {}


def probabilities_of(context: RunContext, network: Path) -> Any:
    """Returns the probabilities of a trained student, float64 [validation images, classes]; `network` is its folder."""
    from tfkd.distill.measures import softmax

    return softmax(logits_of(context, network))


def logits_of(context: RunContext, network: Path, advance: Advance | None = None) -> Any:
    """Returns the logits of a trained student, float32 [validation images, classes].

    Args:
        context: of the run.
        network: folder of the student.
        advance: called after every batch with its number of images.
    """
    context.start_tensorflow()
    from tfkd.data.batches import plain_batches
    from tfkd.distill.predict import predict, predictor
    from tfkd.training.saving import load_model

    data = context.shipped
    batches = plain_batches(data.validation, data.reading.signature(context.recipe.data), _BATCH)
    return predict(predictor(load_model(network / STUDENT_MODEL)), batches, advance)


def predictions_of(context: RunContext, network: Path) -> SplitPredictions:
    """Returns what a trained student predicts, with the thresholds that its validation images choose."""
    found, data, taught = probabilities_of(context, network), context.data, ensemble_logits(context, "validation")
    labels = data.validation.labels
    chosen = thresholds.choose(labels, found, promises_with_thresholds(context.recipe, data.classes), data.classes)
    return SplitPredictions(
        labels=labels,
        plain=found.argmax(axis=1),
        shipped=thresholds.predicted(found, thresholds.values(chosen, data.classes)),
        teacher=None if taught is None else taught.argmax(axis=1),
    )


@dataclass(frozen=True)
class ValidationScore:
    """How good the students of a recipe are on the validation images, with regard to the gates that one missed.

    Attributes:
        accuracies: of every seed.
        on_classes: what the gates on classes measure, and the balanced accuracy, means over the seeds; empty where none
            of the missed gates is on classes.
        rank: how near the gates on classes are to their limits, at most 0; then the balanced accuracy, or the accuracy
            where a gate on it was missed. The larger, the better.
    """

    accuracies: list[float]
    on_classes: dict[str, float]
    rank: tuple[float, float]


def score_of(context: RunContext, missed: Sequence[str]) -> ValidationScore:
    """Returns the score of a recipe whose students are finished; `missed` names the gates."""
    gates, classes, trainings = context.recipe.gates, context.data.classes, context.result(STUDENT)
    accuracies = [each.validation_accuracy for each in trainings.trainings]
    accuracy = statistics.fmean(accuracies)
    if not keys_on_classes(missed):
        return ValidationScore(accuracies, {}, (0.0, accuracy))
    folder = context.folder_of(STUDENT)
    found = [predictions_of(context, of_seed(folder, seed)) for seed in trainings.seeds]
    values = [measured(gates, each, classes) for each in found]
    means = {"/".join(key): statistics.fmean(each[key] for each in values) for key in values[0]}
    balanced = statistics.fmean(balanced_accuracy(each, classes) for each in found)
    short = statistics.fmean(sum(shortfalls(gates, each, classes).values()) for each in values)
    misses_accuracy = any(name.split("/")[0] not in ON_CLASSES for name in missed)
    rank = (-short, accuracy if misses_accuracy else balanced)
    return ValidationScore(accuracies, {**means, "balanced_accuracy": balanced}, rank)
