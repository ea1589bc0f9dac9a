"""The stored weights of a training: in Keras's weight files, and the running average."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests import tiny
from tfkd import Distiller
from tfkd.distill.losses import ContrastiveLoss, HintLoss, SoftTargetsLoss
from tfkd.training.weights import Weights

CLASSES, IMAGES = 4, 16
ANSWER = {"logits": (CLASSES,), "pooled": (7,)}


def distiller(seed: int, optimizer: keras.optimizers.Optimizer) -> Distiller:
    """A Distiller with all kinds of state: dropout, BatchNorm, a projector, moments, memories, an optimizer's."""
    keras.utils.set_random_seed(seed)
    student = tiny.build_student(
        keras, image_size=8, classes=CLASSES, width=1.0, activation="relu6", dropout=0.5, batch_norm_momentum=0.9
    )
    losses = [(SoftTargetsLoss(), 0.5), (HintLoss(), 0.5), (ContrastiveLoss(dimensions=3, negatives=5), 0.5)]
    result = Distiller(student, losses=losses, answers=[ANSWER], images=IMAGES)
    result.compile(optimizer)
    return result


def data(seed: int) -> tuple[dict[str, Any], np.ndarray]:
    rng = np.random.default_rng(seed)
    x = {
        "image": rng.uniform(0, 255, (IMAGES, 8, 8, 3)).astype(np.float32),
        "index": rng.permutation(IMAGES),
        "answers": ({tap: rng.normal(size=(IMAGES, *shape)).astype(np.float32) for tap, shape in ANSWER.items()},),
    }
    return x, rng.integers(0, CLASSES, IMAGES)


def train(model: Distiller, seed: int) -> None:
    model.fit(*data(seed), batch_size=8, shuffle=False, verbose=0)


def state(model: Distiller) -> dict[str, np.ndarray]:
    variables = [*model.variables, *model.optimizer.variables]
    return {f"{number} {variable.path}": variable.numpy() for number, variable in enumerate(variables)}


def assert_equal(one: Distiller, other: Distiller) -> None:
    for (name, value), expected in zip(state(one).items(), state(other).values(), strict=True):
        np.testing.assert_array_equal(value, expected, err_msg=name)


def test_a_distiller_resumes_from_its_weight_file_without_a_difference(tmp_path: Path) -> None:
    first = distiller(1, keras.optimizers.AdamW(1e-2))
    train(first, 5)
    first.save_weights(tmp_path / "all.weights.h5")
    second = distiller(2, keras.optimizers.AdamW(1e-2))
    untrained = state(second)
    second.load_weights(tmp_path / "all.weights.h5")
    assert_equal(second, first)
    alike = [name for name, value in state(second).items() if np.array_equal(value, untrained[name])]
    assert all("learning_rate" in name for name in alike), f"the training never changed {alike}: they prove nothing"
    for model in (first, second):
        train(model, 6)
    assert_equal(second, first)


def test_keras_backs_a_distiller_up(tmp_path: Path) -> None:
    """A killed `fit` that is called again with the same callback resumes from its last epoch."""

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    def fit(model: Distiller, *callbacks: Any) -> Distiller:
        backup = keras.callbacks.BackupAndRestore(os.fspath(tmp_path))
        model.fit(*data(5), batch_size=8, shuffle=False, epochs=2, verbose=0, callbacks=[*callbacks, backup])
        return model

    with pytest.raises(KeyboardInterrupt):
        fit(distiller(1, keras.optimizers.AdamW(1e-2)), Kill())
    resumed = fit(distiller(2, keras.optimizers.AdamW(1e-2)))
    assert int(resumed.optimizer.iterations) == 4
    unbroken = distiller(1, keras.optimizers.AdamW(1e-2))
    for _ in range(2):
        train(unbroken, 5)
    assert_equal(resumed, unbroken)


def test_the_average_moves_once_per_update() -> None:
    """Four batches that give two updates count as two."""
    model = distiller(1, keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
    weights = Weights(model, model.student, momentum=0.9)
    kernel = model.student.layers[-1].kernel
    snapshots = [kernel.numpy()]
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: snapshots.append(kernel.numpy()))
    model.fit(*data(5), batch_size=4, shuffle=False, verbose=0, callbacks=[watch, *weights.callbacks])
    initial, first, second = snapshots[0], snapshots[2], snapshots[4]
    assert (
        np.array_equal(snapshots[1], initial)
        and np.array_equal(snapshots[3], first)
        and not np.array_equal(first, initial)
    )
    expected = initial
    for number, value in enumerate([first, second], start=1):
        momentum = min(0.9, (1 + number) / (10 + number))
        expected = momentum * expected + (1 - momentum) * value
    with weights.averaged():
        np.testing.assert_allclose(kernel.numpy(), expected, rtol=1e-5)
    np.testing.assert_array_equal(kernel.numpy(), second)
