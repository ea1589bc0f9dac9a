"""The smallest student, teacher and batch for tests of a Distiller, and one training step with them."""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests import tiny
from tfkd import Distiller

CLASSES = 4


def student(seed: int = 1, dropout: float = 0.0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return tiny.build_student(
        keras,
        image_size=32,
        classes=CLASSES,
        width=1.0,
        activation="relu6",
        dropout=dropout,
        batch_norm_momentum=0.9,
    )


def teacher(size: int = 32, classes: int = CLASSES) -> keras.Model:
    keras.utils.set_random_seed(99)
    return tiny.build_teacher(image_size=size, classes=classes)


def updated(distiller: Distiller, *data: Any) -> list[np.ndarray]:
    """Returns the student's weights after one step of gradient descent."""
    distiller.compile(keras.optimizers.SGD(0.1))
    distiller.fit(tf.data.Dataset.from_tensors(tuple(data)), verbose=0)
    return [weight.copy() for weight in distiller.student.get_weights()]


def difference(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(first, second, strict=True))


def trained(distiller: Distiller, *data: Any, **arguments: Any) -> dict[str, float]:
    """Returns the logs of one epoch of gradient descent."""
    if not distiller.compiled:
        distiller.compile(keras.optimizers.SGD(0.1))
    history = distiller.fit(*data, verbose=0, shuffle=False, **arguments).history
    return {name: values[-1] for name, values in history.items()}


def weights_after(distiller: Distiller, *data: Any, **arguments: Any) -> list[np.ndarray]:
    trained(distiller, *data, **arguments)
    return [weight.copy() for weight in distiller.student.get_weights()]


@functools.cache
def images_and_labels() -> tuple[np.ndarray, np.ndarray]:
    """Returns noise, float32 [16, 32, 32, 3], and classes, int64 [16]."""
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (16, 32, 32, 3)).astype(np.float32), rng.integers(0, CLASSES, 16)


@functools.cache
def taught() -> list[np.ndarray]:
    """Returns the weights of the student after one step with the teacher, the reference for other ways."""
    return weights_after(Distiller(student(), teacher()), *images_and_labels())


def in_one_step(distiller: Distiller, *data: Any, loss: Any = None) -> list[np.ndarray]:
    """Returns the student's weights after one step without a graph, which is faster than building one."""
    distiller.compile(keras.optimizers.SGD(0.1), loss=loss, run_eagerly=True)
    distiller.train_on_batch(*data)
    return [weight.copy() for weight in distiller.student.get_weights()]
