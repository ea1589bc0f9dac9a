"""Splits as streams of batches: decoded, resized and augmented in parallel, always in the order that was asked for."""

import contextlib
import re
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfkd.data import mixing
from tfkd.data.dataset import Split
from tfkd.data.modality import transform
from tfkd.data.views import make_view, resample
from tfkd.errors import RequestError
from tfkd.recipe import Augment

_make_view = tf.function(make_view, autograph=False)  # traced once, not for every stream again


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
    """Streams a split in its own order and modality, the last batch as short as it is.

    Args:
        split: where the photos are.
        size: side of the images, pixels.
        batch_size: images a batch.
        threads: how many threads make images; default: one for each core.

    Returns:
        (images float32 [b, size, size, 3] raw 0..255, labels int64 [b]).
    """

    show = transform(split.modality)

    def element(index: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return show(center(_photo(split, index), size)), label

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
    partners: mixing.Partners | None = None,
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
        threads: how many threads make views; default: one for each core.
        partners: of the m views, from `mixing.partners`; without them, or with `augment.mix` none, no view is mixed.

    Returns:
        dict(image float32 [b, size, size, 3] raw 0..255, index int64 [b], label int64 [b]), and where views are mixed
        partner_label int64 [b] and share float32 [b], the share of the image's own label: 1 in a view that is not.
    """

    show = transform(split.modality)

    def view(index: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return _make_view(_photo(split, index), seed, augment, size)

    def plain(index: tf.Tensor, seed: tf.Tensor, label: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": show(view(index, seed)), "index": index, "label": label}

    def mixed(
        index: tf.Tensor,
        seed: tf.Tensor,
        label: tf.Tensor,
        partner: tf.Tensor,
        partner_seed: tf.Tensor,
        partner_label: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        overlay = mixing.draw(seed, augment)
        share = overlay.share()
        own = view(index, seed)
        image = tf.cond(share < 1.0, lambda: overlay.lay(own, view(partner, partner_seed)), lambda: own)
        return {
            "image": show(image),
            "index": index,
            "label": label,
            "partner_label": partner_label,
            "share": share,
        }

    indices = np.asarray(indices, np.int64)
    own = (indices, seeds, split.labels[indices])
    if partners is None or augment.mix == "none":
        return _stream(tf.data.Dataset.from_tensor_slices(own), plain, batch_size, threads)
    theirs = (partners.images, partners.seeds, split.labels[partners.images])
    return _stream(tf.data.Dataset.from_tensor_slices(own + theirs), mixed, batch_size, threads)


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
