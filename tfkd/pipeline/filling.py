"""Soft-label stores: fills them with the predictions for every view of the transfer set, and opens them."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfkd.data import Dataset
from tfkd.pipeline.stage import Stage
from tfkd.progress import Progress
from tfkd.recipe import Recipe
from tfkd.store.layout import Layout
from tfkd.training.job import Store


@dataclass(frozen=True)
class StoreResult:
    """A finished store.

    Attributes:
        views: number of views with predictions.
        seconds: time that filling took.
        layout: layout of one prediction.
        inference: how the network ran: the fields of `tfkd.store.inference.Inference`.
    """

    views: int
    seconds: float
    layout: Layout
    inference: dict[str, Any]


@dataclass(frozen=True)
class StoreJob:
    """The filling of one store.

    Attributes:
        network: the `.keras` file of the network that predicts.
        batch_statistics: normalise each batch by its own statistics instead of those of the training.
        rendering: input rendering of the network.
        recipe: determines the views and the features to store.
        fingerprint: fingerprint of everything that the predictions depend on.
        folder: folder of the store.
    """

    network: Path
    batch_statistics: bool
    rendering: str
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
    from tfkd.store import inference, soft_labels
    from tfkd.training import student

    start = time.perf_counter()
    recipe, taps = job.recipe, job.recipe.distill.teacher_taps
    network = load_predictor(job.network, job.batch_statistics)
    layout = Layout.for_classes(len(data.classes), inference.feature_shapes(network, taps))
    header = _header(job.fingerprint, layout, recipe, data)
    images = student.transfer_set(rendered(job.rendering, data))
    predict = inference.view_predictor(
        network, taps, images, recipe.teacher_views, recipe.seed, len(data.classes), recipe.distill.views, job.folder
    )
    progress.say(f"  inference: {predict.inference}")
    views = len(images) * recipe.distill.views
    with progress.task("teacher predictions", views, "views") as advance:
        soft_labels.write_soft_labels(job.folder, header, predict, advance)
    return StoreResult(views, time.perf_counter() - start, layout, asdict(predict.inference))


def load_predictor(network: Path, batch_statistics: bool) -> Any:
    """Loads a network for inference.

    Args:
        network: its `.keras` file.
        batch_statistics: normalise each batch by its own statistics.

    Returns:
        A frozen keras.Model.
    """
    from tfkd.training import teacher

    model = teacher.load_teacher(network)
    if batch_statistics:
        from tfkd.models.batch_statistics import with_batch_statistics

        return with_batch_statistics(model)
    return model


def store_of(stage: Stage, layout: Layout, recipe: Recipe, data: Dataset, weight: float = 1.0) -> Store:
    """Returns the finished store of a stage, for a training.

    Args:
        stage: the stage that filled it.
        layout: layout of one prediction.
        recipe: recipe of the training; the store may hold more views.
        data: the images.
        weight: weight of the network in an ensemble.
    """
    return Store(stage.folder, _header(stage.base, layout, recipe, data), weight)


def images_in_transfer_set(data: Dataset) -> int:
    """Returns the number of training and unlabelled images."""
    return len(data.train) + len(data.unlabelled or ())


def _header(fingerprint: str, layout: Layout, recipe: Recipe, data: Dataset) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "images": images_in_transfer_set(data),
        "views": recipe.distill.views,
        "layout": layout.described(),
    }
