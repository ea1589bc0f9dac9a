import numpy as np
import pytest
import tensorflow as tf

from tests.verification.coreml.graphs import images, values
from tfkd.verification.coreml.layout import CHANNELS_FIRST, CHANNELS_LAST, axes, pointwise, reshape, transpose


def live(function: object, *inputs: np.ndarray) -> list[str]:
    """Returns the kinds of the operations that a graph's result needs."""
    signature = [tf.TensorSpec([None, *value.shape[1:]], tf.float32) for value in inputs]
    graph = tf.function(function, input_signature=signature, autograph=False).get_concrete_function()
    needed, waiting = [], [graph.outputs[0].op]
    while waiting:
        operation = waiting.pop()
        if operation not in needed:
            needed.append(operation)
            waiting += [tensor.op for tensor in operation.inputs]
    return [operation.type for operation in needed]


def convolved(x: tf.Tensor) -> tf.Tensor:
    kernel = np.ones((1, 1, 3, 3), np.float32)
    return transpose(tf.nn.conv2d(transpose(x, CHANNELS_LAST), kernel, 1, "SAME"), CHANNELS_FIRST)


def test_undone_transpositions_leave_the_graph() -> None:
    def network(x: tf.Tensor) -> tf.Tensor:
        x = transpose(x, CHANNELS_FIRST)
        x = pointwise(tf.nn.relu, convolved(x))
        x = pointwise(tf.add, convolved(x), np.ones((3, 1, 1), np.float32))
        return pointwise(tf.add, convolved(x), x)

    kinds = live(network, np.zeros((2, 4, 5, 3), np.float32))
    assert kinds.count("Conv2D") == 3
    assert kinds.count("Transpose") == 1, "the one that ends the network"


def test_values_in_two_layouts_keep_their_order() -> None:
    x = images(2, 3, 4, 5)
    other = (0, 3, 1, 2)

    def network(x: tf.Tensor) -> tf.Tensor:
        first = transpose(tf.transpose(x, CHANNELS_LAST), CHANNELS_FIRST)
        second = transpose(tf.transpose(x, tuple(np.argsort(other))), other)
        return pointwise(tf.subtract, first, second)

    np.testing.assert_array_equal(tf.function(network, autograph=False)(x), np.zeros_like(x))


def test_smaller_ranks_broadcast_from_behind() -> None:
    x, y = images(2, 3, 4, 5), values((4, 5))
    got = tf.function(lambda x: pointwise(tf.add, transpose(transpose(x, CHANNELS_LAST), CHANNELS_FIRST), y))(x)
    np.testing.assert_allclose(got, x + y)


def test_a_constant_may_take_any_shape() -> None:
    np.testing.assert_array_equal(reshape(np.arange(6.0), [2, -1]), np.arange(6.0).reshape(2, 3))


def test_axes_are_counted_from_the_front() -> None:
    value = np.zeros((2, 3, 4))
    assert axes(value, [-1, 0, -3, 2]) == [2, 0, 0, 2]
    for outside in (3, -4):
        with pytest.raises(ValueError, match=rf"no axes \[{outside}\]"):
            axes(value, [outside])
