"""Writes the files that an app takes: a Keras student goes in, TFLite and Core ML files come out.

Every kind of file has one line in `FORMATS`: its name and the module whose
`write(graph, file, path, card, calibration)` writes it. The student is traced and frozen once, and all writers start
from that one graph.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd import recipe

FORMATS = {
    "tflite": "tfkd.export.tflite",
    "mlmodel": "tfkd.export.coreml",
    "mlpackage": "tfkd.export.coreml",
}

# A neural network is stored in fp32; a program in fp16, the only type that Apple's Neural Engine computes in.
COREML_PRECISION = {"mlmodel": "fp32", "mlpackage": "fp16"}


@dataclass(frozen=True)
class Card:
    """What is written into every file beside the network itself."""

    name: str
    classes: tuple[str, ...]
    author: str
    license: str
    version: str
    description: str


@dataclass(frozen=True)
class Calibration:
    """How int8 and 16x8 files are quantized after training.

    Attributes:
        images: uint8 [n, S, S, 3], real training images that set the ranges of the activations.
        ranges: of int8 activations; "min_max": all that was seen, "mse": the range with the least squared error.
        float_layers: operators of an int8 file that stay in float: those whose output's name holds one of these texts.
        io: "uint8": pixels 0..255 in, probabilities in 1/256 out; "int8": both less 128.
    """

    images: np.ndarray
    ranges: str = "min_max"
    float_layers: tuple[str, ...] = ()
    io: str = "uint8"


@dataclass(frozen=True)
class ExportedFile:
    """One file of a bundle; `path` is relative to the bundle, with forward slashes."""

    path: str
    format: str
    precision: str


def exported_files(export: recipe.Export, name: str) -> list[ExportedFile]:
    """Returns the files that an export writes, in the order in which it writes them."""
    android = [ExportedFile(f"android/{name}_{kind}.tflite", "tflite", kind) for kind in export.tflite]
    ios = [ExportedFile(f"ios/{name}.{kind}", kind, COREML_PRECISION[kind]) for kind in export.coreml]
    return android + ios


def export(
    student: Any,
    export: recipe.Export,
    card: Card,
    calibration: np.ndarray,
    folder: Path,
    progress: Callable[[str], None],
    quantized: Path | None = None,
) -> list[ExportedFile]:
    """Writes every file that the recipe names into `folder`.

    Args:
        student: keras.Model, float32 [None, S, S, 3] raw RGB 0..255 to logits [None, classes]; softmax is added here.
        export: the files to write.
        card: what is written into them; `card.name` names them.
        calibration: uint8 [n, S, S, 3], real training images that set the int8 ranges.
        folder: the bundle's folder; `android/` and `ios/` are made in it.
        progress: called with the path of each file before it is written.
        quantized: the SavedModel that quantization-aware training left, from which the int8 file is then made.

    Raises:
        RequestError: the student has another input or output, or a converter cannot write it.
    """
    from tfkd.export.graph import frozen

    files = exported_files(export, card.name)
    asked = Calibration(calibration, export.ranges, tuple(export.float_layers), export.int8_io)
    with frozen(student, card) as graph:
        for file in files:
            progress(file.path)
            writer = importlib.import_module(FORMATS[file.format])
            if quantized and file.precision == "int8":
                writer.write_quantized(quantized, folder / file.path, card, graph.size, export.int8_io)
            else:
                writer.write(graph, file, folder / file.path, card, asked)
    return files
