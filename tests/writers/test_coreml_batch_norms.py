from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.verification.coreml.converted import convert
from tests.writers.conftest import CARD, SIZE
from tfkd.verification import coreml
from tfkd.writers.coreml import write_coreml


@pytest.fixture(scope="module")
def deep(images: np.ndarray) -> keras.Model:
    """Sixteen batch normalisations, half of them behind a convolution and half before an activation alone."""
    keras.utils.set_random_seed(4)
    layers = keras.layers
    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, strides=4, padding="same")(layers.Rescaling(1 / 128, offset=-1)(image))
    for _ in range(8):
        y = layers.ReLU()(layers.BatchNormalization(momentum=0.0)(x))
        x = layers.Add()([x, layers.BatchNormalization(momentum=0.0)(layers.Conv2D(8, 1)(y))])
    logits = layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=0.5))
    model = keras.Model(image, logits(layers.GlobalAveragePooling2D()(x)))
    model(images.astype(np.float32), training=True)  # statistics that are not 0 and 1
    return model


def test_batch_normalisations_are_exact(deep: keras.Model, images: np.ndarray, tmp_path: Path) -> None:
    wanted = tf.nn.softmax(deep(images.astype(np.float32), training=False)).numpy()
    assert wanted.std(0).mean() > 0.02, "predictions that are all alike would prove little"
    plain = tmp_path / "plain.mlmodel"
    convert(deep, CARD, convert_to="neuralnetwork").save(str(plain))
    drift = np.abs(coreml.predict(plain, [images]) - wanted).max()
    write_coreml(deep, "mlmodel", tmp_path / "exact.mlmodel", CARD)
    assert np.abs(coreml.predict(tmp_path / "exact.mlmodel", [images]) - wanted).max() < min(2e-6, drift / 5)
