"""The teacher's inference that fills a soft-label store, in the batch size and the dtype that are fastest here."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfkd import machine
from tfkd.data.batches import photo_errors, pool_views
from tfkd.data.dataset import Split
from tfkd.distill.taps import tapped
from tfkd.errors import RequestError
from tfkd.files import fingerprint, read_sealed, write_sealed
from tfkd.kernels.constants import constant_weights
from tfkd.models.logits import with_logits
from tfkd.models.pixels import PixelNormalization
from tfkd.recipe import Augment
from tfkd.store.layout import LOGITS, Answer

RECORD = "inference.json"
BATCH = 64
BATCHES = (16, 32, 64, 128, 256)
MOST_INPUT_BYTES = 128 << 20  # a batch's activations are many times its images
PROBE = 16
WORTH_MEASURING = 20_000  # views; fewer are answered before a measurement has paid
SECONDS_A_BATCH_SIZE = 0.3
SAMPLE = 1_024
MOST_CHANGED = 0.001
FASTER = 1.05
NOTICEABLE = 1.02

# Cheap, where bfloat16's eight bits would cost the photos their precision.
_EXACT = (keras.layers.Rescaling, keras.layers.Normalization, PixelNormalization)

Run = Callable[[Any], Answer]


@dataclass(frozen=True)
class Inference:
    """How a teacher is asked; kept beside its answers, so that those of a resumed filling are made in the same way.

    Attributes:
        batch: views at a time.
        dtype: in which the teacher computes.
        images_per_second: of bare inference, by dtype; empty where too few views were due to measure it.
        top1_changed: share of a sample of views, 0 to 1, whose top class bfloat16 changed; None where it was not tried.
    """

    batch: int
    dtype: Literal["float32", "bfloat16"]
    images_per_second: dict[str, float]
    top1_changed: float | None

    def __str__(self) -> str:
        rates = ", ".join(f"{dtype} {rate:,.0f} images/s" for dtype, rate in self.images_per_second.items())
        changed = "" if self.top1_changed is None else f", top-1 changed by bfloat16 {self.top1_changed:.2%}"
        measured = f" ({rates}{changed})" if rates else ""
        return f"batches of {self.batch} in {self.dtype}{measured}"


@dataclass(frozen=True)
class _Views:
    """The views of a pool of images at a teacher's input size."""

    pool: Split
    augment: Augment
    seed: int
    size: int

    def batches(self, images: Any, view: int, batch: int) -> Iterator[Any]:
        """Yields images float32 [b, size, size, 3] raw 0…255; views are made ahead while the teacher computes."""
        with photo_errors():
            for made in pool_views(self.pool, self.augment, self.seed, view, images, self.size, batch):
                yield made["image"]

    def sample(self, count: int, batch: int) -> Iterator[Any]:
        """Yields at least `count` views in batches, spread over the pool and over as many views as that takes."""
        images = np.linspace(0, len(self.pool) - 1, min(count, len(self.pool))).astype(np.int64)
        for view in range(-(-count // len(images))):
            yield from self.batches(images, view, batch)


class Answers:
    """A teacher that can be asked about views, for `write_soft_labels`.

    Attributes:
        inference: how it is asked.
    """

    def __init__(self, run: Run, views: _Views, inference: Inference) -> None:
        self.inference = inference
        self._run = run
        self._views = views

    def __call__(self, images: Any, view: int) -> Iterator[Answer]:
        """Yields "logits" float32 [b, classes] and each tap's feature of one view of images, int64 [n], in order."""
        for batch in self._views.batches(images, view, self.inference.batch):
            yield {name: value.numpy() for name, value in self._run(batch).items()}


def answers(
    model: keras.Model,
    taps: Sequence[str],
    pool: Split,
    augment: Augment,
    seed: int,
    classes: int,
    views: int,
    folder: Path,
) -> Answers:
    """Returns the function with which `write_soft_labels` asks a teacher about views of a pool of images.

    The batch size is the fastest of a short measurement. bfloat16 takes the place of float32 where it is faster by 5 %
    or more and changes the top class of at most 0.1 % of a sample of 1,024 views. Either can change an answer's last
    digits, so what was chosen is kept: in the store's folder, for when it is filled further, and in the machine's
    cache, so that the same teacher is asked in the same way in every run.

    Args:
        model: the frozen teacher, float32, raw images [batch, size, size, 3] to logits [batch, classes]; of a model
            that gives probabilities, the logits are taken (see `tfkd.models.logits`).
        taps: features to answer beside the logits, as `tfkd.distill.taps` names them.
        pool: the images.
        augment: the ranges of the views.
        seed: the run's seed, from which the views are drawn.
        classes: number of classes that the data has.
        views: how many views of each image are to be answered.
        folder: the store's folder.

    Raises:
        RequestError: the teacher knows another number of classes, or answers NaN or infinity, or a photo is gone.
    """
    model = with_logits(model, "The teacher")
    made = _Views(pool, augment, seed, model.input_shape[1])
    run = _runner(model, taps)
    probe = next(made.batches(np.arange(min(PROBE, len(pool))), 0, PROBE))
    _check(run(probe)[LOGITS].numpy(), classes)
    path = folder / RECORD
    inference = _recorded(path)
    if inference is None:
        if len(pool) * views < WORTH_MEASURING:
            inference = Inference(BATCH, "float32", {}, None)
        else:
            inference = _remembered(model, lambda: _fastest(model, run, made, probe.numpy()))
        write_sealed(path, asdict(inference))
    return Answers(run if inference.dtype == "float32" else _runner(in_bfloat16(model), taps), made, inference)


def feature_shapes(model: keras.Model, taps: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Returns the shape of one image's feature at each tap, for `Layout.chosen`."""
    outputs = tapped(model, taps).output if taps else {}
    return {tap: tuple(outputs[tap].shape[1:]) for tap in taps}


def images_per_second(model: keras.Model) -> float:
    """Returns how many images a model answers in a second, in float32 and its best batch size, measured shortly."""
    probe = np.zeros((PROBE, *model.input_shape[1:]), np.float32)
    return _best_batch(_runner(model, ()), probe)[1]


def in_bfloat16(model: keras.Model) -> keras.Model:
    """Returns a copy of a functional or sequential model that computes in bfloat16 but for its two ends.

    The weights are the same float32 ones. What comes out is float32.
    """
    end = _end(model)

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if layer not in end and not isinstance(layer, _EXACT):
            config["dtype"] = "mixed_bfloat16"
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    copy.set_weights(model.get_weights())
    copy.trainable = False
    return copy


def _end(model: keras.Model) -> list[Any]:
    """Returns the last layer with weights and those behind it, such as a softmax or an order of labels."""
    tensor, end = model.outputs[0], []
    while True:
        operation = tensor._keras_history.operation
        if isinstance(operation, keras.Model):
            tensor = operation.outputs[0]
            continue
        end.append(operation)
        given = operation._inbound_nodes[tensor._keras_history.node_index].input_tensors
        if len(given) != 1 or getattr(operation, "weights", None):
            return end
        tensor = given[0]


def _remembered(model: keras.Model, measure: Callable[[], Inference]) -> Inference:
    """Returns what an earlier run on this machine chose for the same network and weights, or measures."""
    weights = hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()
    digits = fingerprint(machine.processor(), machine.cores(), machine.libraries(), model.input_shape, weights)
    path = machine.cache_folder() / "inference" / f"{digits}.json"
    inference = _recorded(path)
    if inference is None:
        inference = measure()
        write_sealed(path, asdict(inference))
    return inference


def _fastest(model: keras.Model, run: Run, views: _Views, probe: Any) -> Inference:
    batch, rate = _best_batch(run, probe)
    exact = Inference(batch, "float32", {"float32": rate}, None)
    try:
        # Without the taps: they cost nothing, and the model is the one whose top class counts.
        short = _runner(in_bfloat16(model), ())
        short_batch, short_rate = _best_batch(short, probe)
    except (TypeError, ValueError, NotImplementedError, tf.errors.OpError):
        return exact  # a layer of the user's that cannot be copied or has no bfloat16 kernel
    rates = {"float32": rate, "bfloat16": short_rate}
    if short_rate < FASTER * rate:
        return Inference(batch, "float32", rates, None)
    changed = _share_changed(run, short, views.sample(SAMPLE, batch))
    if changed > MOST_CHANGED:
        return Inference(batch, "float32", rates, changed)
    return Inference(short_batch, "bfloat16", rates, changed)


def _best_batch(run: Run, probe: Any) -> tuple[int, float]:
    """Returns the fastest batch size and its images per second; gives up after two sizes that are not faster."""
    best, best_rate, slower = BATCHES[0], 0.0, 0
    for batch in BATCHES:
        images = np.resize(probe, (batch, *probe.shape[1:]))
        if slower == 2 or (best_rate and images.nbytes > MOST_INPUT_BYTES):
            break
        rate = batch / _seconds(run, tf.constant(images))
        slower += 1
        if rate > NOTICEABLE * best_rate:
            best, best_rate, slower = batch, rate, 0
    return best, best_rate


def _seconds(run: Run, images: Any) -> float:
    """Returns the seconds of the quickest of several calls: what else the machine does can only slow one down."""
    run(images)  # traced, and its kernels chosen, outside the clock
    taken: list[float] = []
    while len(taken) < 2 or sum(taken) < SECONDS_A_BATCH_SIZE:
        start = time.perf_counter()
        run(images)[LOGITS].numpy()
        taken.append(time.perf_counter() - start)
    return min(taken)


def _share_changed(first: Run, second: Run, batches: Iterator[Any]) -> float:
    same = [
        first(images)[LOGITS].numpy().argmax(axis=1) == second(images)[LOGITS].numpy().argmax(axis=1)
        for images in batches
    ]
    return 1.0 - float(np.concatenate(same).mean())


def _runner(model: keras.Model, taps: Sequence[str]) -> Run:
    """Returns a function from images to float32 answers, traced once for batches of every size, without XLA."""
    network = tapped(model, taps) if taps else model

    @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)], jit_compile=False)
    def run(images: Any) -> Answer:
        with constant_weights(network):
            outputs = network(images, training=False)
        named = outputs if taps else {LOGITS: outputs}
        return {name: tf.cast(named[name], tf.float32) for name in (LOGITS, *taps)}

    return run


def _check(logits: Any, classes: int) -> None:
    if logits.ndim != 2 or logits.shape[1] != classes:
        raise RequestError(
            f"The teacher answers {list(logits.shape[1:])} values an image, the data has {classes} classes; "
            "give a teacher of these classes, or let it be fine-tuned."
        )
    if not np.isfinite(logits).all():
        raise RequestError("The teacher answers NaN or infinity; check its weights and its input size.")


def _recorded(path: Path) -> Inference | None:
    """Returns what was chosen before, or None where nothing was, or its file is damaged."""
    recorded = read_sealed(path)
    return None if recorded is None else Inference(**recorded)
