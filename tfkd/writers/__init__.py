"""Writes the exported files of a Keras student.

The records of `tfkd.formats` name the function that writes each format. The student is traced and frozen once, and all
writers start from that one graph.
"""

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.errors import RequestError
from tfkd.files import fingerprint
from tfkd.formats import FORMATS, FORMS, TIMED, load
from tfkd.labels import thresholds_text
from tfkd.recipe import Export
from tfkd.recipe.renamed import first_named
from tfkd.writers.records import MissingFile

# How files are judged, and where their sources lie.
_NOT_IN_THE_FILES = ("bench", "gates", "fit", "model", "labels", "vocabulary")


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
        thresholds: probabilities from which classes are predicted, by class; empty for the most probable class.
        score_threshold: probability from which the most probable class is a label; None for every example. Each file
            has its own, and only TFLite files have a place for it.
    """

    name: str
    classes: tuple[str, ...]
    author: str
    license: str
    version: str
    description: str
    origin: Mapping[str, str] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    score_threshold: float | None = None

    def with_score_threshold(self, threshold: float | None) -> "Card":
        """Returns the card of a file with a least probability; without one, or with 0, the same card."""
        return replace(self, score_threshold=threshold) if threshold else self

    def with_thresholds(self, thresholds: Mapping[str, float]) -> "Card":
        """Returns the card of files with thresholds; without any, the same card."""
        if not thresholds:
            return self
        origin = {**self.origin, "thresholds": thresholds_text(thresholds)}
        return replace(self, origin=origin, thresholds=dict(thresholds))


def card_of(recipe: Mapping[str, Any], classes: Iterable[str], data: str) -> Card:
    """Returns the card of a run's files; a bundle's manifest holds all that recreates it.

    Args:
        recipe: of the run, as JSON has it.
        classes: names, in order.
        data: fingerprint of the images.
    """
    recipe = first_named(recipe)
    made_from = {name: part for name, part in recipe.items() if name not in _NOT_IN_THE_FILES}
    made_from["export"] = {name: value for name, value in recipe["export"].items() if name != "require"}
    images = recipe.get("data")
    made_from["data"] = (
        {k: v for k, v in images.items() if k not in ("source", "outside")} if isinstance(images, Mapping) else None
    )
    origin = {
        "teacher": " + ".join(teacher["model"] for teacher in recipe.get("teachers", [])) or "none",
        "data_fingerprint": data,
        "recipe_fingerprint": fingerprint(made_from),
    }
    texts = {name: recipe["export"][name] for name in ("author", "license", "version", "description")}
    return Card(recipe["name"], tuple(classes), **texts, origin=origin)


@dataclass(frozen=True)
class Calibration:
    """How int8 and 16x8 files are quantized after training.

    Attributes:
        images: raw training examples, [n, ...] as golden files hold them, that set the ranges of the activations.
        ranges: of int8 activations; "min_max": all that was seen, "mse": the range with the least squared error.
        float_layers: operators of an int8 file that stay in float: those whose output's name holds one of these texts.
        io: "uint8": raw values 0..255 in, probabilities in 1/256 out; "int8": both less 128.
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
        return FORMATS[self.format].form(self.precision)


@dataclass(frozen=True)
class Exported:
    """What an export made, in the order of the recipe.

    Attributes:
        files: that were written.
        missing: requested files that cannot be made.
    """

    files: list[ExportedFile]
    missing: list[MissingFile]


def exported_files(export: Export, name: str) -> list[ExportedFile]:
    """Returns the files that an export writes, in the order in which it writes them."""
    return [exported_file(form, name, export.ios_target) for form in export.forms]


def exported_file(form: str, name: str, ios_target: int | None = None) -> ExportedFile:
    """Returns the file of a form such as `int8` or `mlpackage_int8`.

    Args:
        form: a name of `tfkd.formats.FORMS`.
        name: of the model.
        ios_target: the oldest iOS that takes the file; None for the oldest that it can have.
    """
    format, precision = FORMS[form]
    return ExportedFile(format.path(name, precision), format.name, precision, format.ios(precision, ios_target))


def check_installed(export: Export) -> None:
    """Checks that the libraries that an export needs are installed, before hours are spent on training.

    Raises:
        RequestError: an extra is missing.
    """
    for format, _ in map(FORMS.__getitem__, export.forms):
        if not all(importlib.util.find_spec(name) for name in format.modules):
            raise RequestError(
                f'export.{format.recipe_field} needs the extra "{format.extra}", which is not installed: '
                f'pip install "tfkd[{format.extra}]".'
            )


def export(
    student: Any,
    export: Export,
    card: Card,
    calibration: np.ndarray,
    folder: Path,
    progress: Callable[[str], None],
    quantized: Path | None = None,
) -> Exported:
    """Writes every file that the recipe names into `folder`; files that no converter can write are left out.

    Args:
        student: keras.Model, raw inputs of its signature to logits [None, classes]; softmax is added here.
        export: the files to write.
        card: what is written into them; `card.name` names them.
        calibration: raw training examples, [n, ...] as golden files hold them, that set the int8 ranges.
        folder: the bundle's folder; `android/`, `ios/` and `onnx/` are made in it.
        progress: called with the path of each file before it is written.
        quantized: the SavedModel that quantization-aware training left, from which the int8 file is then made.

    Raises:
        RequestError: the student has another input or output, or none of the timed files can be written.
    """
    from tfkd.writers.graph import frozen

    files = exported_files(export, card.name)
    quantization = Calibration(calibration, export.ranges, tuple(export.float_layers), export.int8_io)
    outcome = Exported([], [])
    with frozen(student, card) as graph:
        for file in files:
            progress(file.path)
            format = FORMATS[file.format]
            from_qat = format.precision(file.precision).from_qat
            try:
                if quantized and from_qat:
                    load(from_qat)(quantized, folder / file.path, card, graph.signature, export.int8_io)
                else:
                    load(format.writer)(graph, file, folder / file.path, card, quantization)
                outcome.files.append(file)
            except ConversionError as error:
                progress(f"{file.path} cannot be made. {error}")
                outcome.missing.append(_missing(file, error, export))
    _check_some_timed(outcome)
    return outcome


def _missing(file: ExportedFile, error: ConversionError, export: Export) -> MissingFile:
    reason = str(error).removeprefix(f"{file.path.rpartition('/')[2]}: ")
    return MissingFile(
        path=file.path,
        format=file.format,
        precision=file.precision,
        reason=reason,
        required=file.form in export.require,
    )


def _check_some_timed(outcome: Exported) -> None:
    """Raises RequestError where all files are missing that a bundle compares by size and latency."""
    lost = [file for file in outcome.missing if file.format in TIMED]
    if lost and not any(file.format in TIMED for file in outcome.files):
        raise RequestError(
            f"None of the .{lost[0].format} files can be made, which a bundle compares. {lost[0].reason}"
        )
