"""Soft-label stores: fills them with the predictions for every view of the transfer set, and opens them."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkd.data import Dataset
from tfkd.pipeline.stage import Stage
from tfkd.progress import Progress
from tfkd.recipe import Recipe
from tfkd.store.layout import Layout
from tfkd.teachers import KINDS, PreparedTeacher, ViewSet
from tfkd.training.job import Store


@dataclass(frozen=True)
class StoreResult:
    """A finished store.

    Attributes:
        views: number of views with predictions.
        seconds: time that filling took.
        layout: layout of one prediction.
        inference: how the teacher ran; of a Keras network the fields of `tfkd.store.inference.Inference`.
    """

    views: int
    seconds: float
    layout: Layout
    inference: dict[str, Any]


@dataclass(frozen=True)
class StoreJob:
    """The filling of one store.

    Attributes:
        network: the teacher or assistant that predicts.
        rendering: input rendering of the network.
        views: number of views per image.
        recipe: determines the views and the features to store.
        fingerprint: fingerprint of everything that the predictions depend on.
        folder: folder of the store.
    """

    network: PreparedTeacher
    rendering: str
    views: int
    recipe: Recipe
    fingerprint: str
    folder: Path


def fill(job: StoreJob, data: Dataset, progress: Progress) -> StoreResult:
    """Fills a store, or continues to fill it.

    Args:
        job: what to fill.
        data: the images of the recipe.
        progress: shows progress.

    Raises:
        RequestError: the network predicts another number of classes, NaN or infinity, or an image is missing.
    """
    from tfkd.data.renderings import rendered
    from tfkd.store import soft_labels
    from tfkd.training import student

    start = time.perf_counter()
    recipe = job.recipe
    images = student.transfer_set(rendered(job.rendering, data))
    views = ViewSet(
        images, recipe.teacher_views, recipe.seed, job.views, tuple(recipe.distill.teacher_taps), job.folder
    )
    with KINDS[job.network.kind].source(job.network, views) as source:
        layout = Layout.for_classes(len(data.classes), dict(source.shapes))
        progress.say(f"  inference: {source.described}")
        count = len(images) * job.views
        with progress.task("teacher predictions", count, "views") as advance:
            header = _header(job.fingerprint, layout, job.views, data)
            soft_labels.write_soft_labels(job.folder, header, source.predict, advance)
    return StoreResult(count, time.perf_counter() - start, layout, dict(source.inference))


def store_of(stage: Stage, layout: Layout, views: int, data: Dataset, weight: float = 1.0) -> Store:
    """Returns the finished store of a stage, for a training.

    Args:
        stage: the stage that filled it.
        layout: layout of one prediction.
        views: number of views per image that the training needs; the store may hold more.
        data: the images.
        weight: weight of the network in an ensemble.
    """
    return Store(stage.folder, _header(stage.base, layout, views, data), weight)


def images_in_transfer_set(data: Dataset) -> int:
    """Returns the number of training and unlabelled images."""
    return len(data.train) + len(data.unlabelled or ())


def _header(fingerprint: str, layout: Layout, views: int, data: Dataset) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "images": images_in_transfer_set(data),
        "views": views,
        "layout": layout.described(),
    }
