"""A training that is killed and resumed ends with the same result."""

from multiprocessing.connection import Connection
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.test_weights import CLASSES, IMAGES, assert_equal, data, distiller
from tfkd import Distiller
from tfkd.distill.predict import predictor
from tfkd.errors import RequestError
from tfkd.processes import FORKSERVER, start_server
from tfkd.recipe import Training
from tfkd.training.loop import Point, Validation, adamw, epoch_order, fit, prepare_tensorflow

STEPS = 2


class Kill(BaseException):
    """Like a kill, it is not caught in the training."""


def run(
    folder: Path, training: Training, seed: int, kill: int | None = None
) -> tuple[Distiller, list[Point], list[int]]:
    """Trains in a folder; `kill` stops it at the start of that epoch, and only the folder remains."""
    folder.mkdir(exist_ok=True)
    model = distiller(seed, adamw(training, STEPS))
    images, labels = data(99)[0]["image"], np.arange(IMAGES) % CLASSES
    validation = Validation(
        predictor(model.student), tf.data.Dataset.from_tensor_slices((images, labels)).batch(8), labels
    )
    done: list[int] = []

    def batches(epoch: int) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(data(epoch)).batch(IMAGES // STEPS)

    def begin(epoch: int) -> None:
        if epoch == kill:
            raise Kill

    points, _ = fit(model, model.student, batches, validation, training, folder, done.append, lambda point: None, begin)
    return model, points, done


TRAINING = Training(epochs=4, learning_rate=0.02, warmup_epochs=1, average=0.9, patience=3)


@pytest.mark.slow
def test_a_killed_training_ends_with_the_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    whole, curve, _ = run(tmp_path / "whole", TRAINING, seed=1)
    kills = (1, 3)
    for number, epoch in enumerate(kills):
        with pytest.raises(Kill):
            run(tmp_path / "killed", TRAINING, seed=1 + 10 * number, kill=epoch)
    resumed, points, done = run(tmp_path / "killed", TRAINING, seed=1 + 10 * len(kills))
    assert points == curve and len(points) == TRAINING.epochs
    assert done == [kills[-1] * STEPS, *[1] * (TRAINING.epochs - kills[-1]) * STEPS]
    assert_equal(resumed, whole)


@pytest.mark.slow
def test_an_early_stop_survives_a_kill(tmp_path: Path) -> None:
    """With a learning rate of 0 nothing improves, so the training stops as soon as patience allows."""
    training = Training(epochs=9, learning_rate=1e-30, warmup_epochs=0, patience=2)
    whole, curve, _ = run(tmp_path / "whole", training, seed=1)
    assert len(curve) < training.epochs
    with pytest.raises(Kill):
        run(tmp_path / "killed", training, seed=1, kill=1)
    resumed, points, _ = run(tmp_path / "killed", training, seed=2)
    again, same, done = run(tmp_path / "killed", training, seed=3)
    assert points == curve == same
    assert done == [len(curve) * STEPS]
    for other in (resumed, again):
        assert_equal(other, whole)


@pytest.mark.slow
def test_float16_keeps_the_state_of_its_loss_scale(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        training = Training(epochs=2, learning_rate=0.02, warmup_epochs=0)
        whole, curve, _ = run(tmp_path / "whole", training, seed=1)
        with pytest.raises(Kill):
            run(tmp_path / "killed", training, seed=1, kill=1)
        resumed, points, _ = run(tmp_path / "killed", training, seed=2)
    finally:
        keras.config.set_dtype_policy("float32")
    assert type(resumed.optimizer).__name__ == "LossScaleOptimizer"
    assert points == curve
    assert_equal(resumed, whole)


def test_the_order_of_the_images_depends_on_seed_and_epoch() -> None:
    orders = [epoch_order(seed, epoch, 9, 20).tolist() for seed in (1, 2) for epoch in (0, 1)]
    assert orders[0] == epoch_order(1, 0, 9, 20).tolist()
    assert len({tuple(order) for order in orders}) == 4
    for order in orders:
        assert sorted(order[:9]) == sorted(order[9:18]) == list(range(9)), "every image once before any comes again"


def draw(connection: Connection) -> None:
    prepare_tensorflow(1, 7)
    connection.send(np.random.random())


def test_the_seed_of_a_process_decides_its_random_numbers() -> None:
    start_server()
    ours, theirs = FORKSERVER.Pipe()
    process = FORKSERVER.Process(target=draw, args=(theirs,))
    process.start()
    theirs.close()
    assert ours.recv() == np.random.RandomState(7).random_sample()
    process.join()


def draw_after_tensorflow(connection: Connection) -> None:
    keras.ops.ones(1)
    try:
        prepare_tensorflow(1, 7)
    except RequestError as error:
        connection.send((str(error), str(error.__cause__)))


def test_a_process_that_used_tensorflow_with_other_threads_is_refused() -> None:
    start_server()
    ours, theirs = FORKSERVER.Pipe()
    process = FORKSERVER.Process(target=draw_after_tensorflow, args=(theirs,))
    process.start()
    theirs.close()
    message, cause = ours.recv()
    process.join()
    assert message.startswith("TensorFlow was used in this process before the run") and "initialization" in cause
