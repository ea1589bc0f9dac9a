"""Small folders of BERT-family models with random weights, and a NumPy float64 reference of their computation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import erf

from tests.models.safetensors import written
from tfkd.inputs.text.vocabulary import SPECIAL

PIECES, POSITIONS, WIDTH, INNER, HEADS, LAYERS = 50, 24, 32, 64, 4, 2
CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": PIECES,
    "max_position_embeddings": POSITIONS,
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
}
DISTIL_CONFIG: dict[str, Any] = {
    "model_type": "distilbert",
    "vocab_size": PIECES,
    "max_position_embeddings": POSITIONS,
    "dim": WIDTH,
    "hidden_dim": INNER,
    "n_heads": HEADS,
    "n_layers": LAYERS,
    "activation": "gelu",
}
_DISTIL_NAMES = (
    ("encoder.layer", "transformer.layer"),
    ("attention.self.query", "attention.q_lin"),
    ("attention.self.key", "attention.k_lin"),
    ("attention.self.value", "attention.v_lin"),
    ("attention.output.dense", "attention.out_lin"),
    ("attention.output.LayerNorm", "sa_layer_norm"),
    ("intermediate.dense", "ffn.lin1"),
    ("output.dense", "ffn.lin2"),
    ("output.LayerNorm", "output_layer_norm"),
)


def tensors(inner: int = INNER) -> dict[str, np.ndarray]:
    """Returns the tensors of a BERT by their names without a prefix; `inner` is the width within a layer."""
    rng = np.random.default_rng(5)
    found: dict[str, np.ndarray] = {}

    def add(name: str, *shape: int) -> None:
        found[name] = rng.normal(0, 0.3, shape).astype(np.float32)

    def linear(name: str, inputs: int, outputs: int) -> None:
        add(f"{name}.weight", outputs, inputs)
        add(f"{name}.bias", outputs)

    def norm(name: str) -> None:
        linear(name, 0, WIDTH)
        found[f"{name}.weight"] = rng.uniform(0.5, 1.5, WIDTH).astype(np.float32)

    for name, rows in (("word", PIECES), ("position", POSITIONS), ("token_type", 2)):
        add(f"embeddings.{name}_embeddings.weight", rows, WIDTH)
    norm("embeddings.LayerNorm")
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"{layer}.attention.{part}", WIDTH, WIDTH)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", WIDTH, inner)
        linear(f"{layer}.output.dense", inner, WIDTH)
        norm(f"{layer}.output.LayerNorm")
    linear("pooler.dense", WIDTH, WIDTH)
    return found


def of_distilbert(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the tensors of a BERT under DistilBERT's names; that has no segments and no pooler."""
    renamed = {}
    for name, value in values.items():
        for old, new in _DISTIL_NAMES:
            name = name.replace(old, new)
        renamed[name] = value
    return {name: value for name, value in renamed.items() if "token_type" not in name and "pooler" not in name}


def write_folder(
    folder: Path,
    values: Mapping[str, np.ndarray],
    config: Mapping[str, Any] = CONFIG,
    prefix: str = "",
    pieces: int = PIECES,
    **files: Any,
) -> Path:
    """Writes a folder; further files are JSON, such as `modules=[]` for modules.json."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(config)))
    words = [*SPECIAL, *(f"word{number}" for number in range(pieces - len(SPECIAL)))]
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    outside = ("classifier.", "pre_classifier.", "fit_dense.")
    written(folder, {(name if name.startswith(outside) else prefix + name): each for name, each in values.items()})
    for name, content in files.items():
        path = folder / {"pooling": "1_Pooling/config.json"}.get(name, f"{name}.json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def texts(length: int, count: int = 3) -> np.ndarray:
    """Returns ids of texts of different lengths, int32 [count, length], with padding behind them."""
    ids = np.random.default_rng(2).integers(4, PIECES, (count, length))
    for row, text in enumerate(ids):
        text[4 + 2 * row :] = 0
    ids[:, 0] = SPECIAL.index("[CLS]")
    return ids.astype(np.int32)


def reference(values: Mapping[str, np.ndarray], ids: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Computes hidden states, attention logits and features of each text without its padding, in float64."""
    wide = {name: each.astype(np.float64) for name, each in values.items()}
    return [_text(wide, row[row != 0]) for row in ids]


def _text(w: Mapping[str, np.ndarray], ids: np.ndarray) -> dict[str, np.ndarray]:
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = _norm(x + w["embeddings.token_type_embeddings.weight"][0], w, "embeddings.LayerNorm")
    found = {"embedded": x}
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        queries, keys, vectors = (
            _linear(x, w, f"{layer}.attention.self.{part}").reshape(len(ids), HEADS, -1).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        logits = queries @ keys.swapaxes(1, 2) / np.sqrt(WIDTH / HEADS)
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        summed = (powers / powers.sum(-1, keepdims=True)) @ vectors
        attended = _linear(summed.swapaxes(0, 1).reshape(len(ids), -1), w, f"{layer}.attention.output.dense")
        x = _norm(x + attended, w, f"{layer}.attention.output.LayerNorm")
        inner = _linear(x, w, f"{layer}.intermediate.dense")
        inner = inner * (1 + erf(inner / np.sqrt(2))) / 2
        x = _norm(x + _linear(inner, w, f"{layer}.output.dense"), w, f"{layer}.output.LayerNorm")
        found |= {f"layer_{number}_attention_logits": logits, f"layer_{number}_hidden": x}
    pooled = np.tanh(_linear(x[0], w, "pooler.dense"))
    return found | {"mean": x.mean(0), "cls": x[0], "pooler": pooled}


def _linear(x: np.ndarray, w: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _norm(x: np.ndarray, w: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    centered = x - x.mean(-1, keepdims=True)
    scaled = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-12)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]
