"""A published bundle as Python objects: for notebooks, the tests of apps, and other programs."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd import arguments
from tfkd.bundle import golden, measurements, seal
from tfkd.bundle.golden import Golden
from tfkd.bundle.manifest import Manifest, read_manifest
from tfkd.bundle.measurements import Record
from tfkd.bundle.publishing import opened
from tfkd.bundle.reading import card_from
from tfkd.errors import RequestError, nearest
from tfkd.files import content_digest, write_bytes
from tfkd.inputs import kind_of
from tfkd.labels import LABELS, labels_text
from tfkd.verification import VerifyError
from tfkd.verification.apart import Apart
from tfkd.verification.records import Artifact

_BATCH = 64
_NAME = "the path of a file in the bundle, or its name, e.g. 'pets_int8.tflite'"


@dataclass(frozen=True, repr=False)
class Bundle:
    """What a bundle holds, read at one moment and independent of its folder afterwards.

    Attributes:
        folder: that was read.
        manifest: sizes, accuracies, latencies, gates and all else that the report shows.
        labels: the classes, in the order of every file's output.
        golden: a few test images, their classes, and the probabilities that each file must give.
        measurements: what was measured on devices later, the oldest first.
        files: the bytes of every exported file by its path in the bundle; of an .mlpackage, of every file in it, and
            none under the names of its empty folders, which end in a slash.
    """

    folder: Path
    manifest: Manifest
    labels: tuple[str, ...]
    golden: Golden
    measurements: tuple[Record, ...]
    files: Mapping[str, bytes]

    def __repr__(self) -> str:
        manifest = self.manifest
        return (
            f"Bundle({str(self.folder)!r}: {manifest.name}, {len(manifest.artifacts)} files, "
            f"{len(self.labels)} classes, student {manifest.student.accuracy:.1%} right)"
        )

    def artifact(self, name: str) -> Artifact:
        """Returns what the manifest says of an exported file.

        Args:
            name: its path in the bundle, or the name of the file alone.

        Raises:
            RequestError: there is no such file.
        """
        arguments.text("name", name, _NAME)
        by_name = {each.path.rpartition("/")[2]: each for each in self.manifest.artifacts}
        by_name |= {each.path: each for each in self.manifest.artifacts}
        if name not in by_name:
            paths = [each.path for each in self.manifest.artifacts]
            raise RequestError(f"{self.folder} has no file {name!r}.{nearest(name, paths)}")
        return by_name[name]

    def content(self, name: str) -> bytes:
        """Returns the bytes of a .tflite, .mlmodel or .onnx file, such as LiteRT's `model_content` takes them.

        Args:
            name: as in `artifact`.

        Raises:
            RequestError: there is no such file, or it is a package of several files.
        """
        path = self.artifact(name).path
        if path not in self.files:
            raise RequestError(f"{path} is a package of several files; write it to a folder with save({name!r}, ...).")
        return self.files[path]

    def predict(self, images: Any, file: str | None = None) -> np.ndarray:
        """Runs an exported file on images or texts in a separate process, as `tfkd verify` does.

        .tflite files run on LiteRT, .onnx files on ONNX Runtime, and Core ML files on tfkd's own evaluator.

        Args:
            images: raw RGB 0..255, uint8 or numbers of another dtype, [n, H, W, 3]; one image [H, W, 3]; or a list of
                images of any sizes. The largest square in the middle of each is resized to the file's input. A student
                that sees grey or edges takes such images, as the app gives them. Of a classifier of texts: one text, or
                several.
            file: as in `artifact`; default: the first of the manifest, the float .tflite file.

        Returns:
            float32 [n, classes], probabilities in the order of `labels`.

        Raises:
            RequestError: there is no such file, or the inputs have another shape or type, or other values.
            VerifyError: the file cannot be run here, or crashes its runtime.
        """
        arguments.text("file", file, _NAME, optional=True)
        artifact = self.artifact(self.manifest.artifacts[0].path if file is None else file)
        signature = self.manifest.signature
        inputs = kind_of(signature.kind).from_memory(images, signature)
        if not len(inputs):
            return np.zeros((0, len(self.labels)), np.float32)
        batches = (inputs[first : first + _BATCH] for first in range(0, len(inputs), _BATCH))
        with tempfile.TemporaryDirectory() as folder, Apart() as runner:
            path = self.save(artifact.path, folder)
            card = card_from(self.manifest).with_score_threshold(artifact.least_probability)
            return runner.run(path, artifact.format, card, signature, batches).probabilities

    def save(self, name: str, folder: str | os.PathLike[str]) -> Path:
        """Writes an exported file, or a package, into a folder, and returns its path there.

        Args:
            name: as in `artifact`.
            folder: where to; it is made where it is missing.

        Raises:
            RequestError: there is no such file, or it cannot be written.
        """
        path, place = self.artifact(name).path, arguments.path("folder", folder)
        before = len(path.rpartition("/")[0])
        for inside in _parts(path, self.files):
            target = Path(place, inside[before:].lstrip("/"))
            if inside.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
            else:
                write_bytes(target, self.files[inside])
        return Path(place, path.rpartition("/")[2])


def load_bundle(folder: str | os.PathLike[str]) -> Bundle:
    """Reads a bundle whole, from one published version of it, also while another process publishes the next.

    The folder is opened once, and everything is read relative to that descriptor. The files are compared with their
    hashes in the manifest; `tfkd verify` proves the bundle further.

    Args:
        folder: of the bundle, such as exported_models/quickstart.

    Raises:
        RequestError: the folder is no bundle, or a file of it is missing, damaged or another one than the manifest's.
    """
    path = arguments.path("folder", folder)
    with opened(path) as here:
        manifest = read_manifest(here)
        try:
            listed, _ = seal.listing(here)
            return Bundle(
                folder=path,
                manifest=manifest,
                labels=_labels(here, manifest),
                golden=golden.read(here, manifest.data.classes, manifest.signature),
                measurements=tuple(measurements.read(here)),
                files=_files(here, manifest, listed),
            )
        except VerifyError as error:
            raise RequestError(f"{folder}: {error} Make the bundle again.") from None


def _labels(here: Path, manifest: Manifest) -> tuple[str, ...]:
    if seal.text(here / LABELS).replace("\r\n", "\n") != labels_text(manifest.data.classes):
        raise VerifyError(f"{LABELS}: does not hold the classes of the manifest, one a line, in order.")
    return tuple(manifest.data.classes)


def _files(here: Path, manifest: Manifest, listed: Mapping[str, Path]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for artifact in manifest.artifacts:
        parts = _parts(artifact.path, listed)
        if not parts:
            raise VerifyError(f"{artifact.path}: is missing.")
        if content_digest(here / artifact.path) != artifact.sha256:
            raise VerifyError(f"{artifact.path}: is not the file that the manifest describes (its SHA-256 differs).")
        found |= {name: listed[name].read_bytes() for name in parts}
        folders = (path for path in (here / artifact.path).rglob("*") if path.is_dir() and not any(path.iterdir()))
        found |= {f"{path.relative_to(here).as_posix()}/": b"" for path in folders}
    return found


def _parts(path: str, names: Mapping[str, object]) -> list[str]:
    """Returns the names of a file, or of all files in a package."""
    return [name for name in names if name == path or name.startswith(f"{path}/")]
