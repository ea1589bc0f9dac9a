"""Reads the golden images of a bundle and the answers that stand beside them; nothing in it is trusted."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tfkd.export.bundle import Golden
from tfkd.verify import VerifyError

FOLDER = "golden"
INDEX = "golden.json"

# A CPU may round otherwise than the one that wrote the answers: floats by their order of summation, and where values
# are rounded to few bits, by a step of these here or there. Between x86 and ARM 4e-7 and 0 were measured in float and
# int8 files. An ML program rounds every value to float16.
_TOLERANCE = {"fp32": 1e-4, "fp16": 1e-4, "dynamic": 2e-2, "int8": 2 / 256, "16x8": 2e-3}
_FLOAT_NETWORK = 1e-4  # a neural network computes in fp32, however its weights are stored
_HALF_PROGRAM = 1e-2

_LARGEST = 1 << 26  # bytes of an image or of the index


def tolerance(format: str, precision: str) -> float:
    """Returns how far a file's probabilities may lie from the stored ones on another machine."""
    if format == "mlmodel":
        return _FLOAT_NETWORK
    if format == "mlpackage":
        return _TOLERANCE["fp32"] if precision == "fp32" else _HALF_PROGRAM
    return _TOLERANCE.get(precision, max(_TOLERANCE.values()))


class _Image(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    file: str = Field(pattern=r"^[0-9]{3,6}\.png$")
    label: str | None
    probabilities: dict[str, list[float]]


class _Index(BaseModel):
    model_config = ConfigDict(extra="forbid")
    classes: list[str]
    images: list[_Image] = Field(min_length=1)


def read(bundle: Path, classes: Sequence[str], size: int) -> Golden:
    """Reads the golden images of a bundle.

    Args:
        bundle: its folder.
        classes: of the model, in order.
        size: side of its input, pixels.

    Raises:
        VerifyError: they cannot be read, are of another size, or their answers are of other classes.
    """
    folder = bundle / FOLDER
    index = _index(folder / INDEX)
    if index.classes != list(classes):
        raise VerifyError(f"{FOLDER}/{INDEX}: names other classes than the manifest.")
    for image in index.images:
        if image.label is not None and image.label not in index.classes:
            raise VerifyError(f"{FOLDER}/{INDEX}: {image.file} has the unknown label {image.label!r}.")
        if image.probabilities.keys() != index.images[0].probabilities.keys():
            raise VerifyError(f"{FOLDER}/{INDEX}: {image.file} has the answers of other files than the first image.")
        if any(len(answer) != len(classes) for answer in image.probabilities.values()):
            raise VerifyError(f"{FOLDER}/{INDEX}: {image.file} has not one probability a class.")
    labels = [-1 if image.label is None else index.classes.index(image.label) for image in index.images]
    expected = {
        source: np.array([image.probabilities[source] for image in index.images], np.float32)
        for source in index.images[0].probabilities
    }
    pixels = np.stack([_pixels(folder / image.file, size) for image in index.images])
    return Golden(pixels, np.array(labels, np.int64), expected)


def _index(path: Path) -> _Index:
    try:
        return _Index.model_validate_json(_content(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise VerifyError(f"{FOLDER}/{INDEX}: {place or 'it'}: {first['msg']}.") from None


def _pixels(path: Path, size: int) -> np.ndarray:
    """Decodes an image once its header has told that it has the right size."""
    content = _content(path)
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if (image.size, image.mode) != ((size, size), "RGB"):
                raise VerifyError(f"{FOLDER}/{path.name}: is {image.size} {image.mode}, not {(size, size)} RGB.")
            return np.asarray(image)
    except VerifyError:
        raise
    except Exception:  # Pillow raises many kinds
        raise VerifyError(f"{FOLDER}/{path.name}: is no PNG image, or a damaged one.") from None


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise VerifyError(f"{FOLDER}/{path.name}: cannot be read: {error.strerror}.") from None
    if len(content) > _LARGEST:
        raise VerifyError(f"{FOLDER}/{path.name}: is larger than {_LARGEST:,} bytes, which none is.")
    return content
