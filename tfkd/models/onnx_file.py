"""ONNX files as functions from raw images, run by onnxruntime in a process apart."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np

from tfkd.errors import RequestError
from tfkd.inputs.image.normalization import ImageNormalization
from tfkd.inputs.image.tensors import signature
from tfkd.models import onnx_worker
from tfkd.processes import FORKSERVER
from tfkd.sandbox import Sandbox
from tfkd.signature import Signature

NEEDED = ("onnx", "onnxruntime")


class OnnxFile:
    """An ONNX file that is open in a process apart.

    Args:
        path: path of the file.
        normalization: what it expects.
        output: name of the output or inner tensor to use; None for its only output.
        taps: names of further tensors.
        image_size: side of the images, pixels, for a file that takes images of any size.

    Attributes:
        description: what it takes and gives.

    Raises:
        RequestError: the extra is missing, or the file cannot be used (see `tfkd.models.onnx_worker.describe`).
    """

    def __init__(
        self,
        path: Path,
        normalization: ImageNormalization,
        output: str | None = None,
        taps: Sequence[str] = (),
        image_size: int | None = None,
    ) -> None:
        require_installed()
        if not path.is_file():
            raise RequestError(f"There is no model file {path}.")
        self.path = path
        self._normalization = normalization
        self._asked = (tuple(taps), image_size)
        self._sandbox = Sandbox(RequestError, context=FORKSERVER)
        try:
            self.description = self._described(output)
            if self.description.dtype == "uint8" and normalization.changes:
                raise RequestError(f"{path} takes raw pixels as uint8; leave the teacher's normalization out.")
        except BaseException:
            self.close()
            raise

    def choose(self, output: str) -> None:
        """Uses another output or inner tensor."""
        self.description = self._described(output)

    def _described(self, output: str | None) -> onnx_worker.OnnxDescription:
        found: onnx_worker.OnnxDescription = self._sandbox.call(
            self.path, onnx_worker.describe, self.path, output, *self._asked
        )
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self._sandbox.__exit__()

    @property
    def signature(self) -> Signature:
        """What it takes: raw images."""
        return signature(self.description.size)

    @property
    def width(self) -> int:
        """Number of values of the output of one image.

        Raises:
            RequestError: they are no row.
        """
        *sides, width = self.description.shapes[""] or (1,)
        if any(side != 1 for side in sides):
            raise RequestError(
                f"{self.path} gives {[*sides, width]} numbers per image, not a row; set output to a tensor that is."
            )
        return width

    def rows(self, images: np.ndarray) -> np.ndarray:
        """Returns the output of raw images, float32 [b, values]; errors as of `run`."""
        return self.run(images)[""].reshape(len(images), -1)

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the output, as "", and each tap of raw images.

        Args:
            images: float [b, S, S, 3] raw RGB 0..255.

        Returns:
            float32 [b, ...] by name, channels last.

        Raises:
            RequestError: it cannot be run, crashes or takes too long, or gives NaN or infinity.
        """
        normalized = self._normalization(images) if self._normalization.changes else np.asarray(images, np.float32)
        found: dict[str, Any] = self._sandbox.call(
            self.path, onnx_worker.run, self.path, self.description, batches=[normalized]
        )
        for name, values in found.items():
            if not np.isfinite(values).all():
                place = f" in {name!r}" if name else ""
                raise RequestError(f"{self.path} gives NaN or infinity{place}; check its weights and normalization.")
        return found


def require_installed() -> None:
    """Raises a RequestError if the packages that read and run ONNX files are missing."""
    if any(find_spec(name) is None for name in NEEDED):
        raise RequestError('ONNX files need the extra "onnx": pip install "tfkd[onnx]".')
