"""Cross-fitting: a teacher that is fine-tuned here labels images that it has not seen.

Each labelled image is in one fold. A teacher is fine-tuned without each fold, and predicts the images of that fold
(as in stacking: Wolpert, "Stacked Generalization", Neural Networks 5, 1992).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfkd.data import Dataset
from tfkd.pipeline.context import RunContext
from tfkd.recipe import Recipe
from tfkd.recipe.names import numbered


def is_cross_fitted(recipe: Recipe, number: int) -> bool:
    """Returns whether the soft labels of a teacher come from teachers without one more fold."""
    return recipe.data.folds is not None and len(recipe.data.held_out) < 2 and recipe.teachers[number].is_tuned


def other_folds(recipe: Recipe) -> list[int]:
    """Returns the folds that are not held out, from 0."""
    return [fold for fold in range(recipe.data.folds or 0) if fold not in recipe.data.held_out]


def parts_with_teacher(context: RunContext, number: int) -> dict[int, RunContext]:
    """Returns the parts without one more fold, by that fold, after preparing their teacher."""
    held_out = context.recipe.data.held_out
    return {
        fold: context.finished_part([*held_out, fold], [numbered("teacher", number)])
        for fold in other_folds(context.recipe)
    }


def in_order(data: Dataset, by_fold: Mapping[int, Any]) -> np.ndarray:
    """Returns the rows of all labelled images, in their order, from the rows of the images of each fold.

    Args:
        data: all labelled images, as the test split.
        by_fold: an array [images of the fold, ...] for each fold.
    """
    folds = data.test.folds
    assert folds is not None
    first = by_fold[0]
    rows = np.empty((len(folds), *first.shape[1:]), first.dtype)
    for fold, values in by_fold.items():
        rows[folds == fold] = values
    return rows
