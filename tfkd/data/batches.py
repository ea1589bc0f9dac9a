"""Splits as streams of batches: decoded, resized and augmented in parallel, always in the order that was asked for."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd import machine
from tfkd.data.dataset import Split
from tfkd.data.kept import Kept, Views
from tfkd.errors import RequestError
from tfkd.inputs.image import mixing
from tfkd.inputs.image.rendering import transform
from tfkd.inputs.image.views import center, make_view, view_seeds
from tfkd.recipe import Augment

_MOST_THREADS = 8  # more would wait for Python's lock, and each has a batch in hand

# Bytes, for the photos of a process and again for its views. Several processes train side by side.
LIMIT = machine.memory() // 24

kept = Kept(LIMIT)  # the process's, so that all of its streams together keep to the limit


def plain_batches(split: Split, size: int, batch_size: int, threads: int | None = None) -> tf.data.Dataset:
    """Streams a split in its own order and modality, the last batch as short as it is.

    Args:
        split: where the photos are.
        size: side of the images, pixels.
        batch_size: images a batch.
        threads: how many threads make images; default: one for each core, at most 8.

    Returns:
        (images float32 [b, size, size, 3] raw 0..255, labels int64 [b]).
    """
    show = transform(split.modality)

    def images(indices: np.ndarray) -> np.ndarray:
        return np.stack([center(kept.load(split, i), size) for i in indices.tolist()], dtype=np.float32)

    def batch(index: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        (image,) = _called(images, [index], size)
        return show(image), label

    return _stream((np.arange(len(split)), split.labels), batch, batch_size, threads)


def view_batches(
    split: Split,
    augment: Augment,
    size: int,
    batch_size: int,
    indices: np.ndarray,
    seeds: np.ndarray,
    threads: int | None = None,
    partners: mixing.Partners | None = None,
    finished: Views | None = None,
) -> tf.data.Dataset:
    """Streams views in the order of `indices`; view k depends on photo indices[k], seeds[k] and its partner alone.

    What the split's modality makes of a picture, it makes of the finished view.

    Args:
        split: where the photos are.
        augment: the ranges of the views.
        size: side of the views, pixels.
        batch_size: views a batch; the last one is as short as it is.
        indices: int64 [m], positions in the split, in any order, repeated or not.
        seeds: int32 or int64 [m, 2], from `view_seeds`.
        threads: how many threads make views; default: one for each core, at most 8.
        partners: of the m views, from `mixing.partners`; without them, or with `augment.mix` none, no view is mixed.
        finished: keeps the views, before they are mixed; default: every view is made when it is asked for.

    Returns:
        dict(image float32 [b, size, size, 3] raw 0..255, index int64 [b], label int64 [b]), and where views are mixed
        partner int64 [b], partner_label int64 [b] and share float32 [b], the share of the image's own label: 1 in a
        view that is not.
    """
    show = transform(split.modality)

    def made(index: int, seed: np.ndarray) -> np.ndarray:
        return make_view(kept.load(split, index), seed, augment, size)

    def view(index: int, seed: np.ndarray) -> np.ndarray:
        return finished.load(index, seed, lambda: made(index, seed)) if finished else made(index, seed)

    def views(indices: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return np.stack([view(*each) for each in zip(indices.tolist(), seeds, strict=True)], dtype=np.float32)

    def mixed_views(
        indices: np.ndarray, seeds: np.ndarray, others: np.ndarray, other_seeds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        images, overlays = views(indices, seeds), [mixing.draw(seed, augment) for seed in seeds]
        shares = np.array([overlay.share() for overlay in overlays], np.float32)
        for k in np.flatnonzero(shares < 1.0):
            images[k] = overlays[k].lay(images[k], view(int(others[k]), other_seeds[k]))
        return images, shares

    def plain(index: tf.Tensor, seed: tf.Tensor, label: tf.Tensor) -> dict[str, tf.Tensor]:
        (image,) = _called(views, [index, seed], size)
        return {"image": show(image), "index": index, "label": label}

    def mixed(
        index: tf.Tensor,
        seed: tf.Tensor,
        label: tf.Tensor,
        partner: tf.Tensor,
        partner_seed: tf.Tensor,
        partner_label: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        image, share = _called(mixed_views, [index, seed, partner, partner_seed], size, tf.float32)
        return {
            "image": show(image),
            "index": index,
            "label": label,
            "partner": partner,
            "partner_label": partner_label,
            "share": tf.ensure_shape(share, index.shape),
        }

    indices = np.asarray(indices, np.int64)
    own = (indices, seeds, split.labels[indices])
    if partners is None or augment.mix == "none":
        return _stream(own, plain, batch_size, threads)
    theirs = (partners.images, partners.seeds, split.labels[partners.images])
    return _stream(own + theirs, mixed, batch_size, threads)


def pool_views(
    pool: Split,
    augment: Augment,
    seed: int,
    view: int,
    images: np.ndarray,
    size: int,
    batch_size: int,
    finished: Views | None = None,
) -> tf.data.Dataset:
    """Streams view number `view` of images of a pool as `view_batches` does, mixed where `augment` says so.

    Args:
        pool: where the photos are, and those they are mixed with.
        augment: the ranges of the views, and how they are mixed.
        seed: the run's seed, from which every view is drawn.
        view: number of the view.
        images: int64 [m], positions in the pool, in any order, repeated or not.
        size: side of the views, pixels.
        batch_size: views a batch; the last one is as short as it is.
        finished: keeps the views for the next time they are asked for.
    """
    mixed = None if augment.mix == "none" else mixing.partners(seed, view, images, len(pool))
    return view_batches(
        pool, augment, size, batch_size, images, view_seeds(seed, images, view), partners=mixed, finished=finished
    )


@contextlib.contextmanager
def photo_errors() -> Iterator[None]:
    """Gives back the RequestError of a photo that failed inside a stream, where TensorFlow wraps it in its own.

    Raises:
        RequestError: a photo could not be read.
    """
    try:
        yield
    except tf.errors.OpError as error:
        wrapped = re.search(r"RequestError: (.*)", str(error.message))
        if wrapped is None:
            raise
        raise RequestError(wrapped[1]) from None


def _called(make: Callable[..., Any], given: list[tf.Tensor], size: int, *further: tf.DType) -> list[tf.Tensor]:
    """Returns what a NumPy function makes of a batch's columns: images float32 [b, size, size, 3], and vectors [b]."""
    image, *vectors = tf.numpy_function(make, given, [tf.float32, *further], stateful=False)
    return [tf.ensure_shape(image, (None, size, size, 3)), *vectors]


def _stream(
    columns: tuple[np.ndarray, ...], batch: Callable[..., Any], batch_size: int, threads: int | None
) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False  # nothing is left to tune, and its thread can hold a finished stream for seconds
    options.threading.max_intra_op_parallelism = 1  # a sum must not depend on the number of cores
    if threads is not None:
        options.threading.private_threadpool_size = threads
    at_once = threads or min(machine.cores(), _MOST_THREADS)
    dataset = tf.data.Dataset.from_tensor_slices(columns).batch(batch_size)
    return dataset.map(batch, num_parallel_calls=at_once, deterministic=True).prefetch(2).with_options(options)
