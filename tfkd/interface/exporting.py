"""`tfkd.export`: a verified bundle of a trained classifier, from memory or from a file."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkd.files import write_text
from tfkd.inputs.image.arrays import LISTED, write_files
from tfkd.interface.calls import PathLike, public_call
from tfkd.interface.results import ExportReport
from tfkd.labels import LABELS, labels_text, read_labels
from tfkd.pipeline import own_model, own_request
from tfkd.progress import chosen

if TYPE_CHECKING:
    import keras

IMAGES = "images"  # folder of images from arrays, inside that of the export


def export(
    model: "keras.Model | PathLike",
    *overrides: str,
    labels: Sequence[str] | PathLike,
    data: str | tuple[Any, Any],
    normalization: str = "none",
    name: str | None = None,
    tflite: Sequence[str] | None = None,
    coreml: Sequence[str] | None = None,
    onnx: bool = False,
    allow_code: bool = False,
    imports: Sequence[str] = (),
    image_size: int | None = None,
    runs: PathLike = "runs",
    out: PathLike = "exported_models",
    progress: bool | None = None,
) -> ExportReport:
    """Exports a trained classifier as a verified bundle, as `tfkd export` does.

    Args:
        model: a keras.Model, or the path of a `.keras` or `.h5` file or of a SavedModel.
        overrides: fields of `export`, `gates` and `bench` to change, e.g. `export.license=MIT`.
        labels: the class names in the order of the outputs, or the path of a text file with one per line.
        data: images to measure on: a source such as `folder:photos`, a folder or zip of class folders, or arrays:
            images uint8 [n, H, W, 3] raw RGB and labels int [n]. Arrays are saved in the folder of this export.
        normalization: what the model expects of pixels: none (0 to 255), tf (-1 to 1), torch, caffe (BGR) or mean,std.
        name: name of the bundle; default: the model's.
        tflite: TFLite files to write, e.g. ["fp32", "int8"].
        coreml: Core ML files to write, e.g. ["mlmodel", "mlpackage"]; [] for none.
        onnx: write an .onnx file, for TensorRT.
        allow_code: run code that the model file contains, e.g. Lambda layers; a keras.Model always runs its own.
        imports: modules that register the model's custom layers.
        image_size: side of the input, pixels, for a model with a variable input size.
        runs: folder of the runs.
        out: folder of the bundles.
        progress: show progress; None: in notebooks and terminals only.

    Raises:
        RequestError, VerifyError: model, labels and data do not fit together, or an exported file failed a check.

    Example:
        >>> result = tfkd.export(model, labels=["cat", "dog"], data=(images, labels), name="pets")
        >>> result.bundle.predict(images)
    """
    with public_call():
        settings = {"normalization": normalization, "allow_code": allow_code, "imports": list(imports)}
        path = str(model) if _is_path(model) else None
        bundle_name = name or own_request.name_of(path or str(getattr(model, "name", "model")))
        inputs = _Inputs(labels, data, Path(runs) / bundle_name)
        fields = {
            "name": bundle_name,
            "model": path or bundle_name,
            **inputs.fields(),
            **settings,
            "imports": list(imports),
        }
        request = own_request.request({**fields, **settings}, _files(tflite, coreml, onnx), list(overrides))
        outcome = own_model.publish_own(
            request, chosen(progress), Path(runs), Path(out), None if path else model, inputs.write
        )
        return ExportReport(outcome.folder, outcome.bundle, outcome.manifest)


@dataclass(frozen=True)
class _Inputs:
    """Labels and data of an export; those from memory become files in its folder."""

    labels: Sequence[str] | PathLike
    data: str | tuple[Any, Any]
    folder: Path

    def fields(self) -> dict[str, str]:
        """Returns the fields of the request that name the files."""
        listed = f"files:{self.folder / IMAGES / LISTED}"
        labels = self.labels if _is_path(self.labels) else self.folder / LABELS
        return {"labels": str(labels), "data": listed if isinstance(self.data, tuple) else _source(str(self.data))}

    def write(self) -> None:
        """Writes labels and arrays from memory into the folder of the export, which must be locked."""
        labels = Path(self.fields()["labels"])
        if not isinstance(self.labels, str | os.PathLike):
            write_text(labels, labels_text(self.labels))
        if isinstance(self.data, tuple):
            write_files(*self.data, read_labels(labels), self.folder / IMAGES)


def _files(tflite: Sequence[str] | None, coreml: Sequence[str] | None, onnx: bool) -> dict[str, Any]:
    lists = {"tflite": tflite, "coreml": coreml}
    return {**{field: list(names) for field, names in lists.items() if names is not None}, "onnx": onnx}


def _is_path(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)


def _source(data: str) -> str:
    return data if ":" in data else f"folder:{data}"
