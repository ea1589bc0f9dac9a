"""The layer that evaluates the arrays of trees with plain operators, and the students that consist of it."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd.models.table_columns import table_row
from tfkd.models.tree_arrays import Trees, leaf
from tfkd.signature import Column

_SMALLEST = 1e-7  # probability of a class that no training row of a leaf has


@keras.saving.register_keras_serializable("tfkd")
class TreeEnsemble(keras.layers.Layer):
    """Evaluates trees for rows, float32 [batch, columns], and gives the logarithms of their mean probabilities.

    All trees take a step at a time, with look-ups of the next node, so that files need built-in operators alone.

    Args:
        comparisons: number of comparisons.
        leaves: number of leaves.
        classes: number of classes.
        trees: number of trees.
        depth: steps from the roots to the last leaf.
    """

    def __init__(self, comparisons: int, leaves: int, classes: int, trees: int, depth: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.comparisons, self.leaves, self.classes = comparisons, leaves, classes
        self.trees, self.depth = trees, depth

    def build(self, input_shape: Any) -> None:
        """Creates the arrays of `Trees`, which are not trained; a leaf compares nothing and is its own child."""
        nodes = self.comparisons + self.leaves

        def array(name: str, shape: tuple[int, ...], dtype: str) -> Any:
            return self.add_weight(name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False)

        self.column = array("column", (nodes,), "int32")
        self.lower = array("lower", (nodes,), "float32")
        self.upper = array("upper", (nodes,), "float32")
        self.children = array("children", (nodes, 2), "int32")
        self.values = array("values", (self.leaves, self.classes), "float32")
        self.roots = array("roots", (self.trees,), "int32")
        self.support = array("support", (nodes,), "float32")
        super().build(input_shape)

    def call(self, rows: Any) -> Any:
        """Returns float32 [batch, classes]."""
        node = tf.tile(self.roots[None, :], [tf.shape(rows)[0], 1])
        children = tf.reshape(self.children, [-1])
        for _ in range(self.depth):
            value = tf.gather(rows, tf.gather(self.column, node), axis=1, batch_dims=1)
            right = tf.logical_and(value > tf.gather(self.lower, node), value <= tf.gather(self.upper, node))
            node = tf.gather(children, 2 * node + tf.cast(right, tf.int32))
        found = tf.reduce_mean(tf.gather(self.values, node - self.comparisons), axis=1)
        return tf.math.log(tf.maximum(found, _SMALLEST))

    @property
    def found(self) -> Trees:
        """The trees."""
        column, lower, upper, children, *others = self.get_weights()
        count = self.comparisons
        return Trees(column[:count], lower[:count], upper[:count], children[:count], *others)

    def set_trees(self, trees: Trees) -> None:
        """Sets the arrays to those of trees of this size."""
        leaves = np.arange(self.comparisons, self.comparisons + self.leaves, dtype=np.int32)
        none = np.zeros(self.leaves, np.float32)
        column = np.concatenate([trees.column, np.zeros(self.leaves, np.int32)])
        lower, upper = np.concatenate([trees.lower, none]), np.concatenate([trees.upper, none])
        children = np.concatenate([trees.children, np.stack([leaves, leaves], axis=1)])
        self.set_weights([column, lower, upper, children, trees.values, trees.roots, trees.support])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns (batch, classes)."""
        return (input_shape[0], self.classes)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of an equal layer."""
        sizes = ("comparisons", "leaves", "classes", "trees", "depth")
        return {**super().get_config(), **{name: getattr(self, name) for name in sizes}}


def network_of(found: Trees, columns: Sequence[Column], name: str) -> keras.Model:
    """Returns the student of trees: float32 [batch, columns] to the logarithms of probabilities [batch, classes]."""
    row, checked = table_row(columns)
    leaves, classes = found.values.shape
    layer = TreeEnsemble(found.comparisons, leaves, classes, len(found.roots), found.depth, name="logits")
    model = keras.Model(row, layer(checked), name=name)
    layer.set_trees(found)
    return model


def trees_of(model: keras.Model) -> Trees | None:
    """Returns the trees of a student; None for a network of another kind."""
    layer = next((layer for layer in model.layers if isinstance(layer, TreeEnsemble)), None)
    return None if layer is None else layer.found


def build(
    k: Any,
    *,
    variant: str,
    columns: Sequence[Column],
    classes: int,
    max_depth: int | None,
    min_leaf: int,
    trees: int = 1,
) -> Any:
    """Builds the student before it is fitted (see tfkd.models.build_student): one leaf.

    Args:
        k: `keras`.
        variant: "tree" or "forest".
        columns: of the rows.
        classes: number of outputs.
        max_depth: read when it is fitted, as the others (see `tfkd.training.trees`).
        min_leaf: least number of rows in a leaf.
        trees: of a forest.
    """
    return network_of(leaf(classes), columns, variant)
