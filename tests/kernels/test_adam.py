from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.kernels.adam import fuse


def network() -> keras.Model:
    keras.utils.set_random_seed(3)
    layers = keras.layers
    return keras.Sequential([keras.Input((6,)), layers.Dense(5, activation="tanh"), layers.Dense(2)])


def trained(optimizer: Any, steps: int = 5) -> tuple[list[np.ndarray], set[str]]:
    """The weights and the optimizer's variables after some steps, and the operations of a step."""
    model = network()
    optimizer.build(model.trainable_variables)
    batches = np.random.default_rng(1).normal(0, 1, (steps, 8, 6)).astype(np.float32)

    @tf.function
    def step(batch: Any) -> None:
        with tf.GradientTape() as tape:
            loss = optimizer.scale_loss(tf.reduce_sum(model(batch, training=True) ** 2))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    for batch in batches:
        step(tf.constant(batch))
    graph = step.get_concrete_function(tf.TensorSpec((8, 6))).graph
    functions = [graph, *(each.graph for each in graph._functions.values())]  # a loss scale applies inside a branch
    kinds = {operation.type for each in functions for operation in each.get_operations()}
    return [*model.get_weights(), *(variable.numpy() for variable in optimizer.variables)], kinds


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adam(1e-2),
        lambda: keras.optimizers.AdamW(1e-2, weight_decay=0.1, clipnorm=0.5),
        lambda: keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(1e-2, 9), beta_1=0.8, beta_2=0.9),
        lambda: keras.optimizers.Adam(1e-2, use_ema=True, gradient_accumulation_steps=2),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.AdamW(1e-2)),
    ],
)
def test_the_same_weights_and_state(make: Any) -> None:
    fused = make()
    fuse(fused)
    (expected, plain_kinds), (got, kinds) = trained(make()), trained(fused)
    assert "ResourceApplyAdam" in kinds
    assert "ResourceApplyAdam" not in plain_kinds
    for one, other in zip(expected, got, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda: keras.optimizers.Adam(1e-2, amsgrad=True), lambda: keras.optimizers.SGD(1e-2)]
)
def test_other_optimizers_do_not_change(make: Any) -> None:
    other = make()
    fuse(other)
    (expected, _), (got, kinds) = trained(make()), trained(other)
    assert "ResourceApplyAdam" not in kinds
    for one, two in zip(expected, got, strict=True):
        np.testing.assert_array_equal(two, one)


def test_gradients_of_single_rows() -> None:
    tables = []
    for optimizer in (keras.optimizers.Adam(1e-2), keras.optimizers.Adam(1e-2)):
        table = keras.Variable(np.ones((4, 2), np.float32))
        if tables:
            fuse(optimizer)
        optimizer.build([table])
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.gather(table.value, [1, 3]) ** 2)
        gradient = tape.gradient(loss, table.value)
        assert isinstance(gradient, tf.IndexedSlices)
        optimizer.apply([gradient], [table])
        tables.append(table.numpy())
    np.testing.assert_array_equal(*tables)
