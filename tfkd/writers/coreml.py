"""Writes Core ML files: a neural network (.mlmodel, iOS 13) and an ML program (.mlpackage, iOS 15).

Compressed weights in an ML program need iOS 16.
"""

import contextlib
import hashlib
import io
import json
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from tfkd import files
from tfkd.errors import RequestError, cause, nearest
from tfkd.inputs import kind_of
from tfkd.inputs.table.tensors import columns_text
from tfkd.inputs.text.tensors import length_of
from tfkd.inputs.text.vocabulary import Vocabulary
from tfkd.models.tree_arrays import Trees
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import CoremlForm
from tfkd.signature import Signature
from tfkd.writers import (
    Calibration,
    Card,
    ConversionError,
    ExportedFile,
    coreml_batch_norms,  # registers them
    exported_file,
)
from tfkd.writers import coreml_operators as coreml_operators  # registers them
from tfkd.writers.coreml_compression import compressed
from tfkd.writers.coreml_trees import specification_of
from tfkd.writers.graph import Graph, frozen

with native_logs_silenced():  # away from macOS the import logs every library that it misses
    import coremltools as ct

LABEL = "classLabel"
PROBABILITIES = "classProbability"

_OUTPUTS = {LABEL: "The most probable class.", PROBABILITIES: "Probability of every class."}

PRECISION = "precision"
_MAKING_INTERLEAVED_CONCATS = {"common::detect_concat_interleave", "common::replace_stack_reshape"}
_ONE_FORM_OF_TREES = (
    "trees are written as mlmodel: rounded thresholds would be other rules, and a package holds no trees; leave it out."
)
_NO_IDS = "an .mlmodel holds ids as float16 on the GPU, where most of them are not exact; write an .mlpackage instead."
_TOO_OLD = "Please use a higher minimum deployment target"
_DATE = "com.github.apple.coremltools.conversion_date"


def write_coreml(model: Any, form: CoremlForm, path: Path, card: Card) -> None:
    """Writes one Core ML file of a Keras classifier; see `write` for many files of the same one.

    Args:
        model: keras.Model, raw inputs of its signature to logits [None, classes].
        form: mlmodel, mlpackage, mlpackage_int8, … as in `Export.coreml`.
        path: of the file.
        card: what is written into the file.

    Raises:
        RequestError: coremltools cannot write the model.
    """
    if form not in (known := get_args(CoremlForm)):
        raise RequestError(f"There is no Core ML format {form!r}.{nearest(form, list(known))}")
    with frozen(model, card) as graph:
        write(graph, exported_file(form, path.stem), path, card, None)


def write(graph: Graph, file: ExportedFile, path: Path, card: Card, calibration: Calibration | None) -> None:
    """Writes one Core ML classifier: the input of the signature in, `classLabel` and `classProbability` out.

    Raw values go in as they are (scale 1, bias 0): the model holds its own normalisation. `calibration` is not read.

    Raises:
        ConversionError: coremltools cannot write the graph, or it is of a text and the file a neural network.
    """
    if file.format == "mlmodel" and graph.signature.kind == "text":
        raise ConversionError(f"{path.name}: {_NO_IDS}")
    if graph.trees is not None:
        _write_trees(graph.trees, graph.signature, file, path, card)
        return
    with native_logs_silenced(), contextlib.redirect_stdout(io.StringIO()):
        try:
            model = compressed(_converted(graph, file, card), file.format, file.precision)
        except Exception as error:
            raise ConversionError(f"{path.name}: coremltools cannot convert the model: {_reason(error)}") from error
    specification = _described(model.get_spec(), card, graph.signature, file.precision)
    if file.format == "mlmodel":
        files.write_bytes(path, _serialized(specification))
    else:
        _save_package(specification, model.weights_dir, path)


def _write_trees(trees: Trees, signature: Signature, file: ExportedFile, path: Path, card: Card) -> None:
    if (file.format, file.precision) != ("mlmodel", "fp32"):
        raise ConversionError(f"{path.name}: {_ONE_FORM_OF_TREES}")
    specification = specification_of(trees, signature, card.classes, LABEL, PROBABILITIES)
    files.write_bytes(path, _serialized(_with_texts(specification, card, signature, file.precision)))


def _reason(error: Exception) -> str:
    """Returns why coremltools refuses a model, and what to do."""
    text = str(error)
    if _TOO_OLD in text:
        features = ", ".join(re.findall(r"^\s*\d+\. (.+?)\s*$", text, re.MULTILINE))
        return f"an .mlmodel for iOS 13 cannot hold its {features}; set export.ios_target=14."
    if found := re.search(r"Conversion for TF op '(\w+)' not implemented", text):
        return f"it has no conversion of TensorFlow's operator {found[1]}; use a layer without it."
    return cause(error)


def _converted(graph: Graph, file: ExportedFile, card: Card) -> Any:
    return ct.convert(
        [graph.function],
        source="tensorflow",
        inputs=[_INPUTS[graph.signature.kind](graph.signature)],
        classifier_config=ct.ClassifierConfig(list(card.classes), predicted_feature_name=LABEL),
        minimum_deployment_target=getattr(ct.target, f"iOS{file.ios}"),
        pass_pipeline=_passes(file),
        skip_model_load=True,
        **_computation(file),
    )


def _image(signature: Signature) -> Any:
    tensor, described = signature.single, kind_of(signature.kind).describe(signature)
    colours = ct.colorlayout[described.properties["colours"]]
    return ct.ImageType(name=tensor.name, shape=(1, *tensor.shape), scale=1.0, color_layout=colours)


def _ids(signature: Signature) -> Any:
    return ct.TensorType(name=signature.single.name, shape=(1, length_of(signature)), dtype=np.int32)


_INPUTS: Mapping[str, Callable[[Signature], Any]] = {"image": _image, "text": _ids}
"""By kind of input: what coremltools calls it."""


def _passes(file: ExportedFile) -> Any:
    """Returns coremltools' passes, without those that make of older layers one that only iOS 14 knows."""
    passes = coreml_batch_norms.pipeline()
    if file.format == "mlmodel":
        passes.remove_passes(_MAKING_INTERLEAVED_CONCATS)
    return passes


def _computation(file: ExportedFile) -> dict[str, Any]:
    if file.format == "mlmodel":
        return {"convert_to": "neuralnetwork"}
    computed = ct.precision.FLOAT32 if file.precision == "fp32" else ct.precision.FLOAT16
    return {"convert_to": "mlprogram", "compute_precision": computed}


def _described(specification: Any, card: Card, signature: Signature, precision: str) -> Any:
    """Names the outputs, describes the model, and takes out the date, so that equal models give equal bytes."""
    _name_probabilities(specification)
    return _with_texts(specification, card, signature, precision)


def _with_texts(specification: Any, card: Card, signature: Signature, precision: str) -> Any:
    description = specification.description
    description.input[0].shortDescription = kind_of(signature.kind).describe(signature).coreml
    for output in description.output:
        output.shortDescription = _OUTPUTS[output.name]
    metadata = description.metadata
    metadata.author, metadata.license, metadata.versionString = card.author, card.license, card.version
    metadata.shortDescription = card.description
    metadata.userDefined.update({**card.origin, **facts_of_input(signature), PRECISION: precision})
    metadata.userDefined.pop(_DATE, None)
    return specification


def facts_of_input(signature: Signature) -> dict[str, str]:
    """Returns what a file states of the ids or the row that it takes; nothing of an image."""
    if signature.columns:
        return {"columns": columns_text(signature.columns)}
    if not signature.pieces:
        return {}
    vocabulary = Vocabulary(signature.pieces)
    return {
        "length": str(length_of(signature)),
        "pieces": str(len(vocabulary)),
        "vocabulary_sha256": hashlib.sha256(vocabulary.text.encode()).hexdigest(),
    }


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
