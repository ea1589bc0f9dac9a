"""TFLite Metadata: what a consumer such as MediaPipe Tasks reads about a model, inside the model file itself.

The metadata is a flatbuffer of its own (schema M001, metadata_schema.fbs of tflite-support, version 1.1.0) stored in a
buffer of the model under the name TFLITE_METADATA; the files it names are a zip archive appended to the model.
"""

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfkd.inputs import kind_of
from tfkd.inputs.table.tensors import COLUMNS, columns_text
from tfkd.inputs.text.vocabulary import VOCABULARY, Vocabulary
from tfkd.labels import LABELS, THRESHOLDS, labels_text, thresholds_text
from tfkd.signature import Signature
from tfkd.writers import Card
from tfkd.writers.bert_inputs import BERT_INPUTS
from tfkd.writers.flatbuffer import TfliteNetwork

_BUFFER_NAME = b"TFLITE_METADATA"
_METADATA_IDENTIFIER = b"M001"
# By kind of input: the first parser that understands every field written here.
_PARSER_VERSION = {"image": "1.0.0", "text": "1.1.0", "table": "1.0.0"}

# Values of the schema's enums and unions.
_DESCRIPTIONS, _AXIS_LABELS, _VOCABULARY = np.int8(1), np.int8(2), np.int8(5)
_COLOURS = {"RGB": np.int8(1)}
_IMAGE_PROPERTIES = np.int8(2)
_FEATURE_PROPERTIES = np.int8(1)
_NORMALIZATION_OPTIONS, _SCORE_THRESHOLDING_OPTIONS, _BERT_TOKENIZER_OPTIONS = np.int8(1), np.int8(3), np.int8(4)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip entry: equal models give equal bytes


def pack(content: bytes, card: Card, signature: Signature) -> bytes:
    """Returns a TFLite file with metadata and `labels.txt` in it.

    `thresholds.txt` is added where the card has thresholds, `vocab.txt` where the signature has pieces, and
    `columns.json` where it has columns.

    Args:
        content: a TFLite file with the inputs of the signature's kind and one output [1, classes].
        card: what to write.
        signature: of the input.
    """
    network = TfliteNetwork(content)
    model = network.model
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(_metadata(card, signature), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = _BUFFER_NAME, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return _with_files(network.packed(), packed_texts(card, signature))


def repacked(content: bytes, card: Card, signature: Signature) -> bytes:
    """Returns a file that `pack` wrote, with the metadata and texts of another card."""
    network = TfliteNetwork(content)
    kept = [entry for entry in network.model.metadata if entry.name != _BUFFER_NAME]
    network.model.metadata, network.model.buffers = kept, network.model.buffers[:-1]  # `pack` adds its own at the end
    return pack(network.packed(), card, signature)


def packed_texts(card: Card, signature: Signature) -> dict[str, str]:
    """Returns the files inside a TFLite file, by name and in order."""
    thresholds = {THRESHOLDS: thresholds_text(card.thresholds)} if card.thresholds else {}
    vocabulary = {VOCABULARY: Vocabulary(signature.pieces).text} if signature.pieces else {}
    columns = {COLUMNS: columns_text(signature.columns)} if signature.columns else {}
    return {LABELS: labels_text(card.classes), **thresholds, **vocabulary, **columns}


def _with_files(content: bytes, texts: dict[str, str]) -> bytes:
    stream = io.BytesIO(content)
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text.encode())
    return stream.getvalue()


def _metadata(card: Card, signature: Signature) -> bytes:
    """Builds the ModelMetadata table; fields are in the order of the schema."""
    builder = flatbuffers.Builder(1024)
    text = builder.CreateString
    inputs, others = _INPUTS[signature.kind](builder, signature)
    outputs = _tables(builder, _output(builder, card))
    subgraph = _table(builder, None, None, inputs, outputs, *others)
    model = _table(
        builder,
        text(card.name),
        text(card.description),
        text(card.version),
        _tables(builder, subgraph),
        text(card.author),
        text(card.license),
        None,
        text(_PARSER_VERSION[signature.kind]),
    )
    builder.Finish(model, _METADATA_IDENTIFIER)
    return bytes(builder.Output())


def _image(builder: Any, signature: Signature) -> tuple[int, list[int | None]]:
    tensor, described = signature.single, kind_of(signature.kind).describe(signature)
    properties = described.properties
    size = _table(builder, np.uint32(properties["width"]), np.uint32(properties["height"]))
    colours = _table(builder, _COLOURS[properties["colours"]], size)
    content = _table(builder, _IMAGE_PROPERTIES, colours, None)
    identity = _table(
        builder, _floats(builder, 0.0), _floats(builder, 1.0)
    )  # mean and std: the model normalises itself
    unit = _table(builder, _NORMALIZATION_OPTIONS, identity)
    image = _table(
        builder,
        builder.CreateString(tensor.name),
        builder.CreateString(described.tflite),
        None,
        content,
        _tables(builder, unit),
        None if tensor.range is None else _limits(builder, *tensor.range),
        None,
    )
    return _tables(builder, image), []


def _text(builder: Any, signature: Signature) -> tuple[int, list[int | None]]:
    """Writes the inputs of MediaPipe's TextClassifier and, behind the associated files, the tokenizer."""
    ids = kind_of(signature.kind).describe(signature).tflite
    meanings = (
        ids,
        "1 for every id of the text, else 0; the model does not read it.",
        "0; the model does not read it.",
    )
    inputs = [
        _table(
            builder,
            builder.CreateString(name),
            builder.CreateString(meaning),
            None,
            _table(builder, _FEATURE_PROPERTIES, _table(builder), None),
        )
        for name, meaning in zip(BERT_INPUTS, meanings, strict=True)
    ]
    meaning = builder.CreateString("One piece per line, in the order of the ids.")
    vocabulary = _table(builder, builder.CreateString(VOCABULARY), meaning, _VOCABULARY, None)
    tokenizer = _table(builder, _tables(builder, vocabulary))
    unit = _table(builder, _BERT_TOKENIZER_OPTIONS, tokenizer)
    return _tables(builder, *inputs), [None, _tables(builder, unit)]


def _row(builder: Any, signature: Signature) -> tuple[int, list[int | None]]:
    meaning = builder.CreateString("Name and categories of each column, in the order of the row.")
    columns = _table(builder, builder.CreateString(COLUMNS), meaning, _DESCRIPTIONS, None)
    row = _table(
        builder,
        builder.CreateString(signature.single.name),
        builder.CreateString(kind_of(signature.kind).describe(signature).tflite),
        None,
        _table(builder, _FEATURE_PROPERTIES, _table(builder), None),
        None,
        None,
        _tables(builder, columns),
    )
    return _tables(builder, row), []


_INPUTS: Mapping[str, Callable[[Any, Signature], tuple[int, list[int | None]]]] = {
    "image": _image,
    "text": _text,
    "table": _row,
}
"""By kind of input: writes the tables of the input tensors, and the fields of the subgraph behind its outputs."""


def _limits(builder: Any, low: float, high: float) -> int:
    return _table(builder, _floats(builder, high), _floats(builder, low))


def _output(builder: Any, card: Card) -> int:
    description = builder.CreateString("One class a line, in the order of the output.")
    files = [_table(builder, builder.CreateString(LABELS), description, _AXIS_LABELS, None)]
    if card.thresholds:
        # The schema's ScoreThresholdingOptions hold one threshold for all classes.
        description = builder.CreateString("Per line a class, a tab, and the probability from which it is predicted.")
        files.append(_table(builder, builder.CreateString(THRESHOLDS), description, None, None))
    units = None
    if card.score_threshold is not None:
        options = _table(builder, np.float32(card.score_threshold))
        units = _tables(builder, _table(builder, _SCORE_THRESHOLDING_OPTIONS, options))
    return _table(
        builder,
        builder.CreateString("probabilities"),
        builder.CreateString("Probability of every class."),
        None,
        _table(builder, _FEATURE_PROPERTIES, _table(builder), None),
        units,
        _limits(builder, 0.0, 1.0),
        _tables(builder, *files),
    )


def _table(builder: Any, *fields: Any) -> int:
    """Writes a table from its fields in schema order: an offset (int), a number of NumPy, or None."""
    builder.StartObject(len(fields))
    for slot, value in enumerate(fields):
        if isinstance(value, np.int8):
            builder.PrependInt8Slot(slot, int(value), 0)
        elif isinstance(value, np.uint32):
            builder.PrependUint32Slot(slot, int(value), 0)
        elif isinstance(value, np.float32):
            builder.PrependFloat32Slot(slot, float(value), 0.0)
        elif value is not None:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return builder.EndObject()


def _tables(builder: Any, *offsets: int) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder: Any, *values: float) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()
