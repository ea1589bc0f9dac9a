"""Checks what a Core ML file says about itself."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tfkd.inputs import kind_of
from tfkd.inputs.kind import listed
from tfkd.quiet import native_logs_silenced
from tfkd.signature import Signature
from tfkd.verification import VerifyError
from tfkd.verification.coreml.specification import NETWORK, TREES, class_labels, contained, read
from tfkd.verification.records import InputOutput, Tensor
from tfkd.writers import Card
from tfkd.writers.coreml import facts_of_input

with native_logs_silenced():  # away from macOS the import logs every library that it misses
    from coremltools import proto

_COLOURS = {number: name for name, number in proto.FeatureTypes_pb2.ImageFeatureType.ColorSpace.items()}
_LABEL = "classLabel"
_PROBABILITIES = "classProbability"
_ROOT = "com.apple.CoreML/model.mlmodel"


def check(path: Path, card: Card, signature: Signature) -> InputOutput:
    """Checks the description of an .mlmodel or .mlpackage classifier.

    Args:
        path: of the file or package.
        card: the expected classes and description.
        signature: what it must take.

    Returns:
        Its input, raw values, and its output, the probability of each class.

    Raises:
        VerifyError: it cannot be read, or names everything that is wrong in it.
    """
    specification = read(path)
    wrong = [
        *_wrong_package(path),
        *_WRONG_INPUTS[signature.kind](specification, signature),
        *_wrong_outputs(specification),
        *_wrong_labels(specification, card.classes),
        *_wrong_preprocessing(specification),
        *_wrong_metadata(specification, card, signature),
    ]
    if wrong:
        raise VerifyError(f"{path}: {'; '.join(wrong)}.")
    tensor = signature.single
    dtype = "uint8" if signature.kind == "image" else tensor.dtype
    return InputOutput(
        input=Tensor(name=tensor.name, shape=[1, *tensor.shape], dtype=dtype, range=tensor.range and [*tensor.range]),
        output=Tensor(name=_PROBABILITIES, shape=[1, len(card.classes)], dtype="float32", range=[0.0, 1.0]),
    )


def _wrong_package(path: Path) -> Iterator[str]:
    """Checks what Xcode opens first: the list of a package's items, with the model as its root."""
    if not path.is_dir():
        return
    try:
        listed = json.loads((path / "Manifest.json").read_bytes())
        items = {identifier: item["path"] for identifier, item in listed["itemInfoEntries"].items()}
        root = items[listed["rootModelIdentifier"]]
        missing = [item for item in items.values() if not contained(path, f"../{item}").exists()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield "its Manifest.json cannot be read"
        return
    if root != _ROOT:
        yield f"its Manifest.json gives {root!r} as the model, not {_ROOT!r}"
    if missing:
        yield f"its Manifest.json lists {missing[0]!r}, which is not there"


def _wrong_image(specification: Any, signature: Signature) -> Iterator[str]:
    inputs, name = specification.description.input, signature.single.name
    if len(inputs) != 1 or inputs[0].type.WhichOneof("Type") != "imageType":
        yield "it does not take exactly one image"
        return
    if inputs[0].name != name:
        yield f"its input is named {inputs[0].name!r}, not {name!r}"
    image, expected = inputs[0].type.imageType, kind_of(signature.kind).describe(signature).properties
    colours = _COLOURS.get(image.colorSpace, "unknown")
    found = {"colours": colours, "height": image.height, "width": image.width}
    if found != expected:
        yield f"its input has {listed(found)}, not {listed(expected)}"


def _wrong_ids(specification: Any, signature: Signature) -> Iterator[str]:
    tensor, inputs = signature.single, specification.description.input
    found = [(each.name, each.type.multiArrayType.dataType, list(each.type.multiArrayType.shape)) for each in inputs]
    if found != [(tensor.name, proto.FeatureTypes_pb2.ArrayFeatureType.INT32, [1, *tensor.shape])]:
        yield f"it does not take exactly one int32 array {tensor.name!r} {[1, *tensor.shape]}"


def _wrong_row(specification: Any, signature: Signature) -> Iterator[str]:
    tensor, inputs = signature.single, specification.description.input
    found = [(each.name, each.type.multiArrayType.dataType, list(each.type.multiArrayType.shape)) for each in inputs]
    if found != [(tensor.name, proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32, [*tensor.shape])]:
        yield f"it does not take exactly one float32 array {tensor.name!r} {[*tensor.shape]}"
    if specification.WhichOneof("Type") != TREES:
        yield "it holds no trees"


_WRONG_INPUTS: Mapping[str, Callable[[Any, Signature], Iterator[str]]] = {
    "image": _wrong_image,
    "text": _wrong_ids,
    "table": _wrong_row,
}
"""By kind of input: what is wrong about the input."""


def _wrong_outputs(specification: Any) -> Iterator[str]:
    description = specification.description
    kinds = {output.name: output.type.WhichOneof("Type") for output in description.output}
    if kinds.pop(_LABEL, None) not in ("stringType", "int64Type") or kinds != {_PROBABILITIES: "dictionaryType"}:
        names = sorted(output.name for output in description.output)
        yield f"its outputs are {names}, not {_LABEL!r} (a string or an integer) and {_PROBABILITIES!r} (a dictionary)"
    if description.predictedFeatureName != _LABEL or description.predictedProbabilitiesName != _PROBABILITIES:
        yield f"it does not name {_LABEL!r} as its prediction and {_PROBABILITIES!r} as its probabilities"
    if specification.WhichOneof("Type") == NETWORK:
        network = specification.neuralNetworkClassifier
        if network.labelProbabilityLayerName not in {name for layer in network.layers for name in layer.output}:
            yield f"no layer makes its probabilities, {network.labelProbabilityLayerName!r}"


def _wrong_labels(specification: Any, classes: tuple[str, ...]) -> Iterator[str]:
    labels = class_labels(specification)
    if len(labels) != len(classes):
        yield f"it has {len(labels)} class labels, not {len(classes)}"
    for index, (label, name) in enumerate(zip(labels, classes, strict=False)):
        if label != name:
            yield f"its class label {index} is {label!r}, not {name!r}"
            return


def _wrong_preprocessing(specification: Any) -> Iterator[str]:
    """Refuses what a neural network does to its input before its first layer: the model normalises it itself.

    An ML program has no such place: preprocessing declared at conversion is among its operations, like the model's own.
    """
    if specification.WhichOneof("Type") != NETWORK:
        return
    for step in specification.neuralNetworkClassifier.preprocessing:
        scaler = step.scaler
        biases = (scaler.redBias, scaler.greenBias, scaler.blueBias, scaler.grayBias)
        if step.WhichOneof("preprocessor") != "scaler" or scaler.channelScale != 1 or any(biases):
            yield "it normalises its input a second time, before the model's own normalisation"


def _wrong_metadata(specification: Any, card: Card, signature: Signature) -> Iterator[str]:
    metadata = specification.description.metadata
    found = dict(metadata.userDefined) | {
        "author": metadata.author,
        "license": metadata.license,
        "version": metadata.versionString,
        "description": metadata.shortDescription,
    }
    texts = {field: getattr(card, field) for field in ("author", "license", "version", "description")}
    for field, value in {**texts, **card.origin, **facts_of_input(signature)}.items():
        if found.get(field) != value:
            yield f"its {field} is {found.get(field)!r}, not {value!r}"
