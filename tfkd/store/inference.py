"""Teacher inference for a soft-label store, with the fastest batch size and dtype on this machine."""

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
from tfkd.data.batches import example_errors, numbered_views
from tfkd.data.dataset import Split
from tfkd.distill.predict import specs
from tfkd.distill.taps import tapped
from tfkd.errors import RequestError
from tfkd.files import agreed, fingerprint, read_sealed, write_sealed
from tfkd.inputs import kind_of
from tfkd.kernels.constants import constant_weights
from tfkd.kernels.keras_private import call_behind, maker
from tfkd.models.logits import with_logits
from tfkd.models.pixels import NORMALIZING
from tfkd.recipe import Augment
from tfkd.signature import Signature
from tfkd.store.layout import LOGITS, TeacherOutputs

RECORD = "inference.json"
BATCH = 64
BATCHES = (16, 32, 64, 128, 256)
MOST_INPUT_BYTES = 128 << 20  # the activations of a batch are many times as large as its inputs
PROBE = 16
WORTH_MEASURING = 20_000  # views; for fewer a measurement would take longer than it saves
SECONDS_A_BATCH_SIZE = 0.3
SAMPLE = 1_024
MOST_CHANGED = 0.001
FASTER = 1.05
NOTICEABLE = 1.02

RunTeacher = Callable[[Any], TeacherOutputs]


@dataclass(frozen=True)
class Inference:
    """Settings of a teacher's inference, stored with its predictions, so that a resumed filling uses them too.

    Attributes:
        batch: views per batch.
        dtype: dtype of the computation.
        images_per_second: speed of the inference by dtype; empty if there were too few views to measure it.
        top1_changed: fraction of a sample of views, 0 to 1, whose top class bfloat16 changed; None if not measured.
    """

    batch: int
    dtype: Literal["float32", "bfloat16"]
    images_per_second: dict[str, float]
    top1_changed: float | None

    def __str__(self) -> str:
        rates = ", ".join(f"{dtype} {rate:,.0f} examples/s" for dtype, rate in self.images_per_second.items())
        changed = "" if self.top1_changed is None else f", top-1 changed by bfloat16 {self.top1_changed:.2%}"
        measured = f" ({rates}{changed})" if rates else ""
        return f"batches of {self.batch} in {self.dtype}{measured}"


@dataclass(frozen=True)
class TransferViews:
    """The views of a transfer set, in the size of a teacher's input."""

    examples: Split
    augment: Augment
    seed: int
    signature: Signature

    def batches(self, positions: Any, view: int, batch: int) -> Iterator[Any]:
        """Yields inputs of the signature [b, …]; views are prefetched while the teacher computes."""
        with example_errors():
            for made in numbered_views(self.examples, self.augment, self.seed, view, positions, self.signature, batch):
                yield made["inputs"]

    def sample(self, count: int, batch: int) -> Iterator[Any]:
        """Yields at least `count` views in batches, spread over the examples and, if necessary, over several views."""
        positions = np.linspace(0, len(self.examples) - 1, min(count, len(self.examples))).astype(np.int64)
        for view in range(-(-count // len(positions))):
            yield from self.batches(positions, view, batch)


class ViewPredictor:
    """A teacher that predicts views, for `write_soft_labels`.

    Attributes:
        inference: settings of its inference.
    """

    def __init__(self, run: RunTeacher, views: TransferViews, inference: Inference) -> None:
        self.inference = inference
        self._run = run
        self._views = views

    def __call__(self, positions: Any, view: int) -> Iterator[TeacherOutputs]:
        """Yields "logits" float32 [b, classes] and each tap's feature of one view of examples, int64 [n], in order."""
        for batch in self._views.batches(positions, view, self.inference.batch):
            yield {name: value.numpy() for name, value in self._run(batch).items()}


def view_predictor(
    model: keras.Model,
    taps: Sequence[str],
    examples: Split,
    augment: Augment,
    seed: int,
    classes: int,
    views: int,
    folder: Path,
) -> ViewPredictor:
    """Returns the function that predicts the views of a transfer set for `write_soft_labels`.

    The batch size is the fastest of a short measurement. bfloat16 replaces float32 if it is faster by 5 %
    or more and changes the top class of at most 0.1 % of a sample of 1,024 views. Either can change a prediction's last
    digits, so the settings are stored: in the store's folder, for when it is extended, and in the machine's
    cache, so that the same teacher predicts in the same way in every run.

    Args:
        model: the frozen teacher, float32, raw inputs of its own signature to logits [batch, classes]; a model that
            outputs probabilities is converted to logits (see `tfkd.models.logits`).
        taps: features to store with the logits (see `tfkd.distill.taps`).
        examples: the transfer set.
        augment: augmentation of the views.
        seed: seed of the run.
        classes: number of classes of the data.
        views: number of views per example.
        folder: the store's folder.

    Raises:
        RequestError: the teacher has another number of classes, predicts NaN or infinity, or does not take such
            examples; or an example is gone.
    """
    model = with_logits(model, "The teacher")
    view_batches = TransferViews(examples, augment, seed, kind_of(examples.reading.kind_name).signature_of(model))
    run = _runner(model, taps)
    probe = next(view_batches.batches(np.arange(min(PROBE, len(examples))), 0, PROBE))
    _check(run(probe)[LOGITS].numpy(), classes)
    path = folder / RECORD
    inference = _recorded(path)
    if inference is None:
        if len(examples) * views < WORTH_MEASURING:
            inference = Inference(BATCH, "float32", {}, None)
        else:
            inference = _remembered(model, lambda: _fastest(model, run, view_batches, probe))
        inference = Inference(**agreed(path, asdict(inference)))
    return ViewPredictor(
        run if inference.dtype == "float32" else _runner(in_bfloat16(model), taps), view_batches, inference
    )


def feature_shapes(model: keras.Model, taps: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Returns the shape of one example's feature at each tap, for `Layout.chosen`."""
    outputs = tapped(model, taps).output if taps else {}
    return {tap: tuple(outputs[tap].shape[1:]) for tap in taps}


def images_per_second(model: keras.Model) -> float:
    """Returns the examples per second of a model in float32 with its best batch size, from a short measurement."""
    probe = keras.tree.map_structure(lambda spec: tf.zeros((PROBE, *spec.shape[1:]), spec.dtype), specs(model))
    return _best_batch(_runner(model, ()), probe)[1]


def in_bfloat16(model: keras.Model) -> keras.Model:
    """Returns a copy of a functional or sequential model that computes in bfloat16 except at its two ends.

    Weights and outputs are float32.
    """
    end = _end(model)

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        # Normalization is cheap, and bfloat16 has only eight bits of precision for raw values.
        if layer not in end and not isinstance(layer, NORMALIZING):
            config["dtype"] = "mixed_bfloat16"
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    copy.set_weights(model.get_weights())
    copy.trainable = False
    return copy


def _end(model: keras.Model) -> list[Any]:
    """Returns the last layer with weights and the layers after it, such as a softmax or a permutation of labels."""
    tensor, end = model.outputs[0], []
    while True:
        operation = maker(tensor)
        if isinstance(operation, keras.Model):
            tensor = operation.outputs[0]
            continue
        end.append(operation)
        inputs = call_behind(tensor).input_tensors
        if len(inputs) != 1 or getattr(operation, "weights", None):
            return end
        tensor = inputs[0]


def _remembered(model: keras.Model, measure: Callable[[], Inference]) -> Inference:
    """Returns the settings of an earlier run on this machine for the same network and weights, or measures them."""
    weights = hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()
    key = fingerprint(machine.processor(), machine.cores(), machine.libraries(), model.input_shape, weights)
    path = machine.cache_folder() / "inference" / f"{key}.json"
    inference = _recorded(path)
    if inference is None:
        inference = measure()
        write_sealed(path, asdict(inference))
    return inference


def _fastest(model: keras.Model, run: RunTeacher, views: TransferViews, probe: Any) -> Inference:
    batch, rate = _best_batch(run, probe)
    exact = Inference(batch, "float32", {"float32": rate}, None)
    try:
        # Without the taps, which cost nothing and do not affect the top class.
        short = _runner(in_bfloat16(model), ())
        short_batch, short_rate = _best_batch(short, probe)
    except (TypeError, ValueError, NotImplementedError, tf.errors.OpError):
        return exact  # a user's layer that cannot be copied or has no bfloat16 kernel
    rates = {"float32": rate, "bfloat16": short_rate}
    if short_rate < FASTER * rate:
        return Inference(batch, "float32", rates, None)
    changed = _share_changed(run, short, views.sample(SAMPLE, batch))
    if changed > MOST_CHANGED:
        return Inference(batch, "float32", rates, changed)
    return Inference(short_batch, "bfloat16", rates, changed)


def _best_batch(run: RunTeacher, probe: Any) -> tuple[int, float]:
    """Returns the fastest batch size and its examples per second; gives up after two sizes that are not faster."""
    best, best_rate, slower = BATCHES[0], 0.0, 0
    for batch in BATCHES:
        inputs = _repeated(probe, batch)
        size = sum(each.numpy().nbytes for each in keras.tree.flatten(inputs))
        if slower == 2 or (best_rate and size > MOST_INPUT_BYTES):
            break
        rate = batch / _seconds(run, inputs)
        slower += 1
        if rate > NOTICEABLE * best_rate:
            best, best_rate, slower = batch, rate, 0
    return best, best_rate


def _repeated(inputs: Any, batch: int) -> Any:
    """Returns a batch of another size, which repeats the examples of this one."""
    return keras.tree.map_structure(lambda each: tf.constant(np.resize(each, (batch, *each.shape[1:]))), inputs)


def _seconds(run: RunTeacher, inputs: Any) -> float:
    """Returns the seconds of the fastest of several calls, because other load can only slow one down."""
    run(inputs)  # tracing and selection of kernels, outside the measurement
    durations: list[float] = []
    while len(durations) < 2 or sum(durations) < SECONDS_A_BATCH_SIZE:
        start = time.perf_counter()
        run(inputs)[LOGITS].numpy()
        durations.append(time.perf_counter() - start)
    return min(durations)


def _share_changed(first: RunTeacher, second: RunTeacher, batches: Iterator[Any]) -> float:
    same = [
        first(inputs)[LOGITS].numpy().argmax(axis=1) == second(inputs)[LOGITS].numpy().argmax(axis=1)
        for inputs in batches
    ]
    return 1.0 - float(np.concatenate(same).mean())


def _runner(model: keras.Model, taps: Sequence[str]) -> RunTeacher:
    """Returns a function from inputs to float32 predictions, traced once for batches of every size, without XLA."""
    network = tapped(model, taps) if taps else model

    @tf.function(input_signature=[specs(model)], jit_compile=False)
    def run(inputs: Any) -> TeacherOutputs:
        with constant_weights(network):
            outputs = network(inputs, training=False)
        named = outputs if taps else {LOGITS: outputs}
        return {name: tf.cast(named[name], tf.float32) for name in (LOGITS, *taps)}

    return run


def _check(logits: Any, classes: int) -> None:
    if logits.ndim != 2 or logits.shape[1] != classes:
        raise RequestError(
            f"The teacher predicts {list(logits.shape[1:])} values per example, the data has {classes} classes; "
            "use a teacher with these classes, or fine-tune it."
        )
    if not np.isfinite(logits).all():
        raise RequestError("The teacher predicts NaN or infinity; check its weights and its input.")


def _recorded(path: Path) -> Inference | None:
    """Returns the stored settings, or None if there are none or the file is damaged."""
    recorded = read_sealed(path)
    return None if recorded is None else Inference(**recorded)
