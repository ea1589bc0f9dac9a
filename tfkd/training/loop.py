"""The training loop: a training can be killed at any moment, continue, and end with the same weights."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd.data.batches import example_errors
from tfkd.distill.measures import accuracy
from tfkd.distill.predict import predict
from tfkd.errors import RequestError
from tfkd.files import write_json
from tfkd.progress import Advance
from tfkd.recipe import Training
from tfkd.training.balance import balanced_order
from tfkd.training.weights import Weights


@dataclass(frozen=True)
class Point:
    """One epoch of a learning curve. The loss is the one that is minimised; accuracies run from 0 to 1.

    Attributes:
        parts: the terms of the loss by their names in the logs, without regularisers.
    """

    epoch: int
    loss: float
    validation_accuracy: float
    learning_rate: float
    parts: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        names = [name for name in self.parts if name != "distillation_loss"]
        shown = ", ".join(f"{name.removesuffix('_loss')} {self.parts[name]:.3f}" for name in names)
        parts = f" ({shown})" if len(names) > 1 else ""
        return f"loss {self.loss:.3f}{parts}, validation {self.validation_accuracy:.1%}"


@dataclass(frozen=True)
class Validation:
    """The validation after every epoch.

    Attributes:
        run: a `predictor` of the trained network.
        batches: (raw inputs of the network, anything), in order.
        labels: int [n], of all of them.
    """

    run: Callable[[Any], Any]
    batches: tf.data.Dataset
    labels: Any

    def accuracy(self) -> float:
        """Returns the network's accuracy, 0 to 1."""
        return accuracy(predict(self.run, self.batches), self.labels)


def prepare_tensorflow(threads: int, seed: int) -> None:
    """Makes this process deterministic and limits its threads; call it before using TensorFlow.

    Raises:
        RequestError: TensorFlow has been used with another number of threads.
    """
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise RequestError(
            "TensorFlow was used in this process before the run, with another number of threads, so that its results "
            "could not be repeated; start the run first, or in a process of its own."
        ) from error
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def has_gpu() -> bool:
    """Returns whether there is a GPU, on which XLA is faster; on a CPU it slows convolutions down."""
    return bool(tf.config.list_physical_devices("GPU"))


def adamw(training: Training, steps: int) -> keras.optimizers.Optimizer:
    """Returns AdamW with linear warm-up, then the schedule of the recipe, over all epochs of `steps` steps.

    Biases and BatchNorm parameters do not decay. Reference: Loshchilov, Hutter, arXiv:1711.05101.
    """
    # Keras counts updates, which with accumulation are fewer than steps.
    total = max(1, training.epochs * steps // training.accumulate)
    warmup = min(round(training.warmup_epochs * steps / training.accumulate), total - 1)
    after = keras.optimizers.schedules.CosineDecay(
        training.learning_rate, total - warmup, alpha=0.0 if training.schedule == "cosine" else 1.0
    )
    optimizer = keras.optimizers.AdamW(
        _WarmUp(training.learning_rate, warmup, after) if warmup else after,
        weight_decay=training.weight_decay,
        global_clipnorm=training.clip_norm,
        gradient_accumulation_steps=training.accumulate if training.accumulate > 1 else None,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


class _WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up from 0 to a peak, followed by another schedule.

    Keras's warm-up has a branch, which AdamW traces once per variable; this takes seconds in every training.
    """

    def __init__(self, peak: float, steps: int, after: keras.optimizers.schedules.LearningRateSchedule) -> None:
        super().__init__()
        self._peak, self._steps, self._after = peak, steps, after

    def __call__(self, step: Any) -> Any:
        done = tf.cast(step, tf.float32)
        return tf.where(done < self._steps, self._peak * done / self._steps, self._after(done - self._steps))


def epoch_order(seed: int, epoch: int, examples: int, length: int) -> Any:
    """Returns the order of the examples in an epoch: int64 [length], new permutations of 0 … examples-1."""
    rng = np.random.default_rng([seed, epoch])
    rounds = -(-length // examples)
    return np.concatenate([rng.permutation(examples) for _ in range(rounds)])[:length].astype(np.int64)


def training_order(training: Training, labels: Any, seed: int, epoch: int, length: int) -> Any:
    """Returns the order of the examples in an epoch, int64 [length], as their labels and the recipe's sampling say."""
    order = epoch_order(seed, epoch, len(labels), length)
    return balanced_order(order, labels, seed, epoch) if training.sampling == "balanced" else order


def fit(
    model: keras.Model,
    network: keras.Model,
    batches: Callable[[int], tf.data.Dataset],
    validation: Validation,
    training: Training,
    folder: Path,
    advance: Advance,
    report: Callable[[Point], None],
    begin: Callable[[int], None] = lambda epoch: None,
) -> tuple[list[Point], float]:
    """Trains epoch by epoch, saves a checkpoint after each, and continues from an existing one.

    The network ends with its last weights, with their moving average if the recipe sets `average`, or with those of its
    best epoch if the recipe sets `patience`.

    Args:
        model: the compiled Distiller around the network.
        network: the network to validate.
        batches: maps the number of an epoch to its data set; must depend on nothing else.
        validation: labelled examples.
        training: how many epochs, whether weights are averaged, and when to stop early.
        folder: folder of `checkpoint.npz` and `curve.json`.
        advance: called with the number of steps done.
        report: called after each epoch of this call.
        begin: called with the number of each epoch before it starts.

    Returns:
        The learning curve, and the seconds of the training over all calls.

    Raises:
        RequestError: the loss became NaN or infinite.
    """
    checkpoint, weights = folder / "checkpoint.npz", Weights(model, network, training.average)
    record, seconds = weights.restore(checkpoint)
    names: list[str] = getattr(model, "part_names", [])
    points = [_point(row, names) for row in record]
    advance(int(model.optimizer.iterations) * training.accumulate)
    callbacks = [_Advance(advance), *weights.callbacks]
    for epoch in range(len(points), training.epochs):
        if _is_stale(points, training.patience):
            break
        start = time.perf_counter()
        begin(epoch)
        with example_errors():
            logs = model.fit(
                batches(epoch), initial_epoch=epoch, epochs=epoch + 1, shuffle=False, verbose=0, callbacks=callbacks
            ).history
        loss = _finite(float(logs["loss"][0]), f"epoch {epoch + 1} of {folder.name}")
        with weights.averaged():
            parts = {name: float(logs[name][0]) for name in names if name in logs}
            point = Point(epoch + 1, loss, validation.accuracy(), float(model.optimizer.learning_rate), parts)
            if training.patience and point.validation_accuracy > _best(points):
                weights.remember()
        points, seconds = [*points, point], seconds + time.perf_counter() - start
        weights.save(checkpoint, [_row(point) for point in points], seconds)
        report(point)
    weights.finish()
    write_json(folder / "curve.json", [asdict(point) for point in points])
    return points, seconds


def _finite(loss: float, where: str) -> float:
    if not np.isfinite(loss):
        raise RequestError(f"The loss became {loss} in {where}; lower the learning rate or raise warmup_epochs.")
    return loss


def _point(row: Sequence[float], names: Sequence[str]) -> Point:
    """Returns the point of a row of `_row`."""
    epoch, loss, accuracy, rate, *parts = row
    return Point(int(epoch), loss, accuracy, rate, dict(zip(names, parts, strict=False)))


def _row(point: Point) -> list[float]:
    return [point.epoch, point.loss, point.validation_accuracy, point.learning_rate, *point.parts.values()]


def _best(points: list[Point]) -> float:
    return max((point.validation_accuracy for point in points), default=-1.0)


def _is_stale(points: list[Point], patience: int | None) -> bool:
    """Returns whether none of the last `patience` epochs was better than all before them."""
    if patience is None or len(points) <= patience:
        return False
    return _best(points[-patience:]) <= _best(points[:-patience])


class _Advance(keras.callbacks.Callback):
    def __init__(self, advance: Advance) -> None:
        super().__init__()
        self._advance = advance

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._advance(1)
