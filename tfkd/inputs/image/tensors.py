"""The tensor of an image, and its description in exported files."""

from collections.abc import Sequence
from typing import Any

from tfkd.errors import RequestError
from tfkd.inputs.kind import Description
from tfkd.signature import InputTensor, Signature

NAME = "image"
CHANNELS = 3
RANGE = (0.0, 255.0)


def signature(side: int) -> Signature:
    """Returns the signature of a square RGB image.

    Args:
        side: side of the image, pixels.
    """
    return Signature("image", (InputTensor(NAME, (side, side, CHANNELS), "float32", RANGE),))


def side_of(signature: Signature) -> int:
    """Returns the side of the square image of a signature, pixels."""
    return int(signature.single.shape[0] or 0)


def side_if_image(signature: Signature) -> int | None:
    """Returns the side of the square image of a signature, pixels; None for an input of another kind."""
    return side_of(signature) if signature.kind == "image" else None


def signature_of(model: Any) -> Signature:
    """Returns the signature of a model's square RGB image.

    Args:
        model: keras.Model, float [batch, side, side, 3].

    Raises:
        RequestError: its input is another one, or of variable size.
    """
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) == 1 and len(shapes[0]) == 4:
        _, height, width, channels = shapes[0]
        if height is not None and (height, channels) == (width, CHANNELS):
            return signature(height)
    raise RequestError(
        f"Model {model.name!r} takes {' and '.join(map(str, shapes))}, not one square RGB image "
        "[batch, side, side, 3]; build it for one size: keras.Input((S, S, 3))."
    )


def signature_of_file(subject: str, dtype: str, shape: Sequence[int]) -> Signature:
    """Returns the signature of an exported file's square RGB image.

    Args:
        subject: name of the file in messages.
        dtype: dtype of its input.
        shape: shape of its input, with the batch.

    Raises:
        RequestError: its input is another one.
    """
    if len(shape) != 4 or shape[1] != shape[2] or (shape[0], shape[3]) != (1, CHANNELS):
        raise RequestError(f"{subject} takes {dtype} {list(shape)}; photos fit into one square RGB image alone.")
    return signature(shape[1])


def describe(signature: Signature) -> Description:
    """Returns what files say of an image: its properties are the size and the order of the colours."""
    side = side_of(signature)
    return Description(
        tflite="RGB pixels from 0 to 255, as they are; the model normalises them.",
        coreml="RGB image; the model normalises its pixels itself.",
        size=f"{side} × {side}",
        advice="Give the model raw RGB from 0 to 255. The normalisation is inside the file, so the app must not "
        "normalise.",
        properties={"colours": "RGB", "height": side, "width": side},
        apps={
            "litert": f"the upright photo's centre square resized to {side} × {side}, as raw RGB from 0 to 255. "
            "Do not normalise: the model does it.",
            "mediapipe": "Classes and input are in the file's metadata; MediaPipe resizes, converts and names the "
            "classes.",
            "coreml": "The input is an image. Vision crops, resizes and converts it; do not normalise: the model does "
            "it.",
        },
    )
