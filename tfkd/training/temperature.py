"""The temperature "auto" of a recipe: chosen from the entropy of the stored predictions.

A teacher that is sure of everything needs a high temperature, because its soft labels otherwise repeat the labels. One
that hesitates needs none: on 77 classes of short texts with ten labels each, a student reached 84.5 % at temperature 1
and 80.7 % at 6. So the choice depends on the predictions, and not on the task.
"""

import bisect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from tfkd.distill.measures import flatness
from tfkd.recipe import AUTO, LogitLoss, Recipe
from tfkd.store.layout import LOGITS
from tfkd.training.job import Lesson
from tfkd.training.teaching import StoredPredictions, open_stores

ENTROPY = 0.25  # of the softened soft labels, as a fraction of that of a uniform guess
LOWEST, HIGHEST = 10, 80  # tenths, so that rounding on another processor hardly ever changes the choice
_MOST_IMAGES = 4096

AnyLesson = TypeVar("AnyLesson", bound=Lesson)


def with_temperatures(lesson: AnyLesson) -> tuple[AnyLesson, float | None]:
    """Returns a lesson whose temperatures "auto" are numbers, and the number; None where the recipe names all.

    Args:
        lesson: a training with finished stores; with several, the entropy is the weighted mean over the teachers, or
            that of their combination where they have domains.
    """
    losses = lesson.recipe.distill.losses
    if not any(isinstance(loss, LogitLoss) and loss.temperature == AUTO for loss in losses):
        return lesson, None
    stores, weights = open_stores(lesson.stores)
    chosen = temperature_for([_logits(store, lesson.stores[0].header["images"]) for store in stores], weights)
    return replace(lesson, recipe=with_temperature(lesson.recipe, chosen)), chosen


def temperature_for(logits: Sequence[Any], weights: Sequence[float]) -> float:
    """Returns the lowest temperature, a multiple of 0.1 from 1 to 8, at which the mean entropy reaches `ENTROPY`.

    Args:
        logits: of each teacher, float [n, classes].
        weights: of the teachers.
    """

    def entropy(tenths: int) -> float:
        return float(np.average([flatness(each, tenths / 10) for each in logits], weights=weights))

    return (LOWEST + bisect.bisect_left(range(LOWEST, HIGHEST), ENTROPY, key=entropy)) / 10


def with_temperature(recipe: Recipe, temperature: float) -> Recipe:
    """Returns a recipe with a number in place of each temperature "auto"."""
    losses = [
        loss.model_copy(update={"temperature": temperature}) if getattr(loss, "temperature", None) == AUTO else loss
        for loss in recipe.distill.losses
    ]
    return recipe.model_copy(update={"distill": recipe.distill.model_copy(update={"losses": losses})})


def _logits(store: StoredPredictions, images: int) -> Any:
    """Returns stored predictions of the first view, float32 [n, classes], of examples spread evenly over the store."""
    places = np.unique(np.linspace(0, images - 1, min(images, _MOST_IMAGES)).astype(np.int64))
    return store.read(places, 0)[LOGITS]
