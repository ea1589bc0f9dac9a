"""The images of a run: opened, checked and split. Every call opens them, so this stage stores no result."""

import numpy as np

from tfkd.data import Dataset, open_source
from tfkd.pipeline.folders import RunFolder
from tfkd.progress import Progress, counted
from tfkd.recipe import Recipe
from tfkd.verification.class_gates import require_known

DATA = "data"
VERSION = 1  # of the code, for tools.stage_versions


def open_data(recipe: Recipe, folder: RunFolder, progress: Progress) -> Dataset:
    """Opens a recipe's data; stores the result of checking every example in the run's folder.

    Raises:
        RequestError: the examples cannot be opened, or a gate names a class that they do not have.
    """
    with progress.task("checking examples", None, "examples") as advance:
        data = open_source(recipe.data, recipe.seed, counted(advance), folder.checked)
    require_known(recipe.gates, data.classes)
    return data


def say_data(data: Dataset, progress: Progress) -> None:
    """Prints a summary of the images, with notes and warnings."""
    splits = ", ".join(f"{len(getattr(data, name)):,} {name}" for name in ("train", "validation", "test"))
    if data.is_pooled and data.train.folds is not None:
        splits = f"{len(data.train):,} labelled, each in one of {len(np.unique(data.train.folds))} folds"
    extra = f", {len(data.unlabelled):,} unlabelled" if data.unlabelled else ""
    extra += f", {len(data.outside):,} of no class" if data.outside else ""
    progress.say(f"data: {data.source}, {len(data.classes)} classes ({data.named()}), {splits}{extra}")
    for text in data.described():
        progress.say(f"  {text}")
