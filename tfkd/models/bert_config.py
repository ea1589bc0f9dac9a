"""The description of a BERT-family model in its folder: config.json, and how sentence transformers pool."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tfkd.errors import RequestError, enumerated
from tfkd.inputs.text.vocabulary import MOST_PIECES
from tfkd.models.transformer import EncoderShape
from tfkd.strict_json import JsonError, parsed, quoted

Pooling = Literal["mean", "cls", "classifier"]

CONFIG = "config.json"
_POOLING = "1_Pooling/config.json"
_SENTENCE_FILES = ("modules.json", "config_sentence_transformers.json")
_LARGEST_FILE = 1 << 24  # bytes
_ACTIVATIONS = ("gelu", "relu")
_CLASSIFIERS = ("BertForSequenceClassification", "DistilBertForSequenceClassification")

_NAMES = {
    "bert": {
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "width": "hidden_size",
        "inner": "intermediate_size",
        "dropout": "hidden_dropout_prob",
        "attention_dropout": "attention_probs_dropout_prob",
        "activation": "hidden_act",
    },
    "distilbert": {
        "layers": "n_layers",
        "heads": "n_heads",
        "width": "dim",
        "inner": "hidden_dim",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "activation": "activation",
    },
}
_OTHERS = {
    "roberta": "its tokenizer is byte-level BPE, which the text tokenizers of phones do not know",
    "xlm-roberta": "its tokenizer is SentencePiece, which the BERT tokenizer of phones is not",
}


@dataclass(frozen=True)
class BertConfig:
    """A model of the BERT family.

    Attributes:
        kind: "bert" (also TinyBERT and MiniLM) or "distilbert".
        pieces: rows of the table of word vectors.
        positions: the longest text, in pieces with [CLS] and [SEP].
        shape: of the encoder.
        pooling: how a text becomes one vector: by the mean over its pieces, by the vector of [CLS], or by what the
            model's own trained classifier takes.
        labels: names of the outputs of that classifier, in order.
    """

    kind: Literal["bert", "distilbert"]
    pieces: int
    positions: int
    shape: EncoderShape
    pooling: Pooling
    labels: tuple[str, ...] = ()


def read_config(folder: Path) -> BertConfig:
    """Reads config.json, and 1_Pooling/config.json where there is one.

    Raises:
        RequestError: a file is missing or damaged, or describes a model that is not supported.
    """
    path = folder / CONFIG
    values = _Values(path, _read(path))
    kind = _kind(values)
    names = _NAMES[kind]
    values.choice("position_embedding_type", ("absolute",))
    if values.content.get("is_decoder", False) is not False:
        raise RequestError(f"{path}: is_decoder is set, but a teacher of texts is an encoder.")
    shape = EncoderShape(
        layers=values.count(names["layers"], 128),
        heads=values.count(names["heads"], 1024),
        width=values.count(names["width"], 1 << 14),
        inner=values.count(names["inner"], 1 << 16),
        epsilon=values.number("layer_norm_eps", 1e-12, 1e-15, 0.1),
        dropout=values.number(names["dropout"], 0.1, 0.0, 0.99),
        attention_dropout=values.number(names["attention_dropout"], 0.1, 0.0, 0.99),
        activation=values.choice(names["activation"], _ACTIVATIONS),
    )
    if shape.width % shape.heads:
        raise RequestError(f"{path}: {shape.heads} heads do not divide the width {shape.width}.")
    labels = _labels(values)
    return BertConfig(
        kind=kind,
        pieces=values.count("vocab_size", MOST_PIECES),
        positions=values.count("max_position_embeddings", 1 << 16),
        shape=shape,
        pooling="classifier" if labels else _pooling(folder),
        labels=labels,
    )


@dataclass(frozen=True)
class _Values:
    """The values of a configuration, checked when they are read."""

    path: Path
    content: Mapping[str, Any]

    def count(self, name: str, largest: int) -> int:
        value = self.content.get(name)
        if type(value) is not int or not 1 <= value <= largest:
            raise RequestError(f"{self.path}: {name} is {quoted(value)}; it must be a whole number, 1 to {largest:,}.")
        return value

    def number(self, name: str, default: float, least: float, largest: float) -> float:
        value = self.content.get(name, default)
        if type(value) not in (int, float) or not least <= value <= largest or not math.isfinite(value):
            raise RequestError(f"{self.path}: {name} is {quoted(value)}; it must be {least:g} to {largest:g}.")
        return float(value)

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        value = self.content.get(name, known[0])
        if value not in known:
            raise RequestError(f"{self.path}: {name} is {quoted(value)}; supported: {enumerated(known)}.")
        return str(value)


def _read(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        RequestError: the file cannot be read, or is no JSON object.
    """
    if not path.is_file():
        raise RequestError(
            f"{path.parent} has no {path.name}; give a folder that save_pretrained of a BERT model wrote."
        )
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise JsonError(f"is larger than {_LARGEST_FILE >> 20} MiB")
        value = parsed(content)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.") from None
    except JsonError as error:
        raise RequestError(f"{path} {error}.") from None
    if not isinstance(value, dict):
        raise RequestError(f"{path} holds a {type(value).__name__}, not a JSON object.")
    return value


def _kind(values: _Values) -> Literal["bert", "distilbert"]:
    """Returns the family; the published TinyBERT files, which say none, are of BERT."""
    kind = values.content.get("model_type", "bert")
    if kind == "bert" or kind == "distilbert":
        return kind
    reason = f": {_OTHERS[kind]}" if isinstance(kind, str) and kind in _OTHERS else ""
    raise RequestError(
        f"{values.path}: model_type is {quoted(kind)}, which is not supported{reason}. Supported: "
        f"{enumerated(list(_NAMES))} (also TinyBERT and MiniLM); give the predictions of any other model as a file."
    )


def _labels(values: _Values) -> tuple[str, ...]:
    """Returns the names of the classes of a fine-tuned classifier; none of another model."""
    architectures = values.content.get("architectures")
    if not isinstance(architectures, list) or not any(each in architectures for each in _CLASSIFIERS):
        return ()
    labels = values.content.get("id2label", {"0": "LABEL_0", "1": "LABEL_1"})
    numbers = [str(number) for number in range(len(labels))] if isinstance(labels, dict) else []
    if not numbers or set(labels) != set(numbers) or not all(isinstance(name, str) for name in labels.values()):
        raise RequestError(f"{values.path}: id2label is {quoted(labels)}; it must name the classes by 0, 1 and so on.")
    if values.content.get("problem_type") == "multi_label_classification":
        raise RequestError(f"{values.path}: the model gives several labels per text; a classifier here gives one.")
    return tuple(labels[number] for number in numbers)


def _pooling(folder: Path) -> Literal["mean", "cls"]:
    path = folder / _POOLING
    if not path.is_file():
        return "mean" if any((folder / name).is_file() for name in _SENTENCE_FILES) else "cls"
    values = _read(path)
    chosen = [name for name, value in values.items() if name.startswith("pooling_mode_") and value is True]
    chosen += [f"pooling_mode_{values['pooling_mode']}"] if "pooling_mode" in values else []
    if chosen in (["pooling_mode_mean_tokens"], ["pooling_mode_mean"]):
        return "mean"
    if chosen in (["pooling_mode_cls_token"], ["pooling_mode_cls"]):
        return "cls"
    raise RequestError(
        f"{path}: pools by {quoted(chosen)}; supported: pooling_mode_mean_tokens or pooling_mode_cls_token alone."
    )
