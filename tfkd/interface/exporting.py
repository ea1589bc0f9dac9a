"""`tfkd.export`: a verified bundle of a trained classifier, from memory or from a file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkd import arguments
from tfkd.arguments import PathLike
from tfkd.errors import RequestError
from tfkd.files import write_text
from tfkd.inputs import kind_of_examples
from tfkd.interface.calls import public_call, source_of
from tfkd.interface.results import ExportReport
from tfkd.labels import LABELS, labels_text, read_labels
from tfkd.pipeline import own_model, own_request
from tfkd.progress import for_caller

if TYPE_CHECKING:
    import keras

_LABELS = "the class names in the order of the outputs, or the path of a text file with one per line"


@public_call()
def export(
    model: "keras.Model | PathLike",
    *overrides: str,
    labels: Sequence[str] | PathLike,
    data: PathLike | tuple[Any, Any],
    normalization: str = "none",
    name: str | None = None,
    tflite: Sequence[str] | None = None,
    coreml: Sequence[str] | None = None,
    onnx: bool = False,
    allow_code: bool = False,
    imports: Sequence[str] = (),
    image_size: int | None = None,
    vocabulary: PathLike | None = None,
    tokens: int | None = None,
    runs: PathLike = "runs",
    out: PathLike = "exported_models",
    progress: bool | None = None,
) -> ExportReport:
    """Exports a trained classifier as a verified bundle, as `tfkd export` does.

    Args:
        model: a keras.Model, or the path of a `.keras` or `.h5` file or of a SavedModel.
        overrides: fields of `export`, `gates` and `bench` to change, e.g. `export.license=MIT`.
        labels: the class names in the order of the outputs, or the path of a text file with one per line.
        data: examples to measure on: a source such as `folder:photos` or `texts:test.csv`, a folder or zip of class
            folders, or a pair: images uint8 [n, H, W, 3] raw RGB or a list of texts, and labels int [n]; it is saved.
        normalization: what the model expects of pixels: none (0 to 255), tf (-1 to 1), torch, caffe (BGR) or mean,std.
        name: name of the bundle; default: the model's.
        tflite: TFLite files to write, e.g. ["fp32", "int8"].
        coreml: Core ML files to write, e.g. ["mlmodel", "mlpackage"]; [] for none.
        onnx: write an .onnx file, for TensorRT.
        allow_code: run code that the model file contains, e.g. Lambda layers; a keras.Model always runs its own.
        imports: modules that register the model's custom layers.
        image_size: side of the input, pixels, for a model with a variable input size.
        vocabulary: the vocab.txt that a model of texts was trained with, or a folder with one.
        tokens: number of ids, for a model of texts with a variable length.
        runs: folder of the runs.
        out: folder of the bundles.
        progress: show progress; None: in notebooks and terminals only.

    Raises:
        RequestError, VerifyError: model, labels and data do not fit together, or an exported file failed a check.

    Example:
        >>> result = tfkd.export(model, labels=["cat", "dog"], data=(images, labels), name="pets")
        >>> result.bundle.predict(images)
    """
    _check_types(name, normalization, onnx, progress)
    settings = _settings(allow_code, imports, image_size, vocabulary, tokens)
    places = arguments.path("runs", runs), arguments.path("out", out)
    # A keras.Model can be called; whatever else can be is refused where the model is opened.
    path = None if callable(model) else str(arguments.path("model", model, "a keras.Model, or the path of its file"))
    bundle_name = name or own_request.name_of(path or str(getattr(model, "name", "model")))
    inputs = _Inputs.of(labels, data, places[0] / bundle_name)
    network = {"name": bundle_name, "model": path or bundle_name, "normalization": normalization}
    fields = {**network, **settings, **inputs.fields()}
    request = own_request.request(fields, _files(tflite, coreml, onnx), _changes(overrides, fields))
    outcome = own_model.publish_own(request, for_caller(progress), *places, None if path else model, inputs.write)
    return ExportReport(outcome.folder, outcome.bundle, outcome.manifest)


@dataclass(frozen=True)
class _Inputs:
    """Labels and data of an export; those from memory become files in its folder.

    Attributes:
        labels: class names, or the path of their file.
        data: a source, or examples and their labels.
        folder: folder of the export.
    """

    labels: list[str] | Path
    data: str | tuple[Any, Any]
    folder: Path

    @classmethod
    def of(cls, labels: Any, data: Any, folder: Path) -> "_Inputs":
        """Returns the inputs of arguments; raises a RequestError if they are of a wrong type."""
        is_file = isinstance(labels, str | os.PathLike)
        names = arguments.path("labels", labels) if is_file else arguments.texts("labels", labels, _LABELS)
        return cls(names, source_of(data), folder)

    def fields(self) -> dict[str, str]:
        """Returns the fields of the request that name the files."""
        source = self.data
        if isinstance(source, tuple):
            kind = kind_of_examples(source[0])
            source = kind.source_in(self.folder / f"{kind.name}s")
        return {"labels": str(self._labels_file), "data": source}

    def write(self) -> None:
        """Writes labels and examples from memory into the folder of the export, which must be locked."""
        if not isinstance(self.labels, Path):
            write_text(self._labels_file, labels_text(self.labels))
        if isinstance(self.data, tuple):
            kind = kind_of_examples(self.data[0])
            kind.write_source(*self.data, read_labels(self._labels_file), self.folder / f"{kind.name}s")

    @property
    def _labels_file(self) -> Path:
        return self.labels if isinstance(self.labels, Path) else self.folder / LABELS


def _check_types(name: Any, normalization: Any, onnx: Any, progress: Any) -> None:
    arguments.text("name", name, optional=True)
    arguments.text("normalization", normalization)
    arguments.flag("onnx", onnx)
    arguments.flag("progress", progress, optional=True)


def _settings(allow_code: Any, imports: Any, image_size: Any, vocabulary: Any, tokens: Any) -> dict[str, Any]:
    """Returns the fields of the request that say how the model is opened; refuses values of a wrong type."""
    arguments.flag("allow_code", allow_code)
    for name, value in (("image_size", image_size), ("tokens", tokens)):
        if value is not None:
            arguments.whole(name, value, least=1)
    names = arguments.texts("imports", imports, "a list of the names of modules")
    pieces = None if vocabulary is None else str(arguments.path("vocabulary", vocabulary))
    sizes = {"image_size": image_size, "tokens": tokens}
    return {"allow_code": allow_code, "imports": names, "vocabulary": pieces, **sizes}


def _files(tflite: Any, coreml: Any, onnx: bool) -> dict[str, Any]:
    lists = {
        "tflite": (tflite, "a list of precisions, e.g. ['fp32', 'int8']"),
        "coreml": (coreml, "a list of formats, e.g. ['mlmodel', 'mlpackage']"),
    }
    named = {name: arguments.texts(name, given, wanted) for name, (given, wanted) in lists.items() if given is not None}
    return {**named, "onnx": onnx}


def _changes(overrides: tuple[str, ...], fields: Mapping[str, Any]) -> list[str]:
    """Returns the overrides; refuses those of fields that are arguments."""
    changes = arguments.texts("overrides", overrides, "texts such as 'export.license=MIT', one argument each")
    for change in changes:
        field = change.partition("=")[0]
        if field in fields:
            raise RequestError(f"Override {change!r}: {field} is an argument of tfkd.export; pass {field}=….")
    return changes
