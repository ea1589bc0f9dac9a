"""Models of tf_keras (Keras 2), in memory, as teachers and as students."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests import tiny
from tfkd import Distiller
from tfkd.errors import RequestError
from tfkd.models import build_teacher
from tfkd.recipe import Teacher

SIZE, CLASSES = 16, 3
IMAGES = np.random.default_rng(0).uniform(0, 255, (8, SIZE, SIZE, 3)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, CLASSES, 8)


def network(k: Any, end: Callable[[Any], Any] = lambda x: x) -> Any:
    k.utils.set_random_seed(3)
    image = k.Input((SIZE, SIZE, 3))
    x = k.layers.Conv2D(4, 3, strides=2)(k.layers.Rescaling(1 / 128, offset=-1.0)(image))
    x = k.layers.GlobalAveragePooling2D()(k.layers.ReLU()(k.layers.BatchNormalization()(x)))
    return k.Model(image, end(k.layers.Dense(CLASSES)(x)))


class Subclassed(tf_keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.network = network(tf_keras)

    def call(self, images: Any, training: bool = False) -> Any:
        return tf.nn.softmax(self.network(images, training=training))


def weights_after(student: Any, teacher: Any) -> list[np.ndarray]:
    distiller = Distiller(student, teacher)
    distiller.compile(keras.optimizers.SGD(0.1))
    distiller.fit(IMAGES, LABELS, verbose=0)
    return distiller.student.get_weights()


def test_a_teacher_of_tf_keras_teaches_like_its_keras_3_copy() -> None:
    old, new = network(tf_keras), network(keras)
    new.set_weights(old.get_weights())
    expected = weights_after(network(keras), new)
    subclassed = Subclassed()
    with pytest.raises(RequestError, match=r"Teacher 'subclassed' does not say what it takes; call the model once"):
        Distiller(network(keras), subclassed)
    subclassed(IMAGES[:1])
    subclassed.network.set_weights(old.get_weights())
    for teacher in (old, network(tf_keras, tf_keras.layers.Softmax()), subclassed):
        teacher.set_weights(old.get_weights())
        for mine, right in zip(weights_after(network(keras), teacher), expected, strict=True):
            np.testing.assert_allclose(mine, right, atol=1e-5)


def test_the_copy_of_a_tf_keras_student_is_trained_with_a_warning() -> None:
    teacher, old = network(keras), network(tf_keras)
    before = old.get_weights()
    new = network(keras)
    new.set_weights(before)
    expected = weights_after(new, teacher)
    with pytest.warns(
        UserWarning, match=r"'model.*' is a tf_keras model\. Its Keras 3 copy, distiller\.student, is tr"
    ):
        trained = weights_after(old, teacher)
    for mine, right in zip(trained, expected, strict=True):
        np.testing.assert_allclose(mine, right, atol=1e-6)
    for mine, right in zip(old.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, right)


def test_a_student_whose_layers_keras_3_does_not_have_is_refused() -> None:
    class Doubled(tf_keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    with pytest.raises(RequestError, match=r"Student 'model.*' is a tf_keras .* that Keras 3 does not have"):
        Distiller(network(tf_keras, Doubled()), network(keras))


def test_a_recipes_function_may_return_a_model_of_tf_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    old = network(tf_keras, tf_keras.layers.Softmax())
    monkeypatch.setattr(tiny, "build_teacher", lambda *, image_size, classes: old)
    teacher = Teacher(model="tests.tiny:build_teacher", weights="none", fine_tune=None)
    built = build_teacher(teacher, CLASSES, seed=1)
    np.testing.assert_allclose(keras.ops.softmax(built(IMAGES)), old(IMAGES), atol=1e-5)
