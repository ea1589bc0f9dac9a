"""Writes the files that an app takes: a Keras student goes in, TFLite and Core ML files come out.

Every kind of file has one line in `FORMATS`: its name and the module whose
`write(graph, file, path, card, calibration)` writes it. The student is traced and frozen once, and all writers start
from that one graph.
"""

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import RequestError
from tfkd.files import fingerprint
from tfkd.recipe import CoremlForm, Export, oldest_ios
from tfkd.writers.records import MissingFile

FORMATS = {
    "tflite": "tfkd.writers.tflite",
    "mlmodel": "tfkd.writers.coreml",
    "mlpackage": "tfkd.writers.coreml",
    "onnx": "tfkd.writers.onnx",
}

# A neural network is stored in fp32; a program in fp16, the only type that Apple's Neural Engine computes in.
_USUAL_PRECISION = {"mlmodel": "fp32", "mlpackage": "fp16"}
_NEWEST_NETWORK = 14  # iOS; later ones have added nothing to neural networks
_NOT_IN_THE_FILES = ("bench", "gates", "model", "labels")  # how files are judged, and where their sources lie


class ConversionError(RequestError):
    """A converter cannot write the network in one form; other forms may still be written."""


@dataclass(frozen=True)
class Card:
    """What is written into every file beside the network itself.

    Attributes:
        name: of the model.
        classes: in the order of the output.
        author: who made it.
        license: under which it may be used.
        version: of the model.
        description: what it does.
        origin: what it was made of, by name; only Core ML files have a place for it.
    """

    name: str
    classes: tuple[str, ...]
    author: str
    license: str
    version: str
    description: str
    origin: Mapping[str, str] = field(default_factory=dict)


def card_of(asked: Mapping[str, Any], classes: Iterable[str], data: str) -> Card:
    """Returns the card of a run's files; a bundle's manifest holds all that it takes to make the same one again.

    Args:
        asked: the run's recipe, as JSON has it.
        classes: names, in order.
        data: fingerprint of the images.
    """
    made_from = {name: part for name, part in asked.items() if name not in _NOT_IN_THE_FILES}
    made_from["export"] = {name: value for name, value in asked["export"].items() if name != "require"}
    images = asked.get("data")
    made_from["data"] = {k: v for k, v in images.items() if k != "source"} if isinstance(images, Mapping) else None
    origin = {
        "teacher": " + ".join(teacher["model"] for teacher in asked.get("teachers", [])) or "none",
        "data_fingerprint": data,
        "recipe_fingerprint": fingerprint(made_from),
    }
    texts = {name: asked["export"][name] for name in ("author", "license", "version", "description")}
    return Card(asked["name"], tuple(classes), **texts, origin=origin)


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
    """One file of a bundle; `path` is relative to the bundle, with forward slashes.

    `ios` is the oldest iOS that takes it, where it is a Core ML file.
    """

    path: str
    format: str
    precision: str
    ios: int | None = None

    @property
    def form(self) -> str:
        """The file's name in a recipe: of `export.tflite`, `export.coreml`, or onnx."""
        if self.format == "tflite":
            return self.precision
        usual = _USUAL_PRECISION.get(self.format, self.precision)
        return self.format if self.precision == usual else f"{self.format}_{self.precision}"


@dataclass(frozen=True)
class Exported:
    """What an export made, in the order of the recipe.

    Attributes:
        files: that were written.
        missing: that were asked for and cannot be made.
    """

    files: list[ExportedFile]
    missing: list[MissingFile]


def exported_files(export: Export, name: str) -> list[ExportedFile]:
    """Returns the files that an export writes, in the order in which it writes them."""
    android = [ExportedFile(f"android/{name}_{kind}.tflite", "tflite", kind) for kind in export.tflite]
    ios = [coreml_file(form, f"ios/{name}", export.ios_target) for form in export.coreml]
    return android + ios + ([ExportedFile(f"onnx/{name}.onnx", "onnx", "fp32")] if export.onnx else [])


def check_installed(export: Export) -> None:
    """Asks for the libraries of an export before hours are spent on what it is of.

    Raises:
        RequestError: an extra is missing.
    """
    if export.onnx and not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime", "tf2onnx")):
        raise RequestError('export.onnx needs the extra "onnx", which is not installed: pip install "tfkd[onnx]".')


def coreml_file(form: CoremlForm, stem: str, ios_target: int | None = None) -> ExportedFile:
    """Returns the file of a form such as `mlpackage_int8`; the usual precisions do not stand in its name.

    iOS 14 is the newest that changes what a neural network (.mlmodel) may hold.
    """
    format, _, precision = form.partition("_")
    path = f"{stem}_{precision}.{format}" if precision else f"{stem}.{format}"
    ios = max(oldest_ios(form), ios_target or 0)
    ios = min(ios, _NEWEST_NETWORK) if format == "mlmodel" else ios
    return ExportedFile(path, format, precision or _USUAL_PRECISION[format], ios)


def export(
    student: Any,
    export: Export,
    card: Card,
    calibration: np.ndarray,
    folder: Path,
    progress: Callable[[str], None],
    quantized: Path | None = None,
) -> Exported:
    """Writes every file that the recipe names into `folder`; one that no converter can write is left out.

    Args:
        student: keras.Model, float32 [None, S, S, 3] raw RGB 0..255 to logits [None, classes]; softmax is added here.
        export: the files to write.
        card: what is written into them; `card.name` names them.
        calibration: uint8 [n, S, S, 3], real training images that set the int8 ranges.
        folder: the bundle's folder; `android/`, `ios/` and `onnx/` are made in it.
        progress: called with the path of each file before it is written.
        quantized: the SavedModel that quantization-aware training left, from which the int8 file is then made.

    Raises:
        RequestError: the student has another input or output, or not one .tflite file of several can be written.
    """
    from tfkd.writers.graph import frozen

    files = exported_files(export, card.name)
    asked = Calibration(calibration, export.ranges, tuple(export.float_layers), export.int8_io)
    made = Exported([], [])
    with frozen(student, card) as graph:
        for file in files:
            progress(file.path)
            writer = importlib.import_module(FORMATS[file.format])
            try:
                if quantized and (file.format, file.precision) == ("tflite", "int8"):
                    writer.write_quantized(quantized, folder / file.path, card, graph.size, export.int8_io)
                else:
                    writer.write(graph, file, folder / file.path, card, asked)
                made.files.append(file)
            except ConversionError as error:
                progress(f"{file.path} cannot be made. {error}")
                made.missing.append(_missing(file, error, export))
    _check_some_tflite(made)
    return made


def _missing(file: ExportedFile, error: ConversionError, export: Export) -> MissingFile:
    reason = str(error).removeprefix(f"{file.path.rpartition('/')[2]}: ")
    return MissingFile(
        path=file.path,
        format=file.format,
        precision=file.precision,
        reason=reason,
        required=file.form in export.require,
    )


def _check_some_tflite(made: Exported) -> None:
    """Raises RequestError where all .tflite files are missing: a bundle's sizes and latencies are of those."""
    lost = [file for file in made.missing if file.format == "tflite"]
    if lost and not any(file.format == "tflite" for file in made.files):
        raise RequestError(f"None of the .tflite files can be made, which a bundle compares. {lost[0].reason}")
