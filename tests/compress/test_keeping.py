"""The effects of earlier compressions on a kernel survive an update."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfkd.compress.keeping import keeping
from tfkd.compress.prepared import Prepared
from tfkd.compress.trainee import trainee

KERNEL = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0]], np.float32)
UPDATED = KERNEL + np.array([[0.3, 0.1, 0.2], [0.3, -0.1, 0.4]], np.float32)


def test_zeros_are_kept() -> None:
    np.testing.assert_allclose(keeping(KERNEL, ["prune"])(tf.Variable(UPDATED)), np.where(KERNEL == 0, 0, UPDATED))


def test_a_cluster_moves_by_the_mean_of_its_updates() -> None:
    kept = keeping(KERNEL, ["prune", "cluster"])(tf.Variable(UPDATED))
    np.testing.assert_allclose(kept, [[0.0, 1.2, 2.3], [1.2, 0.0, 2.3]], rtol=1e-6)


@pytest.mark.parametrize("before", [("prune",), ("cluster",)])
def test_a_training_restores_it_after_every_step(before: tuple[str, ...]) -> None:
    image = tf_keras.Input((1, 1, 2))
    layer = tf_keras.layers.Dense(3)
    network = tf_keras.Model(image, tf_keras.layers.Flatten()(layer(image)))
    layer.set_weights([KERNEL, np.zeros(3)])
    constraints = {id(layer.kernel): keeping(KERNEL, before)}
    model = trainee(Prepared(network, list, constraints=constraints))
    model.compile(keras.optimizers.AdamW(0.1), keras.losses.MeanSquaredError(), jit_compile=False)
    rng = np.random.default_rng(0)
    model.fit(rng.normal(0, 1, (8, 1, 1, 2)), rng.normal(0, 1, (8, 3)), epochs=3, verbose=0)
    kernel = layer.kernel.numpy()
    assert np.abs(kernel - KERNEL)[KERNEL != 0].min() > 0.01
    assert (kernel[KERNEL == 0] == 0).all()
    assert len(np.unique(kernel)) == (3 if "cluster" in before else 5)
