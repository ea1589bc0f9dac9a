"""Networks that normalise by the batch."""

import keras
import numpy as np

from tests import tiny
from tfkd.models.batch_statistics import with_batch_statistics


def test_predicts_as_in_training_and_does_not_change() -> None:
    keras.utils.set_random_seed(1)
    inner = tiny.build_teacher(image_size=32, classes=3)
    inner.layers[3].set_weights([np.random.default_rng(number).uniform(0.5, 2, 16) for number in range(4)])
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, inner(image))
    images = np.random.default_rng(9).uniform(0, 255, (8, 32, 32, 3)).astype(np.float32)
    by_batch = with_batch_statistics(model)
    before = [weight.copy() for weight in by_batch.get_weights()]
    answer = by_batch(images, training=False).numpy()
    np.testing.assert_array_equal(by_batch(images, training=True), answer)
    for weight, same in zip(by_batch.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)
    assert np.abs(answer - model(images, training=False).numpy()).max() > 1e-3
    np.testing.assert_allclose(answer, model(images, training=True), rtol=1e-4, atol=1e-4)
