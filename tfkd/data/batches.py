"""Splits as streams of batches: decoded, resized and augmented in parallel, in a fixed order."""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfkd import machine
from tfkd.data.cache import ExampleCache, ViewCache
from tfkd.data.dataset import Split
from tfkd.errors import RequestError
from tfkd.inputs.kind import Arrays
from tfkd.inputs.seeds import Partners, partners, view_seeds
from tfkd.recipe import Augment
from tfkd.signature import Signature

_MOST_THREADS = 8  # more would wait for Python's lock, and each holds a batch

# Bytes for the cached examples of a process, and again for its views. Several processes train side by side.
LIMIT = machine.memory() // 24

cached = ExampleCache(LIMIT)  # shared, so that all streams of the process together respect the limit


def plain_batches(split: Split, signature: Signature, batch_size: int, threads: int | None = None) -> tf.data.Dataset:
    """Streams a split in its own order and input rendering; the last batch may be shorter.

    Args:
        split: the examples.
        signature: inputs of the model.
        batch_size: examples per batch.
        threads: number of threads; default: one per core, at most 8.

    Returns:
        (inputs of the signature [b, …], labels int64 [b]); inputs are float32 images from 0 to 255, for instance, or a
        dictionary where the signature has several tensors.
    """
    reading = split.reading

    def examples(indices: np.ndarray) -> list[np.ndarray]:
        return _columns([reading.plain(cached.load(split, i), signature) for i in indices.tolist()], signature)

    def batch(index: tf.Tensor, label: tf.Tensor) -> tuple[Any, tf.Tensor]:
        inputs, _ = _from_numpy(examples, [index], signature)
        return reading.finish(inputs), label

    return _stream((np.arange(len(split)), split.labels), batch, batch_size, threads)


@dataclass(frozen=True)
class _ViewBatches:
    """Creates batches of views of a split, as NumPy arrays."""

    split: Split
    augment: Augment
    signature: Signature
    finished: ViewCache | None

    def plain(self, indices: np.ndarray, seeds: np.ndarray) -> list[np.ndarray]:
        """Returns a batch of each tensor."""
        return _columns(self._rows(indices, seeds), self.signature)

    def mixed(
        self, indices: np.ndarray, seeds: np.ndarray, others: np.ndarray, other_seeds: np.ndarray
    ) -> list[np.ndarray]:
        """Returns a batch of each tensor, mixed with partners, and the weights of the own labels, float32 [b]."""
        rows = self._rows(indices, seeds)
        overlays = [self.split.reading.overlay(seed, self.augment) for seed in seeds]
        weights = np.array([overlay.own_weight() for overlay in overlays], np.float32)
        for k in np.flatnonzero(weights < 1.0):
            rows[k] = overlays[k].lay(rows[k], self._view(int(others[k]), other_seeds[k]))
        return [*_columns(rows, self.signature), weights]

    def _rows(self, indices: np.ndarray, seeds: np.ndarray) -> list[Arrays]:
        return [self._view(*each) for each in zip(indices.tolist(), seeds, strict=True)]

    def _view(self, index: int, seed: np.ndarray) -> Arrays:
        def compute() -> Arrays:
            return self.split.reading.view(cached.load(self.split, index), seed, self.augment, self.signature)

        return self.finished.load(index, seed, compute) if self.finished else compute()


def view_batches(
    split: Split,
    augment: Augment,
    signature: Signature,
    batch_size: int,
    indices: np.ndarray,
    seeds: np.ndarray,
    threads: int | None = None,
    partners: Partners | None = None,
    finished: ViewCache | None = None,
) -> tf.data.Dataset:
    """Streams views in the order of `indices`; view k depends only on example indices[k], seeds[k] and its partner.

    The input rendering is applied to the finished view.

    Args:
        split: the examples.
        augment: augmentation of the views.
        signature: inputs of the model.
        batch_size: views per batch; the last batch may be shorter.
        indices: int64 [m], positions in the split, in any order, repeated or not.
        seeds: int32 or int64 [m, 2], from `view_seeds`.
        threads: number of threads; default: one per core, at most 8.
        partners: of the m views, from `partners`; without them, or with `augment.mix` none, no view is mixed.
        finished: caches the views before mixing; default: no cache.

    Returns:
        dict(inputs of the signature [b, …], index int64 [b], label int64 [b]), and where views are mixed partner int64
        [b], partner_label int64 [b] and share float32 [b], the weight of the example's own label: 1 in an unmixed view.
    """
    reading, views = split.reading, _ViewBatches(split, augment, signature, finished)

    def plain(index: tf.Tensor, seed: tf.Tensor, label: tf.Tensor) -> dict[str, Any]:
        inputs, _ = _from_numpy(views.plain, [index, seed], signature)
        return {"inputs": reading.finish(inputs), "index": index, "label": label}

    def mixed(
        index: tf.Tensor,
        seed: tf.Tensor,
        label: tf.Tensor,
        partner: tf.Tensor,
        partner_seed: tf.Tensor,
        partner_label: tf.Tensor,
    ) -> dict[str, Any]:
        inputs, (weight,) = _from_numpy(views.mixed, [index, seed, partner, partner_seed], signature, tf.float32)
        return {
            "inputs": reading.finish(inputs),
            "index": index,
            "label": label,
            "partner": partner,
            "partner_label": partner_label,
            "share": tf.ensure_shape(weight, index.shape),
        }

    indices = np.asarray(indices, np.int64)
    columns = (indices, seeds, split.labels[indices])
    if partners is None or augment.mix == "none":
        return _stream(columns, plain, batch_size, threads)
    partner_columns = (partners.positions, partners.seeds, split.labels[partners.positions])
    return _stream(columns + partner_columns, mixed, batch_size, threads)


def numbered_views(
    split: Split,
    augment: Augment,
    seed: int,
    view: int,
    positions: np.ndarray,
    signature: Signature,
    batch_size: int,
    finished: ViewCache | None = None,
) -> tf.data.Dataset:
    """Streams view number `view` of examples of a split as `view_batches` does, mixed as set in `augment`.

    Args:
        split: the examples, also those to mix with.
        augment: augmentation and mixing of the views.
        seed: seed of the run.
        view: number of the view.
        positions: int64 [m], in the split, in any order, repeated or not.
        signature: inputs of the model.
        batch_size: views per batch; the last batch may be shorter.
        finished: caches the views before mixing.
    """
    mixed = None if augment.mix == "none" else partners(seed, view, positions, len(split))
    seeds = view_seeds(seed, positions, view)
    return view_batches(split, augment, signature, batch_size, positions, seeds, partners=mixed, finished=finished)


@contextlib.contextmanager
def example_errors() -> Iterator[None]:
    """Raises the RequestError of an example that TensorFlow wraps in an error of its own.

    Raises:
        RequestError: an example could not be read.
    """
    try:
        yield
    except tf.errors.OpError as error:
        wrapped = re.search(r"RequestError: (.*)", str(error.message))
        if wrapped is None:
            raise
        raise RequestError(wrapped[1]) from None


def _columns(rows: list[Arrays], signature: Signature) -> list[np.ndarray]:
    """Returns a batch of each tensor, in its dtype, of the arrays of each example."""
    tensors = zip(signature.tensors, zip(*rows, strict=True), strict=True)
    return [np.stack(column, dtype=tensor.dtype) for tensor, column in tensors]


def _from_numpy(
    function: Callable[..., Any], columns: list[tf.Tensor], signature: Signature, *further: tf.DType
) -> tuple[Any, list[tf.Tensor]]:
    """Returns the results of a NumPy function for a batch's columns: inputs of the signature, and vectors [b]."""
    dtypes = [*[tf.as_dtype(tensor.dtype) for tensor in signature.tensors], *further]
    values = tf.numpy_function(function, columns, dtypes, stateful=False)
    inputs = [
        tf.ensure_shape(value, (None, *tensor.shape)) for tensor, value in zip(signature.tensors, values, strict=False)
    ]
    return signature.structured(inputs), values[len(inputs) :]


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
