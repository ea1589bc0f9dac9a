"""ResNets of keras.applications."""

from pathlib import Path

import keras
import numpy as np

from tests.models.families import TeacherFacts
from tests.models.teachers import photos, untrained, write_h5
from tfkd.models import build_teacher

FACTS = {"resnet50": TeacherFacts(size=64), "resnet50_v2": TeacherFacts(size=64)}


def test_resnet_takes_over_the_channel_order(tmp_path: Path) -> None:
    source = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=6, classifier_activation=None)
    rng = np.random.default_rng(3)
    source.get_layer("conv1_conv").bias.assign(rng.normal(0, 1, 64))
    path = tmp_path / "resnet50.h5"
    write_h5([layer for layer in source.layers if layer.weights], path)
    model = build_teacher(untrained("resnet50", weights=str(path), image_size=64), classes=6, seed=1)
    images = photos(64)
    expected = source(keras.applications.resnet.preprocess_input(images.copy()), training=False)
    np.testing.assert_allclose(model(images, training=False), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
