"""A tf_keras copy gives the outputs of its Keras model, or is refused."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.compress.conftest import STUDENT
from tests.tiny import build_teacher
from tfkd.compress.networks import weighted_layers
from tfkd.compress.tf_keras_copy import copy_layer_by_layer, pass_weights, student_copy
from tfkd.errors import RequestError
from tfkd.inputs.image.tensors import signature
from tfkd.models import build_student
from tfkd.recipe import Student


@pytest.mark.parametrize("model", ["mobilenet_v3_small", "squeezenet_1_1"])
def test_the_copy_of_a_student_gives_its_logits(model: str) -> None:
    recipe = Student(model=model, width=0.35, activation="hard_swish")
    student = build_student(recipe, signature(32), 5, seed=1)
    images = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(student_copy(recipe, student)(images), student(images), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "relu6", "silu", "hard_swish"])
def test_a_model_without_a_source_is_copied_layer_by_layer(activation: str, pixels: np.ndarray) -> None:
    model = build_student(STUDENT.model_copy(update={"activation": activation}), signature(32), 3, seed=2)
    np.testing.assert_allclose(copy_layer_by_layer(model)(pixels), model(pixels), rtol=1e-4, atol=1e-6)


def test_models_inside_a_model_are_laid_out_flat(pixels: np.ndarray) -> None:
    body = build_teacher(image_size=32, classes=7)
    outer = keras.Sequential([keras.Input((32, 32, 3)), body, keras.layers.Dropout(0.5), keras.layers.Dense(4)])
    copy = copy_layer_by_layer(outer)
    assert not any(type(layer).__name__ in ("Functional", "Dropout") for layer in copy.layers)
    np.testing.assert_allclose(copy(pixels), outer(pixels), rtol=1e-4, atol=1e-6)


def test_weights_come_back_by_position(student: Any, pixels: np.ndarray) -> None:
    copy = student_copy(STUDENT, student)
    other = build_student(STUDENT, signature(32), 3, seed=9)
    pass_weights([layer.get_weights() for layer in weighted_layers(copy)], other)
    np.testing.assert_array_equal(other(pixels), student(pixels))


def test_a_layer_that_means_something_else_in_tf_keras_is_found() -> None:
    recipe = Student(model="tests.compress.network:build_for_keras_alone")
    with pytest.raises(RequestError, match="gives other logits"):
        student_copy(recipe, build_student(recipe, signature(32), 3, seed=1))


def test_a_layer_that_tf_keras_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "modern.py").write_text(
        "def build(k, *, image_size, classes, **others):\n"
        "    image = k.Input((image_size, image_size, 3))\n"
        "    x = k.layers.RMSNormalization()(image)\n"
        "    return k.Model(image, k.layers.Dense(classes)(k.layers.GlobalAveragePooling2D()(x)))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    recipe = Student(model="modern:build")
    student = build_student(recipe, signature(32), 3, seed=1)
    with pytest.raises(RequestError, match=r"cannot be built from tf_keras.*modern.py:3.*RMSNormalization.*k\.layers"):
        student_copy(recipe, student)


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (keras.layers.LayerNormalization(name="odd"), "'odd' is a LayerNormalization"),
        (keras.layers.Dense(4, activation="gelu", name="odd"), "activation 'gelu'"),
        (lambda x: x + 3.0, "is a Add"),
    ],
)
def test_a_layer_that_cannot_be_copied_is_named(layer: Any, named: str) -> None:
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, keras.layers.Dense(2)(layer(keras.layers.GlobalAveragePooling2D()(image))))
    with pytest.raises(RequestError, match=named):
        copy_layer_by_layer(model)


def test_a_custom_layer_is_not_taken_for_the_keras_layer_of_its_name() -> None:
    class Dense(keras.layers.Dense):
        def call(self, inputs: Any, training: bool | None = None) -> Any:
            return super().call(inputs) + 1.0

    image = keras.Input((32, 32, 3))
    model = keras.Model(image, Dense(2, name="odd")(keras.layers.GlobalAveragePooling2D()(image)))
    with pytest.raises(RequestError, match="'odd' is a Dense"):
        copy_layer_by_layer(model)


def test_only_functional_models_with_one_input_are_copied() -> None:
    inputs = [keras.Input((3,)), keras.Input((3,))]
    two = keras.Model(inputs, keras.layers.Concatenate()(inputs), name="two")
    for model, named in ((two, "'two'"), ("a text", "'a text'")):
        with pytest.raises(RequestError, match=f"{named} is not a functional Keras model with one input"):
            copy_layer_by_layer(model)


@pytest.mark.parametrize(
    "end",
    [
        "k.layers.Softmax()(k.layers.Dense(classes)(x))",
        "k.layers.Activation('softmax')(k.layers.Dense(classes)(x))",
        "k.layers.Dense(classes, activation='softmax')(x)",
        "k.layers.Activation('linear')(k.layers.Softmax()(k.layers.Dense(classes)(x)))",
    ],
)
def test_the_copy_of_a_student_that_ends_in_softmax_gives_its_logits(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray
) -> None:
    (tmp_path / "softly.py").write_text(
        "def build(k, *, image_size, classes, **others):\n"
        "    image = k.Input((image_size, image_size, 3))\n"
        "    x = k.layers.GlobalAveragePooling2D()(k.layers.Conv2D(4, 3)(k.layers.Rescaling(1 / 128, -1.0)(image)))\n"
        f"    return k.Model(image, {end})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "softly", raising=False)
    recipe = Student(model="softly:build")
    student = build_student(recipe, signature(32), 3, seed=1)
    logits = np.asarray(student(pixels))
    assert np.abs(logits.sum(axis=1) - 1).max() > 0.1
    np.testing.assert_allclose(student_copy(recipe, student)(pixels), logits, rtol=1e-4, atol=1e-6)
