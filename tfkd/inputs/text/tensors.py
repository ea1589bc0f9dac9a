"""The tensor of a text, and its description in exported files."""

from collections.abc import Sequence
from typing import Any

from tfkd.errors import RequestError, counted
from tfkd.inputs.kind import Description
from tfkd.signature import InputTensor, Signature

NAME = "ids"
TOKEN_IDS = "TokenIds"  # class of the first layer of a text model, which holds its vocabulary


def signature(length: int, pieces: Sequence[str]) -> Signature:
    """Returns the signature of a text.

    Args:
        length: number of ids, with those of [CLS], [SEP] and padding.
        pieces: the vocabulary, in the order of the ids.
    """
    return Signature("text", (InputTensor(NAME, (length,), "int32", (0.0, len(pieces) - 1.0)),), tuple(pieces))


def length_of(signature: Signature) -> int:
    """Returns the number of ids of a text's signature."""
    return int(signature.single.shape[0] or 0)


def signature_of(model: Any) -> Signature:
    """Returns the signature of a model of ids.

    Args:
        model: keras.Model, int [batch, length], with a layer `tfkd.models.token_ids.TokenIds`.

    Raises:
        RequestError: its input is another one, or of variable length, or its vocabulary is unknown.
    """
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] is None or not _is_whole(model.inputs[0]):
        raise RequestError(
            f"Model {model.name!r} takes {' and '.join(map(str, shapes))}, not the ids of one text [batch, length]; "
            'build it for one length: keras.Input((64,), dtype="int32").'
        )
    layers = [layer for layer in model.layers if type(layer).__name__ == TOKEN_IDS]
    if len(layers) != 1:
        raise RequestError(
            f"Model {model.name!r} has {counted(len(layers), f'{TOKEN_IDS} layer')}, and needs one that says its "
            "vocabulary; state the vocabulary (vocab.txt) with the model."
        )
    return signature(shapes[0][1], layers[0].pieces)


def describe(signature: Signature) -> Description:
    """Returns what files say of a text: its properties are the length and the size of the vocabulary."""
    length = length_of(signature)
    return Description(
        tflite="Ids of the pieces of a text by vocab.txt: [CLS], the text's, [SEP], then 0.",
        coreml="Ids of the pieces of a text by vocab.txt: [CLS], the text's, [SEP], then 0.",
        size=f"{length} pieces",
        advice="Give the model ids of vocab.txt by the tokenizer beside the file. It is that of MediaPipe; another "
        "one gives other ids.",
        properties={"length": length, "pieces": len(signature.pieces)},
        apps={
            "litert": f"the text's {length} ids, int32, by the Kotlin tokenizer beside it and vocab.txt.",
            "mediapipe": "Classes, tokenizer and vocabulary are in the file's metadata; TextClassifier takes the text.",
            "coreml": f"The input is the text's {length} ids, int32, by the Swift tokenizer beside it and vocab.txt.",
        },
    )


def _is_whole(tensor: Any) -> bool:
    return str(tensor.dtype).startswith(("int", "uint"))
