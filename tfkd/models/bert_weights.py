"""The tensors of model.safetensors in a BERT-family folder, as the weights of Keras layers."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkd.errors import RequestError
from tfkd.models.bert_config import BertConfig
from tfkd.models.safetensors_file import SafetensorsFile

WEIGHTS = "model.safetensors"
_OTHER_FILES = ("pytorch_model.bin", "tf_model.h5", "model.safetensors.index.json")
_PREFIXES = ("", "bert.", "distilbert.", "model.")
_WORDS = "embeddings.word_embeddings.weight"

# The parts of an encoder layer by the ends of the names of Keras's layers.
_PARTS = {
    "bert": {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "inner": "intermediate.dense",
        "outer": "output.dense",
        "norm": "output.LayerNorm",
    },
    "distilbert": {
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "output": "attention.out_lin",
        "attention_norm": "sa_layer_norm",
        "inner": "ffn.lin1",
        "outer": "ffn.lin2",
        "norm": "output_layer_norm",
    },
}
_LAYERS = {"bert": "encoder.layer", "distilbert": "transformer.layer"}


@dataclass(frozen=True)
class BertWeights:
    """Weights of a model.

    Attributes:
        arrays: those of each layer of the backbone, by its name, in Keras's order.
        classifier: kernel [width, classes] and bias of a fine-tuned classifier, or empty.
    """

    arrays: dict[str, list[np.ndarray]]
    classifier: list[np.ndarray]


def read_weights(folder: Path, config: BertConfig, length: int) -> BertWeights:
    """Reads the weights of a backbone; further tensors, such as TinyBERT's fit_dense, are ignored.

    The vector of the first segment is added to those of the positions, as a classifier has one segment.

    Args:
        folder: of the model.
        config: of the model.
        length: of the input.

    Raises:
        RequestError: the file is missing or damaged, or does not hold what config.json says.
    """
    tensors = _Tensors(_opened(folder))
    width = config.shape.width
    positions = tensors.array("embeddings.position_embeddings.weight", (config.positions, width))[:length]
    if config.kind == "bert":
        positions = positions + tensors.first_row("embeddings.token_type_embeddings.weight", width)
    arrays = {
        "words": [tensors.array(_WORDS, (config.pieces, width))],
        "positions": [positions],
        "embedded_norm": tensors.norm("embeddings.LayerNorm", width),
    }
    for number in range(config.shape.layers):
        arrays |= _layer(tensors, config, number)
    if config.pooling != "classifier":
        return BertWeights(arrays, [])
    if config.kind == "bert":
        arrays["pooler"] = tensors.dense("pooler.dense", width, width)
    else:
        arrays["pooler"] = tensors.dense("pre_classifier", width, width, inside=False)
    return BertWeights(arrays, tensors.dense("classifier", width, len(config.labels), inside=False))


def word_vectors(folder: Path, config: BertConfig) -> np.ndarray:
    """Reads the word vectors alone, float32 [pieces, width]; errors as of `read_weights`."""
    return _Tensors(_opened(folder)).array(_WORDS, (config.pieces, config.shape.width))


def _layer(tensors: "_Tensors", config: BertConfig, number: int) -> dict[str, list[np.ndarray]]:
    width, inner = config.shape.width, config.shape.inner
    sizes = {"inner": (width, inner), "outer": (inner, width)}
    found = {}
    for part, name in _PARTS[config.kind].items():
        whole, size = f"{_LAYERS[config.kind]}.{number}.{name}", sizes.get(part, (width, width))
        arrays = tensors.norm(whole, width) if part.endswith("norm") else tensors.dense(whole, *size)
        found[f"layer_{number}_{part}"] = arrays
    return found


class _Tensors:
    """The tensors of a file, checked against the sizes of config.json before they are read."""

    def __init__(self, file: SafetensorsFile) -> None:
        self._file = file
        found = [prefix for prefix in _PREFIXES if prefix + _WORDS in file]
        if not found:
            raise RequestError(f"{file.path} has no tensor {_WORDS!r}; it is not of the BERT family.")
        self._prefix = found[0]

    def array(self, name: str, shape: tuple[int, ...], inside: bool = True) -> np.ndarray:
        """Returns a float tensor of a shape; with `inside`, its name follows the prefix of the encoder."""
        whole = self._prefix + name if inside else name
        if whole not in self._file:
            raise RequestError(
                f"{self._file.path} has no tensor {whole!r}, which a model as config.json describes it has; use the "
                "config.json that belongs to it."
            )
        if self._file.shape(whole) != shape:
            raise RequestError(
                f"{self._file.path}: {whole!r} is {list(self._file.shape(whole))}, not {list(shape)} as config.json "
                "says; use the config.json that belongs to it."
            )
        return self._float(whole)

    def first_row(self, name: str, width: int) -> np.ndarray:
        """Returns the first row of a table with any number of rows."""
        rows = max((*self._file.shape(self._prefix + name)[:1], 1))
        return self.array(name, (rows, width))[0]

    def dense(self, name: str, inputs: int, outputs: int, inside: bool = True) -> list[np.ndarray]:
        """Returns the kernel [inputs, outputs] and the bias of a linear layer."""
        kernel = self.array(f"{name}.weight", (outputs, inputs), inside)
        return [kernel.T, self.array(f"{name}.bias", (outputs,), inside)]

    def norm(self, name: str, width: int) -> list[np.ndarray]:
        """Returns the scale and the offset of a normalisation; old files call them gamma and beta."""
        names = ("gamma", "beta") if f"{self._prefix}{name}.gamma" in self._file else ("weight", "bias")
        return [self.array(f"{name}.{each}", (width,)) for each in names]

    def _float(self, name: str) -> np.ndarray:
        values = self._file[name]
        if values.dtype.kind != "f":
            raise RequestError(f"{self._file.path}: {name!r} holds {values.dtype}; give weights of floating point.")
        return values.astype(np.float32, copy=False)


def _opened(folder: Path) -> SafetensorsFile:
    path = folder / WEIGHTS
    if not path.is_file():
        others = _present(folder, _OTHER_FILES)
        advice = "save it as one file: model.save_pretrained(folder, max_shard_size='100GB')" if others else "add it"
        raise RequestError(f"{folder} has no {WEIGHTS}{others}; {advice}.")
    return SafetensorsFile(path)


def _present(folder: Path, names: Iterable[str]) -> str:
    return next((f", but {name}" for name in names if (folder / name).is_file()), "")
