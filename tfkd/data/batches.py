"""Splits as streams of batches: decoded, resized and augmented in parallel, always in the order that was asked for."""

import contextlib
import re
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfkd.data.dataset import Split
from tfkd.data.views import make_view, resample
from tfkd.errors import RequestError
from tfkd.recipe import Augment


def center(image: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the largest square in the middle of a photo, resized with antialiasing: what a model is evaluated on.

    Args:
        image: uint8 [h, w, 3].
        size: side of the result, pixels.

    Returns:
        float32 [size, size, 3], 0..255.
    """
    photo = tf.cast(tf.shape(image)[:2], tf.float32)
    side = tf.reduce_min(photo)
    return resample(image, tf.concat([(photo - side) / 2.0, [side, side]], axis=0), size)


def plain_batches(split: Split, size: int, batch_size: int, threads: int | None = None) -> tf.data.Dataset:
    """Streams a split in its own order, the last batch as short as it is.

    Returns:
        (images float32 [b, size, size, 3] raw 0..255, labels int64 [b]).
    """

    def element(index: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return center(_photo(split, index), size), label

    dataset = tf.data.Dataset.from_tensor_slices((np.arange(len(split)), split.labels))
    return _stream(dataset, element, batch_size, threads)


def view_batches(
    split: Split,
    augment: Augment,
    size: int,
    batch_size: int,
    indices: np.ndarray,
    seeds: np.ndarray,
    threads: int | None = None,
) -> tf.data.Dataset:
    """Streams views in the order of `indices`; view k depends on photo indices[k] and on seeds[k] alone.

    Args:
        split: where the photos are.
        augment: the ranges of the views.
        size: side of the views, pixels.
        batch_size: views a batch; the last one is as short as it is.
        indices: int64 [m], positions in the split, in any order, repeated or not.
        seeds: int32 or int64 [m, 2], from `view_seeds`.
        threads: how many threads make views; default: one for each core.

    Returns:
        dict(image float32 [b, size, size, 3] raw 0..255, index int64 [b], label int64 [b]).
    """

    def element(index: tf.Tensor, seed: tf.Tensor, label: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": make_view(_photo(split, index), seed, augment, size), "index": index, "label": label}

    indices = np.asarray(indices, np.int64)
    dataset = tf.data.Dataset.from_tensor_slices((indices, seeds, split.labels[indices]))
    return _stream(dataset, element, batch_size, threads)


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


def _photo(split: Split, index: tf.Tensor) -> tf.Tensor:
    image = tf.numpy_function(split.load, [index], tf.uint8, stateful=False)
    image.set_shape([None, None, 3])
    return image


def _stream(dataset: tf.data.Dataset, element, batch_size: int, threads: int | None) -> tf.data.Dataset:  # type: ignore[no-untyped-def]
    options = tf.data.Options()
    options.deterministic = True
    options.threading.max_intra_op_parallelism = 1  # a sum must not depend on the number of cores
    if threads is not None:
        options.threading.private_threadpool_size = threads
    dataset = dataset.map(element, num_parallel_calls=threads or tf.data.AUTOTUNE, deterministic=True)
    return dataset.batch(batch_size).prefetch(2).with_options(options)
