"""Encodes images: lossless golden examples, and pictures in the report."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from tfkd.inputs.image.tensors import side_of
from tfkd.inputs.kind import ExampleError
from tfkd.signature import Signature

_LOSSLESS_SIDE = 64  # pixels; a larger photo as PNG takes several times the bytes of a JPEG that looks the same
_MEDIA_TYPES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def to_golden(images: Any) -> np.ndarray:
    """Returns images of 8 bits, uint8 [n, h, w, 3], for float32 images of the same shape, 0 to 255."""
    return np.rint(images).astype(np.uint8)


def encode_golden(image: np.ndarray, signature: Signature) -> bytes:
    """Returns an image, uint8 [h, w, 3] RGB, as a PNG."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG")
    return stream.getvalue()


def decode_golden(encoded: bytes, signature: Signature) -> np.ndarray:
    """Decodes a golden PNG once its header shows that it has the right size.

    Args:
        encoded: the file.
        signature: the student's signature.

    Returns:
        uint8 [side, side, 3].

    Raises:
        ExampleError: it is no PNG, damaged, or of another size.
    """
    size = (side_of(signature), side_of(signature))
    try:
        with Image.open(io.BytesIO(encoded), formats=["PNG"]) as image:
            if (image.size, image.mode) != (size, "RGB"):
                raise ExampleError(f"is {image.size} {image.mode}, not {size} RGB")
            return np.asarray(image)
    except ExampleError:
        raise
    except Exception:  # Pillow raises many kinds
        raise ExampleError("is no PNG image, or a damaged one") from None


def encode_shown(image: np.ndarray, signature: Signature) -> str:
    """Returns an image, uint8 [h, w, 3] RGB, as the base64 text of a PNG, or of a JPEG where a side exceeds 64 px."""
    stream = io.BytesIO()
    if max(image.shape[:2]) > _LOSSLESS_SIDE:
        Image.fromarray(image).save(stream, "jpeg", quality=90, subsampling=0, optimize=True)
    else:
        Image.fromarray(image).save(stream, "png", optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def encode_drawing(colours: np.ndarray) -> str:
    """Returns a drawing, uint8 [h, w, 4] RGB and opacity, as the base64 text of a PNG."""
    stream = io.BytesIO()
    Image.fromarray(colours, "RGBA").save(stream, "png", optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def shown_type(text: str) -> str:
    """Returns "image/png" or "image/jpeg" for the base64 text of such a file.

    Raises:
        ValueError: it is neither.
    """
    content = base64.b64decode(text, validate=True)
    found = [kind for signature, kind in _MEDIA_TYPES.items() if content.startswith(signature)]
    if not found:
        raise ValueError("not the base64 text of a PNG or JPEG; encode it with tfkd.inputs.image.files.encode_shown")
    return found[0]
