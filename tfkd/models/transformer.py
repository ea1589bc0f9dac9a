"""The encoder of BERT (Devlin et al. 2019, arXiv:1810.04805), for teachers and students.

`k` is a layers namespace, `keras` or `tf_keras`. The names of the layers are those that losses tap: "embedded",
"layer_N_attention_logits" [batch, heads, length, length] and "layer_N_hidden" [batch, length, width], N from 0; all
are 0 at padding.
"""

from dataclasses import dataclass
from typing import Any

from tfkd.models import text_layers
from tfkd.models.text_layers import of


@dataclass(frozen=True)
class EncoderShape:
    """The sizes of an encoder.

    Attributes:
        layers: number of layers.
        heads: number of attention heads; it divides the width.
        width: of the hidden states.
        inner: width within the feed-forward part of a layer.
        epsilon: of the layer normalisations.
        dropout: fraction of the outputs of sublayers dropped in training.
        attention_dropout: fraction of the attention weights dropped in training.
        activation: of the feed-forward part, a name of Keras.
    """

    layers: int
    heads: int
    width: int
    inner: int
    epsilon: float
    dropout: float
    attention_dropout: float
    activation: str = "gelu"


def embedded(k: Any, vectors: Any, mask: Any, shape: EncoderShape) -> Any:
    """Adds positions to word vectors [batch, length, width] and normalises; returns the same shape."""
    x = of(k, text_layers.Positions)(name="positions")(vectors)
    x = k.layers.LayerNormalization(epsilon=shape.epsilon, name="embedded_norm")(x)
    x = k.layers.Dropout(shape.dropout, name="embedded_dropout")(x)
    return k.layers.Multiply(name="embedded")([x, mask])


def encoded(k: Any, x: Any, mask: Any, shape: EncoderShape) -> Any:
    """Applies all layers to hidden states [batch, length, width]; returns the same shape."""
    for number in range(shape.layers):
        x = _layer(k, x, mask, shape, f"layer_{number}")
    return x


def _layer(k: Any, x: Any, mask: Any, shape: EncoderShape, name: str) -> Any:
    attended = _attention(k, x, mask, shape, name)
    x = _added(k, x, k.layers.Dense(shape.width, name=f"{name}_output")(attended), shape, f"{name}_attention")
    inner = k.layers.Dense(shape.inner, shape.activation, name=f"{name}_inner")(x)
    x = _added(k, x, k.layers.Dense(shape.width, name=f"{name}_outer")(inner), shape, name)
    return k.layers.Multiply(name=f"{name}_hidden")([x, mask])


def _attention(k: Any, x: Any, mask: Any, shape: EncoderShape, name: str) -> Any:
    parts = ("query", "key", "value")
    queries, keys, values = (k.layers.Dense(shape.width, name=f"{name}_{part}")(x) for part in parts)
    logits = of(k, text_layers.AttentionLogits)(shape.heads, name=f"{name}_attention_logits")([queries, keys, mask])
    weights = of(k, text_layers.AttentionWeights)(name=f"{name}_attention_weights")([logits, mask])
    weights = k.layers.Dropout(shape.attention_dropout, name=f"{name}_attention_weights_dropout")(weights)
    return of(k, text_layers.WeightedSum)(name=f"{name}_weighted_sum")([weights, values])


def _added(k: Any, x: Any, change: Any, shape: EncoderShape, name: str) -> Any:
    change = k.layers.Dropout(shape.dropout, name=f"{name}_dropout")(change)
    x = k.layers.Add(name=f"{name}_add")([x, change])
    return k.layers.LayerNormalization(epsilon=shape.epsilon, name=f"{name}_norm")(x)
