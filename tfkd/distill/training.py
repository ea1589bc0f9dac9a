"""A training that can be killed at any moment and ends with the same weights as an unbroken one."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd.data.batches import photo_errors
from tfkd.distill.saving import load_arrays, save_arrays
from tfkd.errors import RequestError
from tfkd.files import write_json
from tfkd.progress import Advance
from tfkd.recipe import Training


@dataclass(frozen=True)
class Point:
    """One epoch of a learning curve. The loss is the one that is minimised; accuracies run from 0 to 1."""

    epoch: int
    loss: float
    validation_accuracy: float
    learning_rate: float


def prepare_tensorflow(threads: int, seed: int) -> None:
    """Makes this process deterministic and limits its threads; call it before TensorFlow does any work."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def has_gpu() -> bool:
    """Tells whether XLA pays: on a GPU it does, on a CPU it slows convolutions down."""
    return bool(tf.config.list_physical_devices("GPU"))


def adamw(training: Training, steps: int) -> keras.optimizers.Optimizer:
    """Returns AdamW with linear warm-up and cosine decay over `training.epochs` of `steps` steps.

    Biases and BatchNorm parameters do not decay. Reference: Loshchilov, Hutter, arXiv:1711.05101.
    """
    total = training.epochs * steps
    warmup = min(round(training.warmup_epochs * steps), total - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else training.learning_rate,
        decay_steps=max(1, total - warmup),
        warmup_target=training.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=training.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def epoch_order(seed: int, epoch: int, images: int, length: int) -> Any:
    """Returns which images an epoch shows, in order: int64 [length], fresh permutations of 0 … images-1."""
    rng = np.random.default_rng([seed, epoch])
    rounds = -(-length // images)
    return np.concatenate([rng.permutation(images) for _ in range(rounds)])[:length].astype(np.int64)


def fit(
    model: keras.Model,
    network: keras.Model,
    batches: Callable[[int], tf.data.Dataset],
    validation: tf.data.Dataset,
    epochs: int,
    folder: Path,
    advance: Advance,
    report: Callable[[Point], None],
) -> tuple[list[Point], float]:
    """Trains epoch by epoch, keeps a checkpoint after each, and goes on from the one that it finds.

    Args:
        model: the compiled model to train, with an `accuracy` metric.
        network: the part of it whose variables are kept: the model itself, or a Distiller's student.
        batches: maps an epoch's number to its data set; must depend on nothing else.
        validation: labelled batches (images, labels).
        epochs: how many epochs the training has in all.
        folder: where `checkpoint.npz` and `curve.json` stand.
        advance: called with the number of steps done.
        report: called after each epoch that was trained now.

    Returns:
        The learning curve and the seconds that the training took, over all its sittings.

    Raises:
        RequestError: the loss became NaN or infinite.
    """
    checkpoint = folder / "checkpoint.npz"
    # Built inside the first step, the optimizer's variables would have the step traced twice.
    model.optimizer.build(network.trainable_variables)
    points, seconds = _restore(checkpoint, model, network)
    advance(int(model.optimizer.iterations))
    for epoch in range(len(points), epochs):
        start = time.perf_counter()
        with photo_errors():
            logs = model.fit(
                batches(epoch),
                validation_data=validation,
                initial_epoch=epoch,
                epochs=epoch + 1,
                shuffle=False,
                verbose=0,
                callbacks=[_Advance(advance)],
            ).history
        loss = float(logs["loss"][0])
        if not np.isfinite(loss):
            raise RequestError(
                f"The loss became {loss} in epoch {epoch + 1} of {folder.name}; "
                "lower the learning rate or raise warmup_epochs."
            )
        rate = float(model.optimizer.learning_rate)
        points.append(Point(epoch + 1, loss, float(logs["val_accuracy"][0]), rate))
        seconds += time.perf_counter() - start
        _save(checkpoint, model, network, points, seconds)
        write_json(folder / "curve.json", [asdict(point) for point in points])
        report(points[-1])
    return points, seconds


class _Advance(keras.callbacks.Callback):
    def __init__(self, advance: Advance) -> None:
        super().__init__()
        self._advance = advance

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._advance(1)


def _save(path: Path, model: keras.Model, network: keras.Model, points: list[Point], seconds: float) -> None:
    state = [variable.numpy() for variable in (*network.variables, *model.optimizer.variables)]
    save_arrays([seconds, np.array([list(asdict(point).values()) for point in points]), *state], path)


def _restore(path: Path, model: keras.Model, network: keras.Model) -> tuple[list[Point], float]:
    if not path.is_file():
        return [], 0.0
    seconds, points, *state = load_arrays(path)
    for variable, value in zip((*network.variables, *model.optimizer.variables), state, strict=True):
        variable.assign(value)
    return [Point(int(epoch), *map(float, rest)) for epoch, *rest in points], float(seconds)
