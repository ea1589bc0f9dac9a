"""The first layer of every text model: the ids of the pieces of a text, and the vocabulary that they are of."""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

import keras

from tfkd.errors import RequestError, counted
from tfkd.inputs.text.vocabulary import Vocabulary, parse
from tfkd.kernels.keras_private import layers_of
from tfkd.models.text_layers import AnyLayer, of


class _TokenIds(AnyLayer):
    def __init__(self, pieces: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pieces = _checked(pieces)

    def call(self, ids: Any) -> Any:
        """Returns int32 [batch, length] unchanged."""
        return ids

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of an equal layer."""
        return {**super().get_config(), "pieces": list(self.pieces)}


@keras.saving.register_keras_serializable("tfkd")
class TokenIds(_TokenIds, keras.layers.Layer):
    """Returns its input; a model with this layer carries its vocabulary, also in its file.

    Args:
        pieces: the vocabulary in the order of the ids.

    Raises:
        RequestError: the pieces are no vocabulary that phones read.
    """


def token_ids(k: Any, pieces: Sequence[str], length: int) -> tuple[Any, Any]:
    """Returns the input of a text model, int32 [batch, length], and the same behind a `TokenIds`.

    Args:
        k: `keras` or `tf_keras`.
        pieces: the vocabulary.
        length: of the input.
    """
    ids = k.Input((length,), dtype="int32", name="ids")
    return ids, of(k, TokenIds)(pieces, name="token_ids")(ids)


def has_vocabulary(model: keras.Model) -> bool:
    """Returns whether a model of ids carries its vocabulary."""
    return any(isinstance(layer, TokenIds) for layer in model.layers)


def vocabulary_warnings(model: keras.Model, name: str) -> tuple[str, ...]:
    """Returns what phones read otherwise than the library that a model was trained with; `name` is its name."""
    pieces = next((layer.pieces for layer in model.layers if isinstance(layer, TokenIds)), ())
    cased = [piece for piece in pieces if any(letter in ascii_uppercase for letter in piece) and not _is_special(piece)]
    if not cased:
        return ()
    return (
        f"{counted(len(cased), 'piece')} of {name}, such as {cased[0]!r}, have capital letters, but the tokenizer of "
        "phones makes all letters small, so that they are never found; use an uncased model",
    )


def _is_special(piece: str) -> bool:
    return piece.startswith("[") and piece.endswith("]")


def in_front(pieces: Sequence[str], model: keras.Model) -> keras.Model:
    """Returns a model of ids with its vocabulary; one that has it is unchanged.

    Args:
        pieces: the vocabulary.
        model: from int [batch, length].

    Raises:
        RequestError: the model has another vocabulary.
    """
    known = next((layer for layer in model.layers if isinstance(layer, TokenIds)), None)
    if known is None:
        ids, checked = token_ids(keras, pieces, model.input_shape[1])
        return keras.Model(ids, model(checked), name=model.name)
    if known.pieces != tuple(pieces):
        raise RequestError(
            f"{model.name} has a vocabulary of {len(known.pieces):,} pieces, which is not the stated one of "
            f"{len(pieces):,}; leave the vocabulary out."
        )
    return model


def with_trained_vocabulary(pieces: Sequence[str], model: keras.Model, vocabulary: str, name: str) -> keras.Model:
    """Returns a trained model with the vocabulary that it was trained with, as `in_front` does.

    Args:
        pieces: the vocabulary.
        model: from int [batch, length].
        vocabulary: name of the vocabulary in messages.
        name: name of the model in messages.

    Raises:
        RequestError: the model has another vocabulary, or word vectors of another number of pieces.
    """
    tables = [layer.input_dim for layer in layers_of(model) if isinstance(layer, keras.layers.Embedding)]
    if tables and len(pieces) not in tables:
        raise RequestError(
            f"{vocabulary} has {len(pieces):,} pieces, but {name} has vectors for {max(tables):,}; use the vocabulary "
            "that it was trained with."
        )
    return in_front(pieces, model)


def _checked(pieces: Sequence[str]) -> tuple[str, ...]:
    name = "The vocabulary of a TokenIds layer"
    if isinstance(pieces, str) or not all(isinstance(piece, str) for piece in pieces):
        raise RequestError(f"{name} has pieces that are no texts; give the lines of vocab.txt.")
    vocabulary = Vocabulary(tuple(pieces))
    try:
        found = parse(vocabulary.text.encode(), name)
    except UnicodeEncodeError:
        raise RequestError(f"{name} has half of a surrogate pair; give the lines of vocab.txt.") from None
    if found != vocabulary:
        raise RequestError(f"{name} has a line break within a piece; give the lines of vocab.txt.")
    return found.pieces
