"""Layers of text models, for teachers and students.

Every layer is written once: `of` returns its class for a layers namespace, `keras` or `tf_keras`. The graphs of
students consist of operators that XNNPACK computes, except for the one look-up of word vectors. Positions that hold
padding (id 0) are marked by a mask, float [batch, length, 1]: 1 for the pieces of the text and 0 for padding.
"""

from functools import cache
from typing import Any

import keras
import tensorflow as tf

AnyLayer: Any = object  # for type checkers: the layer of any namespace

_REMOTE = 10_000.0  # subtracted from attention logits of padding; its exponential is 0 in every precision


@cache
def of(k: Any, kind: type) -> Any:
    """Returns the class of one of the layers below for a layers namespace.

    Args:
        k: `keras` or `tf_keras`.
        kind: such as `WordVectors`.
    """
    return kind if k is keras else type(kind.__name__, (kind.__bases__[0], k.layers.Layer), {})


class _WordVectors(AnyLayer):
    def __init__(self, pieces: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pieces, self.width = pieces, width

    def build(self, input_shape: Any) -> None:
        """Creates the table."""
        deviation = self.width**-0.5
        self.table = self.add_weight(
            name="table",
            shape=(self.pieces, self.width),
            initializer=keras.initializers.RandomNormal(stddev=deviation),
        )
        super().build(input_shape)

    def call(self, ids: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Returns the vectors, float [batch, length, width], and the mask of ids int32 [batch, length].

        Outside of training the mask is a column of the table, so that an exported file looks up once. The column holds
        the table's largest magnitude, which 8 bits represent exactly.
        """
        dtype = self.compute_dtype
        if training:  # looked up alone, because a pass over the whole table in every step takes most of its time
            mask = tf.cast(ids != 0, dtype)[..., None]
            return tf.cast(tf.gather(self.table, ids), dtype) * mask, mask
        words = tf.constant([[0.0]] + [[1.0]] * (self.pieces - 1))
        table = tf.cast(self.table, tf.float32) * words
        largest = tf.maximum(tf.reduce_max(tf.abs(tf.stop_gradient(table))), 1e-6)
        found = tf.gather(tf.concat([table, largest * words], axis=1), ids)
        vectors, marks = found[..., : self.width], found[..., self.width :]
        return tf.cast(vectors, dtype), tf.cast(marks * (1 / largest), dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of an equal layer."""
        return {**super().get_config(), "pieces": self.pieces, "width": self.width}


@keras.saving.register_keras_serializable("tfkd")
class WordVectors(_WordVectors, keras.layers.Layer):
    """Looks up the vectors of pieces, zeros for padding, and the mask.

    Args:
        pieces: number of rows of the table.
        width: size of a vector.
    """


class _Positions(AnyLayer):
    def build(self, input_shape: Any) -> None:
        """Creates one vector per position."""
        self.vectors = self.add_weight(
            name="vectors",
            shape=tuple(input_shape[1:]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )
        super().build(input_shape)

    def call(self, x: Any) -> Any:
        """Returns float [batch, length, width] with the vectors added."""
        return x + self.vectors


@keras.saving.register_keras_serializable("tfkd")
class Positions(_Positions, keras.layers.Layer):
    """Adds a trained vector to each position."""


class _AttentionLogits(AnyLayer):
    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def call(self, inputs: Any) -> Any:
        """Returns float [batch, heads, length, length] for queries, keys [batch, length, width] and the mask."""
        queries, keys, mask = inputs
        scale = (queries.shape[-1] // self.heads) ** -0.5
        logits = tf.matmul(_by_head(queries * scale, self.heads), _by_head(keys, self.heads), transpose_b=True)
        return logits * (mask * tf.transpose(mask, [0, 2, 1]))[:, None]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of an equal layer."""
        return {**super().get_config(), "heads": self.heads}


@keras.saving.register_keras_serializable("tfkd")
class AttentionLogits(_AttentionLogits, keras.layers.Layer):
    """Computes scaled products of queries and keys per head; 0 where either is padding.

    Args:
        heads: number of heads; it divides the width.
    """


class _AttentionWeights(AnyLayer):
    def call(self, inputs: Any) -> Any:
        """Returns float [batch, heads, length, length], a distribution over the last axis, for logits and the mask."""
        logits, mask = inputs
        bias = (tf.transpose(mask, [0, 2, 1])[:, None] - 1) * _REMOTE
        return tf.cast(tf.nn.softmax(tf.cast(logits + bias, tf.float32)), logits.dtype)


@keras.saving.register_keras_serializable("tfkd")
class AttentionWeights(_AttentionWeights, keras.layers.Layer):
    """Computes the softmax of attention logits over the pieces of the text, without padding."""


class _WeightedSum(AnyLayer):
    def call(self, inputs: Any) -> Any:
        """Returns float [batch, length, width] for weights and values [batch, length, width]."""
        weights, values = inputs
        summed = tf.matmul(weights, _by_head(values, weights.shape[1]))
        return tf.reshape(tf.transpose(summed, [0, 2, 1, 3]), [-1, *values.shape[1:]])


@keras.saving.register_keras_serializable("tfkd")
class WeightedSum(_WeightedSum, keras.layers.Layer):
    """Sums values by the attention weights of each head."""


class _TextMean(AnyLayer):
    def call(self, inputs: Any) -> Any:
        """Returns float [batch, width] for x [batch, length, width], zeros at padding, and the mask."""
        x, mask = (tf.cast(each, tf.float32) for each in inputs)
        used = tf.maximum(tf.reduce_mean(mask, axis=1), 1e-6)
        return tf.cast(tf.reduce_mean(x, axis=1) / used, self.compute_dtype)


@keras.saving.register_keras_serializable("tfkd")
class TextMean(_TextMean, keras.layers.Layer):
    """Computes the mean over the pieces of the text, without padding; zeros for a text without pieces."""


class _FirstPiece(AnyLayer):
    def call(self, x: Any) -> Any:
        """Returns float [batch, width] for x [batch, length, width]."""
        return tf.reshape(x[:, :1], [-1, x.shape[-1]])  # x[:, 0] is an operator that XNNPACK does not run


@keras.saving.register_keras_serializable("tfkd")
class FirstPiece(_FirstPiece, keras.layers.Layer):
    """Returns the vector of the first piece, [CLS]."""


def _by_head(x: Any, heads: int) -> Any:
    """Splits the width: returns [batch, heads, length, width / heads]."""
    length, width = x.shape[1:]
    return tf.transpose(tf.reshape(x, [-1, length, heads, width // heads]), [0, 2, 1, 3])
