"""The start of a student of texts from a BERT model: its word vectors, and for a transformer some of its layers.

A control starts from the same weights.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfkd.errors import RequestError
from tfkd.inputs.text.bert_folders import folder_of
from tfkd.inputs.text.vocabulary import CONTINUATION, UNKNOWN, Vocabulary
from tfkd.models.bert import read_vocabulary
from tfkd.models.bert_config import BertConfig, read_config
from tfkd.models.bert_weights import read_weights, word_vectors
from tfkd.models.layers import channels
from tfkd.recipe import Student

_BASE = 128  # width of hidden states at width 1
_PARTS = ("query", "key", "value", "output", "attention_norm", "inner", "outer", "norm")


def vector_width(student: Student) -> int:
    """Returns the width of a student's word vectors: its own, or that of the BERT model if that is smaller."""
    return min(channels(_BASE * student.width), read_config(folder_of(student.weights)).shape.width)


def load(model: Any, student: Student, pieces: Sequence[str]) -> None:
    """Copies word vectors, and layers of a transformer, to a student.

    A piece that the BERT model does not know, which is a character, starts from the vector of [UNK]. Narrower vectors
    are the principal components of the copied ones.

    Args:
        model: the student.
        student: its block of the recipe; `weights` is the name or the folder of the BERT model.
        pieces: vocabulary of the student.

    Raises:
        RequestError: a file is missing or damaged, the vocabulary is of another tokenizer, or the shapes differ.
    """
    folder = folder_of(student.weights)
    config = read_config(folder)
    rows = _rows(pieces, read_vocabulary(folder, config), student.weights)
    words = model.get_layer("words")
    words.set_weights([_reduced(word_vectors(folder, config)[rows], words.width)])
    if student.model != "text_transformer" or student.teacher_layers == []:
        return
    length = model.input_shape[1]
    _require_same_shape(model, student, config, length)
    arrays = read_weights(folder, config, length).arrays
    for name in ("positions", "embedded_norm"):
        model.get_layer(name).set_weights(arrays[name])
    for number, source in enumerate(_layers(student, config)):
        for part in _PARTS:
            model.get_layer(f"layer_{number}_{part}").set_weights(arrays[f"layer_{source}_{part}"])


def _rows(pieces: Sequence[str], known: Vocabulary, weights: str) -> np.ndarray:
    """Returns the number of the word vector of each piece."""
    strange = [piece for piece in pieces if piece not in known.ids and len(piece.removeprefix(CONTINUATION)) > 1]
    if strange:
        raise RequestError(
            f"{len(strange):,} of the student's {len(pieces):,} pieces, such as {strange[0]!r}, are not in the "
            f"vocabulary of {weights}, whose word vectors it starts from; set data.vocabulary={weights}, or "
            "student.weights=none."
        )
    return np.array([known.ids.get(piece, known.ids[UNKNOWN]) for piece in pieces])


def _reduced(vectors: np.ndarray, width: int) -> np.ndarray:
    """Returns vectors, float32 [n, width], whose scalar products are as near as possible to those of the given ones."""
    if width == vectors.shape[1]:
        return vectors
    products = vectors.astype(np.float64).T @ vectors
    components = np.linalg.eigh(products)[1][:, ::-1][:, :width]
    signs = np.sign(components[np.abs(components).argmax(axis=0), np.arange(width)])
    return (vectors @ (components * signs)).astype(np.float32)


def _layers(student: Student, config: BertConfig) -> list[int]:
    """Returns the layers that are copied, by default from the first to the last at equal distances, as DistilBERT."""
    if student.teacher_layers is None:
        return [round(number) for number in np.linspace(0, config.shape.layers - 1, student.layers).tolist()]
    chosen = student.teacher_layers
    if len(chosen) != student.layers or max(chosen) >= config.shape.layers or min(chosen) < 0:
        raise RequestError(
            f"student.teacher_layers = {chosen} must name {student.layers} of the {config.shape.layers} layers of "
            f"{student.weights}, from 0."
        )
    return chosen


def _require_same_shape(model: Any, student: Student, config: BertConfig, length: int) -> None:
    shape = config.shape
    width, inner = (model.get_layer(f"layer_0_{part}").units for part in ("query", "inner"))
    alone = "or set student.teacher_layers=none to copy the word vectors alone"
    if (width, student.heads) != (shape.width, shape.heads):
        raise RequestError(
            f"text_transformer has hidden states of {width} with {student.heads} heads, {student.weights} of "
            f"{shape.width} with {shape.heads}; set student.width={shape.width / _BASE:g} and student.heads="
            f"{shape.heads}, {alone}."
        )
    if inner != shape.inner or shape.activation != "gelu" or length > config.positions:
        raise RequestError(
            f"text_transformer has {inner} inner units, gelu and {length} positions, {student.weights} has "
            f"{shape.inner}, {shape.activation} and {config.positions}: no layer fits; use another teacher, {alone}."
        )
