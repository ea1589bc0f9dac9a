"""Conversion of raw values to the input of a .tflite file, by its metadata, its quantized form or its user."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfkd.errors import RequestError
from tfkd.inputs.image.normalization import ADVICE, AS_THEY_ARE, BYTES, ImageNormalization, of_bytes
from tfkd.inputs.image.tensors import signature_of_file
from tfkd.inputs.table.tensors import signature as signature_of_row
from tfkd.inputs.text.tensors import signature as signature_of_text
from tfkd.signature import Signature
from tfkd.verification import metadata, tflite
from tfkd.verification.records import Tensor

_IDS = "int32"  # dtype of the input of a text


@dataclass(frozen=True)
class Feed:
    """Turns raw values into a file's input.

    Attributes:
        tensor: the input tensor.
        normalization: of raw values; None if the input takes them as they are, as bytes or ids.
        source: where the normalization comes from, for reports.
    """

    tensor: Tensor
    normalization: ImageNormalization | None
    source: str

    def __call__(self, raw: np.ndarray) -> np.ndarray:
        """Returns the input [1, ...] of one raw example, in the input's dtype."""
        if self.normalization is None:
            return tflite.as_taken(raw, np.dtype(self.tensor.dtype))[np.newaxis]
        values = self.normalization(raw)[np.newaxis]
        if self.tensor.scale is None or self.tensor.zero_point is None:
            return values
        limits = np.iinfo(self.tensor.dtype)
        steps = np.rint(values / self.tensor.scale) + self.tensor.zero_point
        return np.clip(steps, limits.min, limits.max).astype(self.tensor.dtype)

    def __str__(self) -> str:
        if self.tensor.dtype == _IDS or len(self.tensor.shape) == 2:
            return self.source
        values = AS_THEY_ARE if self.normalization is None else str(self.normalization)
        return f"{values} ({self.source})"


@dataclass(frozen=True)
class _Input:
    """A file's input; `stated` is the normalization in the file's metadata."""

    path: Path
    tensor: Tensor
    stated: ImageNormalization | None

    @property
    def is_bytes(self) -> bool:
        return self.tensor.dtype in BYTES

    @property
    def is_row(self) -> bool:
        return self.tensor.dtype == "float32" and len(self.tensor.shape) == 2

    @property
    def plain(self) -> ImageNormalization | None:
        """The normalization of a quantized input, if its range is a usual one."""
        scale, zero_point = self.tensor.scale, self.tensor.zero_point
        if not self.is_bytes or scale is None or zero_point is None:
            return None
        return of_bytes(self.tensor.dtype, scale, zero_point)


def signature(path: Path) -> Signature:
    """Returns the signature of a file's examples.

    Raises:
        RequestError: its input is of no known kind.
        VerifyError: the file cannot be loaded, or it takes ids without their vocabulary or a row without its columns.
    """
    tensor = tflite.io(path).input
    if tensor.dtype == _IDS:
        return signature_of_text(tensor.shape[-1], tflite.pieces(path))
    if len(tensor.shape) == 2:
        return signature_of_row(tflite.columns(path))
    return signature_of_file(str(path), tensor.dtype, tensor.shape)


def feeds(path: Path, against: Path, stated: ImageNormalization | None = None) -> tuple[Feed, Feed]:
    """Returns how the same examples are converted to the inputs of a file and of its float file.

    Byte inputs and ids of texts get raw values, as from apps. Float inputs are normalized by the first of: `stated`,
    the file's metadata, the metadata of the other file, the range of the other file's bytes.

    Args:
        path: of a file.
        against: of the float file of the same network.
        stated: the user's normalization; must not contradict the files' metadata.

    Raises:
        RequestError: the normalization of a file is unknown, or its metadata contradict `stated`.
        VerifyError: a file cannot be loaded.
    """
    ours, theirs = _input(path), _input(against)
    return _feed(ours, theirs, stated), _feed(theirs, ours, stated)


def _input(path: Path) -> _Input:
    return _Input(path, tflite.io(path).input, metadata.normalization(tflite.model(path)))


def _feed(file: _Input, other: _Input, stated: ImageNormalization | None) -> Feed:
    if stated and file.stated and not replace(stated, bgr=False).same_as(file.stated):
        raise RequestError(
            f"{file.path} states in its metadata that it wants {file.stated}, not {stated}; leave --normalization out."
        )
    if file.tensor.dtype == _IDS:
        return _feed_ids(file, stated)
    if file.is_row:
        return Feed(file.tensor, None, "rows as they are")
    if file.is_bytes:
        return _feed_bytes(file, stated)
    if file.tensor.dtype != "float32":
        raise RequestError(f"{file.path} takes {file.tensor.dtype}; give a file that takes float32, uint8 or int8.")
    known = (
        (stated, "--normalization"),
        (file.stated, "its metadata"),
        (other.stated, f"the metadata of {other.path.name}"),
        (other.plain, f"the range of {other.path.name}"),
    )
    for normalization, source in known:
        if normalization is not None:
            return Feed(file.tensor, normalization, source)
    raise RequestError(f"{file.path} does not state its range of pixel values; {ADVICE}")


def _feed_ids(file: _Input, stated: ImageNormalization | None) -> Feed:
    if stated:
        raise RequestError(f"{file.path} takes the ids of a text, which are not normalized; leave --normalization out.")
    return Feed(file.tensor, None, "ids as they are")


def _feed_bytes(file: _Input, stated: ImageNormalization | None) -> Feed:
    if stated and not file.stated:
        return Feed(file.tensor, stated, "--normalization")
    if file.stated or file.plain or file.tensor.scale is None:
        return Feed(file.tensor, None, f"{file.tensor.dtype} input")
    low, high = file.tensor.range or (0.0, 0.0)
    raise RequestError(f"{file.path} takes values from {low:.3g} to {high:.3g}, not a usual range of pixels; {ADVICE}")
