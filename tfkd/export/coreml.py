"""Writes Core ML files: a neural network (.mlmodel, iOS 13) and an ML program (.mlpackage, iOS 15)."""

import json
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

from tfkd import files
from tfkd.errors import RequestError, nearest
from tfkd.export import COREML_PRECISION, Calibration, Card, ExportedFile
from tfkd.export.graph import INPUT, Graph, first_line, frozen
from tfkd.quiet import native_logs_silenced

with native_logs_silenced():  # away from macOS the import logs every library that it misses
    import coremltools as ct

LABEL = "classLabel"
PROBABILITIES = "classProbability"

_OUTPUTS = {LABEL: "The most probable class.", PROBABILITIES: "Probability of every class."}

_TARGETS: dict[str, dict[str, Any]] = {
    "mlmodel": {"convert_to": "neuralnetwork", "minimum_deployment_target": ct.target.iOS13},
    "mlpackage": {
        "convert_to": "mlprogram",
        "minimum_deployment_target": ct.target.iOS15,
        "compute_precision": ct.precision.FLOAT16,
    },
}


def write_coreml(model: Any, format: str, path: Path, card: Card) -> None:
    """Writes one Core ML file of a Keras classifier; see `write` for many files of the same one.

    Args:
        model: keras.Model, float32 [None, S, S, 3] raw RGB 0..255 to logits [None, classes].
        format: mlmodel or mlpackage.
        path: of the file.
        card: what is written into the file.

    Raises:
        RequestError: coremltools cannot write the model.
    """
    if format not in COREML_PRECISION:
        raise RequestError(f"There is no Core ML format {format!r}.{nearest(format, list(COREML_PRECISION))}")
    with frozen(model, card) as graph:
        write(graph, ExportedFile(path.name, format, COREML_PRECISION[format]), path, card, None)


def write(graph: Graph, file: ExportedFile, path: Path, card: Card, calibration: Calibration | None) -> None:
    """Writes one Core ML classifier: an RGB image named `image` in, `classLabel` and `classProbability` out.

    The pixels go in as they are (scale 1, bias 0): the model holds its own normalisation. `calibration` is not read.

    Raises:
        RequestError: coremltools cannot write the graph.
    """
    image = ct.ImageType(name=INPUT, shape=(1, graph.size, graph.size, 3), scale=1.0, color_layout=ct.colorlayout.RGB)
    labels = ct.ClassifierConfig(list(card.classes), predicted_feature_name=LABEL)
    with native_logs_silenced():
        try:
            model = ct.convert(
                [graph.function],
                source="tensorflow",
                inputs=[image],
                classifier_config=labels,
                skip_model_load=True,
                **_TARGETS[file.format],
            )
        except Exception as error:
            raise RequestError(f"{path.name}: coremltools cannot convert the model: {first_line(error)}") from error
    specification = _described(model.get_spec(), card)
    if file.format == "mlmodel":
        files.write_bytes(path, _serialized(specification))
    else:
        _save_package(specification, model.weights_dir, path)


def _described(specification: Any, card: Card) -> Any:
    """Names the outputs, describes the model, and takes out the date, so that equal models give equal bytes."""
    _name_probabilities(specification)
    description = specification.description
    description.input[0].shortDescription = "RGB image; the model normalises its pixels itself."
    for output in description.output:
        output.shortDescription = _OUTPUTS[output.name]
    metadata = description.metadata
    metadata.author, metadata.license, metadata.versionString = card.author, card.license, card.version
    metadata.shortDescription = card.description
    metadata.userDefined.pop("com.github.apple.coremltools.conversion_date", None)
    return specification


def _name_probabilities(specification: Any) -> None:
    """Renames the output; `rename_feature` misses the last blob of a neural network and the description."""
    old = specification.description.predictedProbabilitiesName
    ct.utils.rename_feature(specification, old, PROBABILITIES, rename_inputs=False)
    specification.description.predictedProbabilitiesName = PROBABILITIES
    if specification.WhichOneof("Type") == "neuralNetworkClassifier":
        specification.neuralNetworkClassifier.layers[-1].output[:] = [PROBABILITIES]


def _save_package(specification: Any, weights: str, path: Path) -> None:
    """Saves a package under its final name at once; coremltools itself needs a name with the right suffix."""
    with tempfile.TemporaryDirectory() as folder, files.replacing(path) as partial:
        saved = Path(folder) / path.name
        ct.models.MLModel(specification, weights_dir=weights, skip_model_load=True).save(str(saved))
        (saved / "Data" / "com.apple.CoreML" / "model.mlmodel").write_bytes(_serialized(specification))
        _name_items(saved / "Manifest.json")
        shutil.move(saved, partial)


def _serialized(specification: Any) -> bytes:
    return specification.SerializeToString(deterministic=True)


def _name_items(manifest: Path) -> None:
    """Replaces the random identifiers of a package's items by ones that follow from their paths.

    The layout is coremltools' own: it writes this file again when it opens a package, and the hash must not change.
    """
    text = manifest.read_text(encoding="utf-8")
    for identifier, item in json.loads(text)["itemInfoEntries"].items():
        text = text.replace(identifier, str(uuid.uuid5(uuid.NAMESPACE_URL, item["path"])).upper())
    manifest.write_text(json.dumps(json.loads(text), indent=4, sort_keys=True) + "\n", encoding="utf-8")
