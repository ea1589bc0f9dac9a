"""`tfkd.export`: a verified bundle of a trained classifier, from memory or from a file."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkd.files import write_text
from tfkd.inputs.image.arrays import LISTED, write_files
from tfkd.interface.calls import PathLike, public_call
from tfkd.interface.results import ExportReport
from tfkd.labels import labels_text, read_labels
from tfkd.pipeline import own_model, own_request
from tfkd.progress import chosen

if TYPE_CHECKING:
    import keras

IMAGES = "images"  # the folder, in that of the export, that keeps arrays as files


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
    """Makes a verified bundle of a trained classifier of your own, as `tfkd export` does.

    Args:
        model: a keras.Model in memory, or the path of a `.keras` or `.h5` file or of a SavedModel. A model in memory is
            trusted: its own layers run in this process.
        overrides: fields of `export`, `gates` and `bench` to change, e.g. `export.license=MIT`.
        labels: the class names in the order of the outputs, or the path of a text file with one per line.
        data: images of these classes to measure on: a source such as `folder:photos`, the path of a folder or zip of
            class folders, or a pair of arrays: images uint8 [n, H, W, 3] raw RGB and labels int [n]. Arrays are kept
            as files in the folder of this export.
        normalization: what the model expects of pixels: none (0 to 255), tf (-1 to 1), torch, caffe (BGR) or mean,std.
        name: of the bundle; default: the model's.
        tflite: the TFLite files to write, e.g. ["fp32", "int8"].
        coreml: the Core ML files to write, e.g. ["mlmodel", "mlpackage"]; [] for none.
        onnx: write an .onnx file too, for TensorRT.
        allow_code: run what code the model file brings, e.g. Lambda layers.
        imports: modules that register the model's custom layers.
        image_size: side of the input, pixels, where the model leaves it free.
        runs: folder that keeps the runs.
        out: folder where bundles land.
        progress: True shows it, False does not, None shows it in notebooks and terminals.

    Raises:
        RequestError: the model, its labels or the data do not fit; says which and why.
        VerifyError: an exported file is not what it must be.

    Example:
        >>> result = tfkd.export(model, labels=["cat", "dog"], data=(images, labels), name="pets")
        >>> result.bundle.predict(images)
    """
    with public_call():
        path = str(model) if _is_path(model) else None
        called = name or own_request.name_of(path or str(getattr(model, "name", "model")))
        folder = Path(runs) / called
        given = {
            "name": called,
            "model": path or called,
            "labels": str(labels if _is_path(labels) else folder / "labels.txt"),
            "data": f"files:{folder / IMAGES / LISTED}" if isinstance(data, tuple) else _source(str(data)),
            "normalization": normalization,
            "allow_code": allow_code,
            "imports": list(imports),
            "image_size": image_size,
        }
        forms = {"tflite": tflite, "coreml": coreml}
        files = {kind: list(names) for kind, names in forms.items() if names is not None}
        request = own_request.request(given, {**files, "onnx": onnx}, list(overrides))
        if not isinstance(labels, str | os.PathLike):
            write_text(Path(request.labels), labels_text(labels))
        if isinstance(data, tuple):
            write_files(*data, read_labels(Path(request.labels)), folder / IMAGES)
        opened = None if path else model
        outcome = own_model.publish_own_apart(request, chosen(progress), Path(runs), Path(out), opened)
        return ExportReport(outcome.folder, outcome.bundle, outcome.manifest)


def _is_path(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)


def _source(data: str) -> str:
    return data if ":" in data else f"folder:{data}"
