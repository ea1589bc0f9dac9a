"""Against TensorFlow's own resizing, and NumPy where its result is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfkd.writers.resizing import IN_NO_CONVERTER, axis_matrix, resized, without_resizers

IMAGES = np.random.default_rng(0).uniform(0, 255, (1, 12, 9, 3)).astype(np.float32)


def frozen_function(function: Any) -> Any:
    specification = tf.TensorSpec(IMAGES.shape, tf.float32, name="image")
    return convert_variables_to_constants_v2(tf.function(function).get_concrete_function(specification))


def kinds(function: Any) -> set[str]:
    return {operator.type for operator in function.graph.get_operations()}


def test_nearest_takes_pixels() -> None:
    taken = axis_matrix("ResizeNearestNeighbor", 4, 3, half_pixel_centers=True)
    np.testing.assert_array_equal(taken, np.eye(4, dtype=np.float32)[[0, 2, 3]])


def test_rows_and_columns_are_not_mixed_up() -> None:
    rows, columns = np.eye(12, dtype=np.float32)[[2, 5]], np.eye(9, dtype=np.float32)[[1, 8, 0]]
    np.testing.assert_array_equal(resized(IMAGES, rows, columns), IMAGES[:, [2, 5]][:, :, [1, 8, 0]])


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("method", ["bilinear", "bicubic", "lanczos3", "area", "gaussian", "mitchellcubic"])
def test_every_method_of_tensorflow(method: str, antialias: bool) -> None:
    def function(images: Any) -> Any:
        small = tf.image.resize(images / 255, (7, 5), method, antialias=antialias)
        return tf.image.resize(small, (10, 15), method, antialias=antialias) * 2

    before = frozen_function(function)
    after = without_resizers(before)
    assert not kinds(after) & set(IN_NO_CONVERTER)
    assert [tensor.shape for tensor in after.outputs] == [(1, 10, 15, 3)]
    np.testing.assert_allclose(after(tf.constant(IMAGES))[0], function(IMAGES), atol=1e-4)


def test_a_function_without_them_is_left_alone() -> None:
    function = frozen_function(lambda images: tf.nn.relu(images))
    assert without_resizers(function) is function


def test_a_size_that_depends_on_the_image_is_refused() -> None:
    def function(images: Any) -> Any:
        scale = tf.stack([1.0 + images[0, 0, 0, 0], 1.0])
        return tf.raw_ops.ScaleAndTranslate(images=images, size=[5, 5], scale=scale, translation=[0.0, 0.0])

    with pytest.raises(ValueError, match="factor that changes with the image"):
        without_resizers(frozen_function(function))


def test_bicubic_antialiased_resizing_becomes_a_tflite_file(tmp_path: Path) -> None:
    import keras

    from tfkd.verification import tflite
    from tfkd.writers import Card
    from tfkd.writers.tflite import write_tflite

    image = keras.Input((16, 16, 3))
    small = keras.layers.Resizing(7, 5, interpolation="bicubic", antialias=True)(image)
    small = keras.layers.Rescaling(1 / 255)(small)
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(small)))
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
    write_tflite(model, "fp32", tmp_path / "m.tflite", Card("m", ("a", "b"), "Ada", "MIT", "1", "d"))
    wanted = tf.nn.softmax(model(images.astype(np.float32)))
    np.testing.assert_allclose(tflite.predict(tmp_path / "m.tflite", [images]), wanted, atol=1e-5)
