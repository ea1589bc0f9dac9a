"""A small student with statistics of its own, its pixels, and a few steps of training."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tests.compress.network import CLASSES, SIZE
from tfkd.compress.prepared import Prepared
from tfkd.compress.trainee import trainee
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.recipe import Student

STUDENT = Student(model="tests.compress.network:build", dropout=0.5, activation="hard_swish")
SHALLOW = STUDENT.model_copy(update={"model": "tests.compress.network:build_shallow"})


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """Coloured noise, float32 [16, 32, 32, 3], raw."""
    rng = np.random.default_rng(3)
    coarse = rng.uniform(0, 255, (16, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return np.clip(np.rint(coarse + rng.normal(0, 20, coarse.shape)), 0, 255).astype(np.float32)


@pytest.fixture
def student(pixels: np.ndarray) -> Any:
    return settled_student(STUDENT, pixels)


@pytest.fixture
def shallow(pixels: np.ndarray) -> Any:
    return settled_student(SHALLOW, pixels)


def settled_student(recipe: Student, pixels: np.ndarray) -> Any:
    """Returns a student whose batch normalisation has seen images."""
    model = build_student(recipe, signature(SIZE), CLASSES, seed=1)
    for _ in range(10):
        model(pixels, training=True)
    return model


@pytest.fixture
def train(pixels: np.ndarray) -> Callable[..., Any]:
    """Trains a prepared network for some steps, without a graph, and returns the Keras 3 model around it."""

    def run(prepared: Prepared, steps: int, learning_rate: float = 1e-3) -> Any:
        model = trainee(prepared)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.AdamW(learning_rate), loss, jit_compile=False, run_eagerly=True)
        model.fit(pixels, np.arange(16) % CLASSES, batch_size=16, epochs=steps, verbose=0, shuffle=False)
        return model

    return run
