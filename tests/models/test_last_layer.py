"""The weights of the last layer are divided, and nothing else is."""

import keras
import numpy as np
import pytest

from tests.tiny import build_student
from tfkd.errors import RequestError
from tfkd.models.last_layer import divide_logits


def test_logits_are_divided_without_another_layer() -> None:
    arguments = {"width": 1.0, "activation": "relu6", "dropout": 0.0, "batch_norm_momentum": 0.9}
    model = build_student(keras, image_size=32, classes=3, **arguments)
    layers, images = len(model.layers), np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3))
    before = model.predict(images, verbose=0)
    divide_logits(model, 2.5)
    np.testing.assert_allclose(model.predict(images, verbose=0), before / 2.5, rtol=1e-4, atol=1e-6)
    assert len(model.layers) == layers


def test_another_last_layer_is_refused_by_name() -> None:
    image = keras.Input((4,))
    for last in (keras.layers.Dense(2, "softmax", name="end"), keras.layers.ReLU(name="end")):
        with pytest.raises(RequestError, match=r"is 'end', not a Dense layer .* set export.temperature=null"):
            divide_logits(keras.Model(image, last(keras.layers.Dense(2)(image))), 2.0)
