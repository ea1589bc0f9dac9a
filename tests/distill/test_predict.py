import keras
import numpy as np
import tensorflow as tf

from tfkd.distill.predict import predict, predictor


def test_a_network_predicts_in_inference_mode_and_does_not_change() -> None:
    layers = [keras.layers.Flatten(), keras.layers.BatchNormalization(momentum=0.1), keras.layers.Dropout(0.9)]
    model = keras.Sequential([keras.Input((4, 4, 3)), *layers, keras.layers.Dense(3)])
    images = np.random.default_rng(0).normal(3, 2, (10, 4, 4, 3)).astype(np.float32)
    before = [weight.copy() for weight in model.get_weights()]
    sizes: list[int] = []
    batches = tf.data.Dataset.from_tensor_slices((images, np.arange(10))).batch(4)
    found = predict(predictor(model), batches, sizes.append)
    np.testing.assert_allclose(found, model(images, training=False), rtol=1e-5, atol=1e-6)
    assert found.dtype == np.float32 and sizes == [4, 4, 2]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
