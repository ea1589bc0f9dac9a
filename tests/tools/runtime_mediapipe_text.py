"""Runs in MediaPipe's environment: classifies texts with MediaPipe Tasks. JSON in on stdin and on stdout.

Two jobs: `models` are files, and the answer is for each of them the classes and scores of all `texts`; or it holds a
`vocabulary` (text of a vocab.txt), a `length` (of the input, tokens) and `texts`, and the answer is what the tokenizer
hands to a model. TextClassifier shows scores alone, so it is given a model whose scores are its inputs: ids, mask and
segment ids, one after another.
"""

import io
import json
import sys
import zipfile

import flatbuffers
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata
from mediapipe.tasks.metadata import schema_py_generated as tflite
from mediapipe.tasks.python import BaseOptions, text

INPUTS = ("ids", "mask", "segment_ids")
VOCABULARY = "vocab.txt"


def main() -> None:
    job = json.load(sys.stdin)
    if "models" in job:
        found = [classes(BaseOptions(model_asset_path=path), job["texts"]) for path in job["models"]]
        json.dump(found, sys.stdout)
        return
    options = BaseOptions(model_asset_buffer=classifier_file(job["length"], job["vocabulary"]))
    with opened(options) as classifier:
        json.dump([scores(classifier.classify(each), job["length"]) for each in job["texts"]], sys.stdout)


def opened(options):
    return text.TextClassifier.create_from_options(text.TextClassifierOptions(options))


def classes(options, texts):
    """Returns for every text the classes with their scores, in the order of the model's output."""
    with opened(options) as classifier:
        results = [classifier.classify(each).classifications[0].categories for each in texts]
    ordered = [sorted(categories, key=lambda each: each.index) for categories in results]
    return [[(each.category_name, each.score) for each in categories] for categories in ordered]


def scores(result, length):
    """Returns ids, mask and segment ids of a text, a list each."""
    values = [0] * (length * len(INPUTS))
    for category in result.classifications[0].categories:
        values[category.index] = int(category.score)
    return [values[start : start + length] for start in range(0, len(values), length)]


def classifier_file(length, vocabulary):
    """Returns a .tflite of concatenated inputs as floats, with the metadata and the vocabulary that MediaPipe needs."""
    stream = io.BytesIO(model(length))
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(VOCABULARY, vocabulary.encode())
    return stream.getvalue()


def model(length):
    joined, output = len(INPUTS), len(INPUTS) + 1
    tensors = [table(tflite.TensorT, name=name, shape=[1, length], type=tflite.TensorType.INT32) for name in INPUTS]
    width = length * len(INPUTS)
    tensors.append(table(tflite.TensorT, name="joined", shape=[1, width], type=tflite.TensorType.INT32))
    tensors.append(table(tflite.TensorT, name="scores", shape=[1, width], type=tflite.TensorType.FLOAT32))
    kinds = (tflite.BuiltinOperator.CONCATENATION, tflite.BuiltinOperator.CAST)
    concatenation = table(
        tflite.OperatorT,
        opcodeIndex=0,
        inputs=list(range(joined)),
        outputs=[joined],
        builtinOptionsType=tflite.BuiltinOptions.ConcatenationOptions,
        builtinOptions=table(tflite.ConcatenationOptionsT, axis=1),
    )
    cast = table(
        tflite.OperatorT,
        opcodeIndex=1,
        inputs=[joined],
        outputs=[output],
        builtinOptionsType=tflite.BuiltinOptions.CastOptions,
        builtinOptions=table(
            tflite.CastOptionsT, inDataType=tflite.TensorType.INT32, outDataType=tflite.TensorType.FLOAT32
        ),
    )
    graph = table(
        tflite.SubGraphT,
        tensors=tensors,
        inputs=list(range(joined)),
        outputs=[output],
        operators=[concatenation, cast],
    )
    whole = table(
        tflite.ModelT,
        version=3,
        subgraphs=[graph],
        operatorCodes=[
            table(tflite.OperatorCodeT, builtinCode=kind, deprecatedBuiltinCode=kind, version=1) for kind in kinds
        ],
        buffers=[tflite.BufferT(), table(tflite.BufferT, data=list(description()))],
        metadata=[table(tflite.MetadataT, name="TFLITE_METADATA", buffer=1)],
    )
    return content(whole, b"TFL3")


def description():
    unit = table(
        metadata.ProcessUnitT,
        optionsType=metadata.ProcessUnitOptions.BertTokenizerOptions,
        options=table(metadata.BertTokenizerOptionsT, vocabFile=[table(metadata.AssociatedFileT, name=VOCABULARY)]),
    )
    graph = table(
        metadata.SubGraphMetadataT,
        inputTensorMetadata=[table(metadata.TensorMetadataT, name=name) for name in INPUTS],
        outputTensorMetadata=[table(metadata.TensorMetadataT, name="scores")],
        inputProcessUnits=[unit],
    )
    return content(table(metadata.ModelMetadataT, subgraphMetadata=[graph]), b"M001")


def table(kind, **fields):
    new = kind()
    for name, value in fields.items():
        if not hasattr(new, name):
            raise AttributeError(f"{kind.__name__} has no field {name}")
        setattr(new, name, value)
    return new


def content(root, identifier):
    builder = flatbuffers.Builder(1024)
    builder.Finish(root.Pack(builder), identifier)
    return bytes(builder.Output())


main()
