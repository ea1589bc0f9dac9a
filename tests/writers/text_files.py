"""Tiny classifiers of texts, each exported once, and the probabilities that Keras gives for many texts."""

import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.models import bert_folders
from tfkd.inputs.text.tensors import signature_of
from tfkd.inputs.text.tokenizer import Tokenizer
from tfkd.inputs.text.vocabulary import SPECIAL, Vocabulary
from tfkd.models import bert, text_students
from tfkd.recipe import Export
from tfkd.signature import Signature
from tfkd.writers import Card, ExportedFile, export
from tfkd.writers.records import MissingFile

LENGTH = 16
PIECES = (*SPECIAL, *(f"word{number}" for number in range(290)), "##s", "##ly", "café", ",", "?", "\u2028")
CARD = Card(
    "intents",
    ("lost card", "top up", "größerer Betrag", "other"),
    "Ada",
    "MIT",
    "3",
    "Sorts questions",
    origin={"teacher": "large"},
)
MODELS = ("word_average", "text_convolution", "text_transformer", "bert")
_SPREAD = 2.0  # standard deviation of the logits: those of a random network are nearly the same for all texts


@dataclass(frozen=True)
class TextFiles:
    """What an export wrote, and what it was made from."""

    model: Any
    signature: Signature
    folder: Path
    files: list[ExportedFile]
    missing: list[MissingFile]

    def path(self, ending: str) -> Path:
        (file,) = [file for file in self.files if file.path.endswith(ending)]
        return self.folder / file.path

    def ids(self, texts: list[str]) -> np.ndarray:
        return ids_of(self.signature.pieces, texts)

    def probabilities(self, ids: np.ndarray) -> np.ndarray:
        return tf.nn.softmax(self.model(ids, training=False)).numpy()


@cache
def texts(count: int = 120) -> list[str]:
    """Returns texts of all lengths with unknown words, accents and delimiters; the first has no word."""
    rng = random.Random(3)
    words = [f"word{number}" for number in range(300)] + [
        "Word1s",
        "word7ly",
        "café",
        "CAFÉ",
        ",",
        "?!",
        "\u2028",
        "😀",
    ]
    return [" ".join(rng.choices(words, k=number % 22)) for number in range(count)]


def ids_of(pieces: tuple[str, ...], given: list[str]) -> np.ndarray:
    return Tokenizer(Vocabulary(pieces)).encode(given, LENGTH).ids


def built(name: str, folder: Path) -> Any:
    keras.utils.set_random_seed(5)
    if name == "bert":
        values = bert_folders.tensors()
        model = bert.open_teacher(bert_folders.write_folder(folder, values), LENGTH, len(CARD.classes))
    else:
        shape = {"layers": 1} if name == "text_transformer" else {}
        build = getattr(text_students, name)
        model = build(keras, length=LENGTH, pieces=PIECES, classes=len(CARD.classes), width=0.25, dropout=0.1, **shape)
    kernel, bias = model.layers[-1].get_weights()
    logits = model(ids_of(signature_of(model).pieces, texts()), training=False)
    model.layers[-1].set_weights([kernel * (_SPREAD / np.std(logits, axis=0).mean()), bias])
    return model


def exported(name: str, folder: Path) -> TextFiles:
    """Exports a network to the files that show something which those of the other networks do not."""
    tflite = {
        "word_average": ["fp32", "fp16", "dynamic", "int8", "16x8"],
        "text_convolution": ["fp32", "dynamic", "int8"],
        "text_transformer": ["fp32", "fp16", "dynamic", "int8"],
        "bert": ["fp32"],
    }[name]
    coreml = ["mlmodel", "mlpackage", "mlpackage_fp32"] if name == "word_average" else ["mlpackage_fp32"]
    ios_target = 18 if name == "word_average" else None
    settings = Export(tflite=tflite, coreml=coreml, ios_target=ios_target, onnx=name != "bert")
    model = built(name, folder / "bert")
    calibration = ids_of(signature_of(model).pieces, texts())
    outcome = export(model, settings, CARD, calibration, folder, lambda path: None)
    return TextFiles(model, signature_of(model), folder, outcome.files, outcome.missing)
