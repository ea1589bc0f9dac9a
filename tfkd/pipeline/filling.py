"""Soft-label stores: fills them with the predictions for every view of the transfer set, and opens them."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfkd.data import Dataset
from tfkd.data.domains import membership
from tfkd.data.folds import folds_of_transfer_set
from tfkd.pipeline.spending import add_accounts
from tfkd.pipeline.stage import Stage
from tfkd.pipeline.stage_files import SPENT
from tfkd.progress import Progress
from tfkd.recipe import Recipe
from tfkd.store.layout import LOGITS, Layout, TeacherOutputs
from tfkd.teachers import KINDS, PreparedTeacher, StoreSource, ViewSet
from tfkd.teachers.base import batches_of
from tfkd.training.job import Store

if TYPE_CHECKING:
    from tfkd.store.soft_labels import StorePart

BLOCK = 1024  # images whose predictions are in memory at a time
Predictor = Callable[[Any, int], Iterable[TeacherOutputs]]


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
        by_fold: the teacher of the images of each fold; none where `network` predicts all.
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
    by_fold: Mapping[int, PreparedTeacher] = field(default_factory=dict)


def fill(job: StoreJob, data: Dataset, progress: Progress, part: "StorePart | None" = None) -> StoreResult:
    """Fills a store, or a part of one, or continues to fill it.

    Args:
        job: what to fill.
        data: the images of the recipe.
        progress: shows progress.
        part: the part to fill; None: all.

    Raises:
        RequestError: the network predicts another number of classes, NaN or infinity, or an image is missing.
    """
    from tfkd.store import soft_labels

    start = time.perf_counter()
    members = membership_in_transfer_set(data, job.network.domain)
    with _opened(job, data, progress) as (source, layout):
        header = store_header(job.fingerprint, layout, job.views, data)
        count = soft_labels.rows(header, part)
        with progress.task("teacher predictions", count, "views") as advance:
            predict = source.predict if members.all() else within_domain(source.predict, members, layout.classes)
            soft_labels.write_soft_labels(job.folder, header, predict, advance, part)
    if part is None:
        parts = job.folder / soft_labels.PARTS
        add_accounts(job.folder, sorted(path.parent for path in parts.glob(f"*/{SPENT}")))
        shutil.rmtree(parts, ignore_errors=True)
    return StoreResult(count, time.perf_counter() - start, layout, dict(source.inference))


def header_of(job: StoreJob, data: Dataset, progress: Progress) -> dict[str, Any]:
    """Returns the header of a store, after the decisions about its predictions are made and stored in its folder."""
    with _opened(job, data, progress) as (_, layout):
        return store_header(job.fingerprint, layout, job.views, data)


@contextlib.contextmanager
def _opened(job: StoreJob, data: Dataset, progress: Progress) -> Iterator[tuple[StoreSource, Layout]]:
    """Opens the network of a store, and says how it predicts."""
    from tfkd.data.renderings import rendered
    from tfkd.training import student

    recipe = job.recipe
    images = student.transfer_set(rendered(job.rendering, data))
    members = membership_in_transfer_set(data, job.network.domain)
    taps = tuple(recipe.distill.teacher_taps)
    views = ViewSet(images, recipe.teacher_views, recipe.seed, job.views, taps, job.folder, members)
    with _source(job, views, data) as source:
        progress.say(f"  inference: {source.described}")
        yield source, Layout.for_classes(len(data.classes), dict(source.shapes))


@contextlib.contextmanager
def _source(job: StoreJob, views: ViewSet, data: Dataset) -> Iterator[StoreSource]:
    """Opens the network of a store, or the teachers of all folds."""
    with contextlib.ExitStack() as stack:
        networks = job.by_fold or {0: job.network}
        opened = {fold: stack.enter_context(KINDS[each.kind].source(each, views)) for fold, each in networks.items()}
        first = next(iter(opened.values()))
        if not job.by_fold:
            yield first
            return
        predict = by_fold({fold: source.predict for fold, source in opened.items()}, folds_of_transfer_set(data))
        described = f"{first.described}, {len(opened)} teachers, each for the examples of a fold that it has not seen"
        yield replace(first, predict=predict, described=described)


def by_fold(predictors: Mapping[int, Predictor], folds: np.ndarray) -> Predictor:
    """Returns the function that predicts each image with the predictor of its fold.

    Args:
        predictors: by fold: maps (positions int64 [n], number of the view) to batches of predictions, in order.
        folds: int64 [images], the fold of each image.
    """

    def predict(positions: np.ndarray, view: int) -> Iterator[TeacherOutputs]:
        for block in batches_of(positions, BLOCK):
            found: dict[str, np.ndarray] = {}
            for fold, predictor in predictors.items():
                mine = np.flatnonzero(folds[block] == fold)
                if not len(mine):
                    continue
                batches = list(predictor(block[mine], view))
                for name in batches[0]:
                    rows = np.concatenate([batch[name] for batch in batches])
                    found.setdefault(name, np.empty((len(block), *rows.shape[1:]), rows.dtype))[mine] = rows
            yield found

    return predict


def within_domain(predictor: Predictor, members: np.ndarray, classes: int) -> Predictor:
    """Returns the function that predicts the images that a teacher knows; the logits of all others are zero.

    Args:
        predictor: maps (positions int64 [n], number of the view) to batches of logits, in order.
        members: bool [images], whether the teacher knows each image.
        classes: number of classes.
    """

    def predict(positions: np.ndarray, view: int) -> Iterator[TeacherOutputs]:
        for block in batches_of(positions, BLOCK):
            found, mine = np.zeros((len(block), classes), np.float32), np.flatnonzero(members[block])
            if len(mine):
                found[mine] = np.concatenate([batch[LOGITS] for batch in predictor(block[mine], view)])
            yield {LOGITS: found}

    return predict


def membership_in_transfer_set(data: Dataset, domain: str | None) -> np.ndarray:
    """Returns whether each image of the transfer set is in a domain, bool [n]."""
    splits = [data.train, *([data.unlabelled] if data.unlabelled else [])]
    return np.concatenate([membership(split, domain) for split in splits])


def store_of(
    stage: Stage, layout: Layout, views: int, data: Dataset, weight: float = 1.0, domain: str | None = None
) -> Store:
    """Returns the finished store of a stage, for a training.

    Args:
        stage: the stage that filled it.
        layout: layout of one prediction.
        views: number of views per image that the training needs; the store may hold more.
        data: the images.
        weight: weight of the network in an ensemble.
        domain: pattern of the images that it knows; None: all.
    """
    members = None if domain is None else np.packbits(membership_in_transfer_set(data, domain)).tobytes()
    return Store(stage.folder, store_header(stage.base, layout, views, data), weight, members)


def images_in_transfer_set(data: Dataset) -> int:
    """Returns the number of training and unlabelled images."""
    return len(data.train) + len(data.unlabelled or ())


def store_header(fingerprint: str, layout: Layout, views: int, data: Dataset) -> dict[str, Any]:
    """Returns the header of a store; see `tfkd.store.soft_labels`."""
    return {
        "fingerprint": fingerprint,
        "images": images_in_transfer_set(data),
        "views": views,
        "layout": layout.described(),
    }
