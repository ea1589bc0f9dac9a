"""Students of texts: a word average, convolutions, and a small transformer.

They take ids of pieces, int32 [batch, length] with 0 for padding, and give float32 logits [batch, classes]. Their
outputs do not depend on the number of padding ids. Beside the one look-up of word vectors, their .tflite files consist
of operators that XNNPACK computes.
"""

from collections.abc import Sequence
from typing import Any

from tfkd.errors import RequestError
from tfkd.models import transformer
from tfkd.models.layers import channels
from tfkd.models.text_layers import TextMean, WordVectors, of
from tfkd.models.token_ids import token_ids
from tfkd.models.transformer import EncoderShape

_WIDTH = 128  # of vectors and hidden states at width 1
_HIDDEN = 256  # of the layer behind a word average, at width 1
_WINDOWS = (2, 3, 4)  # pieces that a convolution sees
_EPSILON = 1e-6  # of layer normalisations; smaller numbers are 0 in float16


def build(k: Any, *, variant: str, **arguments: Any) -> Any:
    """Builds a student (see tfkd.models.build_student).

    Args:
        k: `keras` or `tf_keras`.
        variant: name of a function below.
        arguments: of that function.
    """
    functions = {each.__name__: each for each in (word_average, text_convolution, text_transformer)}
    return functions[variant](k, **arguments)


def word_average(
    k: Any,
    *,
    length: int,
    pieces: Sequence[str],
    classes: int,
    width: float,
    dropout: float,
    vector_width: int | None = None,
) -> Any:
    """Builds the mean of a text's word vectors under two dense layers (Iyyer et al. 2015, "Deep Averaging Networks").

    Args:
        k: `keras` or `tf_keras`.
        length: of the input.
        pieces: the vocabulary.
        classes: number of outputs.
        width: multiplier of the widths, which are 128 for vectors and 256 for the hidden layer.
        dropout: fraction of the hidden units dropped before the logits.
        vector_width: width of the word vectors, such as that of a teacher; None takes the student's.
    """
    ids, vectors, mask = _words(k, pieces, length, vector_width or channels(_WIDTH * width))
    x = of(k, TextMean)(name="pool")([vectors, mask])
    x = k.layers.Dense(channels(_HIDDEN * width), "relu", name="hidden")(x)
    return _classifier(k, ids, x, classes, dropout, "word_average")


def text_convolution(
    k: Any,
    *,
    length: int,
    pieces: Sequence[str],
    classes: int,
    width: float,
    dropout: float,
    vector_width: int | None = None,
) -> Any:
    """Builds convolutions over 2, 3 and 4 pieces with the largest output of each filter (Kim 2014, arXiv:1408.5882).

    Args: as of `word_average`; every convolution has 128 filters at width 1.

    Raises:
        RequestError: the input is shorter than a window.
    """
    if length < max(_WINDOWS):
        raise RequestError(f"text_convolution needs texts of {max(_WINDOWS)} tokens or more, not {length}.")
    filters = channels(_WIDTH * width)
    ids, vectors, mask = _words(k, pieces, length, vector_width or filters)
    x = _projected(k, vectors, filters)
    found = []
    for window in _WINDOWS:
        y = k.layers.Conv1D(filters, window, padding="same", activation="relu", name=f"conv_{window}")(x)
        y = k.layers.Multiply(name=f"masked_{window}")([y, mask])
        y = k.layers.MaxPooling1D(length, name=f"max_{window}")(y)
        found.append(k.layers.Flatten(name=f"pool_{window}")(y))
    return _classifier(k, ids, k.layers.Concatenate(name="pool")(found), classes, dropout, "text_convolution")


def text_transformer(
    k: Any,
    *,
    length: int,
    pieces: Sequence[str],
    classes: int,
    width: float,
    dropout: float,
    layers: int = 2,
    heads: int = 2,
    vector_width: int | None = None,
) -> Any:
    """Builds a small BERT (Jiao et al. 2019, "TinyBERT", arXiv:1909.10351) with the mean over the text's pieces.

    Args: as of `word_average`; the hidden states are 128 wide at width 1, and four times as wide within a layer.

    Raises:
        RequestError: the heads do not divide the width.
    """
    hidden = channels(_WIDTH * width)
    if hidden % heads:
        raise RequestError(f"text_transformer: {heads} heads do not divide the hidden width {hidden}; change either.")
    shape = EncoderShape(layers, heads, hidden, 4 * hidden, _EPSILON, dropout, dropout)
    ids, vectors, mask = _words(k, pieces, length, vector_width or hidden)
    x = transformer.embedded(k, _projected(k, vectors, hidden), mask, shape)
    x = transformer.encoded(k, x, mask, shape)
    x = of(k, TextMean)(name="pool")([x, mask])
    return _classifier(k, ids, x, classes, dropout, "text_transformer")


def _words(k: Any, pieces: Sequence[str], length: int, width: int) -> tuple[Any, Any, Any]:
    """Returns the input, word vectors [batch, length, width] and the mask."""
    ids, known = token_ids(k, pieces, length)
    vectors, mask = of(k, WordVectors)(len(pieces), width, name="words")(known)
    return ids, vectors, mask


def _projected(k: Any, vectors: Any, width: int) -> Any:
    """Returns vectors of a width; without a bias, so that padding stays 0."""
    if vectors.shape[-1] == width:
        return vectors
    return k.layers.Dense(width, use_bias=False, name="projection")(vectors)


def _classifier(k: Any, ids: Any, x: Any, classes: int, dropout: float, name: str) -> Any:
    x = k.layers.Dropout(dropout, name="dropout")(x)
    return k.Model(ids, k.layers.Dense(classes, name="logits")(x), name=name)
