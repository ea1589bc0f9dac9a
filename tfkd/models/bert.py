"""BERT-family teachers from folders as Hugging Face's save_pretrained writes them: config.json, vocab.txt and
model.safetensors of BERT, DistilBERT, TinyBERT, MiniLM and sentence transformers made of these.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfkd.errors import RequestError
from tfkd.inputs.text import vocabulary
from tfkd.inputs.text.vocabulary import VOCABULARY, Vocabulary
from tfkd.models import transformer
from tfkd.models.bert_config import BertConfig, read_config
from tfkd.models.bert_weights import BertWeights, read_weights
from tfkd.models.text_layers import FirstPiece, TextMean, WordVectors
from tfkd.models.token_ids import token_ids

_PADDED_TO = (8, 16, 32, 64, 128, 256, 512)  # multiples to which libraries round the rows of a table up


def open_teacher(folder: Path, length: int, classes: int) -> keras.Model:
    """Opens a teacher with the weights in its folder.

    Its layout is that of teachers of images: input → `TokenIds` → a nested model "backbone" with features of a text
    [batch, width] → Dense "head". The head has random weights, unless the model is a fine-tuned classifier of as many
    classes. The weights are read into the current dtype policy of Keras.

    Args:
        folder: with config.json, vocab.txt and model.safetensors.
        length: of the input, in pieces with [CLS] and [SEP].
        classes: number of classes.

    Returns:
        A model from ids int32 [batch, length], 0 for padding, to logits [batch, classes].

    Raises:
        RequestError: a file is missing, damaged or does not fit the others, the model is not supported, or the length
            is beyond its positions.
    """
    config = read_config(folder)
    if not 2 <= length <= config.positions:
        raise RequestError(
            f"{folder} takes texts of 2 to {config.positions} pieces, [CLS] and [SEP] included, not of {length}."
        )
    pieces = read_vocabulary(folder, config).pieces
    weights = read_weights(folder, config, length)
    body = backbone(config, length)
    for layer in body.layers:
        if layer.weights:
            layer.set_weights(weights.arrays[layer.name])
    return _with_head(config, body, pieces, classes, weights)


def untrained_teacher(folder: Path, length: int, classes: int) -> keras.Model:
    """Builds a teacher with random weights; otherwise as `open_teacher`, except that the weights are not read."""
    config = read_config(folder)
    pieces = read_vocabulary(folder, config).pieces
    return _with_head(config, backbone(config, length), pieces, classes, BertWeights({}, []))


def read_vocabulary(folder: Path, config: BertConfig) -> Vocabulary:
    """Reads vocab.txt; a table may have more rows than pieces where it is padded to a multiple of 8 to 512.

    Raises:
        RequestError: the file is missing or damaged, or is not that of the table by its number of pieces.
    """
    path = folder / VOCABULARY
    if not path.is_file():
        raise RequestError(
            f"{folder} has no {VOCABULARY}; a model without one has another tokenizer than that of phones."
        )
    found = vocabulary.read(path)
    pieces = len(found)
    if config.pieces not in (pieces, *(-(-pieces // multiple) * multiple for multiple in _PADDED_TO)):
        advice = "" if pieces > config.pieces else " If tokens were added to it later, append them as lines."
        raise RequestError(
            f"{path} has {pieces:,} pieces, but the model has vectors for {config.pieces:,}; use the vocab.txt that "
            f"it was trained with.{advice}"
        )
    return found


def backbone(config: BertConfig, length: int) -> keras.Model:
    """Builds the encoder with random weights.

    Args:
        config: of the model.
        length: of the input.

    Returns:
        A model "backbone" from ids int32 [batch, length] to features [batch, width]. The names of its layers are those
        of `tfkd.models.transformer`.
    """
    ids = keras.Input((length,), dtype="int32", name="ids")
    vectors, mask = WordVectors(config.pieces, config.shape.width, name="words")(ids)
    x = transformer.embedded(keras, vectors, mask, config.shape)
    x = transformer.encoded(keras, x, mask, config.shape)
    if config.pooling == "mean":
        return keras.Model(ids, TextMean(name="pool")([x, mask]), name="backbone")
    x = FirstPiece(name="pool")(x)
    if config.pooling == "classifier":
        activation = "tanh" if config.kind == "bert" else "relu"
        x = keras.layers.Dense(config.shape.width, activation, name="pooler")(x)
    return keras.Model(ids, x, name="backbone")


def _with_head(
    config: BertConfig, body: keras.Model, pieces: tuple[str, ...], classes: int, weights: BertWeights
) -> keras.Model:
    ids, checked = token_ids(keras, pieces, body.input_shape[1])
    head = keras.layers.Dense(classes, name="head")
    model = keras.Model(ids, head(body(checked)), name=config.kind)
    if weights.classifier and len(config.labels) == classes:
        head.set_weights(weights.classifier)
    return model


def padding(model: keras.Model) -> str:
    """Returns how a teacher's table of word vectors is padded, "" where it is not."""
    pieces, rows = len(model.get_layer("token_ids").pieces), model.get_layer("backbone").get_layer("words").pieces
    return f", {rows:,} word vectors for the {pieces:,} pieces of its vocabulary (padded)" if rows > pieces else ""


def word_vectors(model: keras.Model) -> np.ndarray:
    """Returns the table of a teacher's word vectors, float32 [pieces of its vocabulary, width]."""
    pieces = len(model.get_layer("token_ids").pieces)
    table: Any = model.get_layer("backbone").get_layer("words").table
    return np.asarray(keras.ops.cast(table, "float32"))[:pieces]
