"""The bundle around the exported files: labels, golden images, manifest and checksums."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfkd import files
from tfkd.bundle.manifest import Manifest
from tfkd.errors import RequestError
from tfkd.inputs.image.files import encode_golden

LABELS = "labels.txt"
CHECKSUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
MEASUREMENTS = "measurements"  # outside of the seal
_SIDECARS = {".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini"}  # of macOS and Windows, in lower case
_APPLE_DOUBLE, _OF_ARCHIVES = "._", "__MACOSX"  # begins a file's name; a folder


@dataclass(frozen=True)
class Golden:
    """A few real images with the answers that every runtime must give.

    Attributes:
        images: uint8 [n, S, S, 3] RGB at the student's input size.
        labels: int64 [n], the true classes; -1 where unknown.
        expected: float32 [n, classes] probabilities of each file's reference family, by its path in the bundle; `keras`
            for the Keras student.
        others: the same of further runtime families (tfkd.verification.families), by family and path.
        unknown: families whose answers were not read, because this version does not know them.
    """

    images: np.ndarray
    labels: np.ndarray
    expected: dict[str, np.ndarray]
    others: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


def assemble(folder: Path, manifest: Manifest, golden: Golden) -> None:
    """Writes labels.txt, golden/ and manifest.json into a bundle's folder.

    Raises:
        RequestError: a class name cannot stand on a line of its own, or the folder cannot be written.
    """
    files.write_text(folder / LABELS, labels_text(manifest.data.classes))
    _write_golden(folder / "golden", golden, manifest.data.classes)
    files.write_json(folder / MANIFEST, manifest.model_dump(mode="json", by_alias=True))


def is_sidecar(path: str) -> bool:
    """Tells whether a file is one that macOS or Windows leaves in a folder, and no part of a bundle.

    Args:
        path: in the bundle, with forward slashes.
    """
    parts = path.split("/")
    return parts[-1].lower() in _SIDECARS or parts[-1].startswith(_APPLE_DOUBLE) or _OF_ARCHIVES in parts


def labels_text(classes: Iterable[str]) -> str:
    """Returns the content of labels.txt: one class a line, in the order of the output.

    Raises:
        RequestError: a name is empty, holds a line break, or stands twice: Core ML gives probabilities by name.
    """
    names = list(classes)
    for name, times in Counter(names).items():
        if times > 1:
            raise RequestError(f"Two classes are named {name!r}; an app could not tell them apart. Rename one.")
        if name.splitlines() != [name]:
            raise RequestError(f"The class name {name!r} cannot stand on a line of {LABELS}; rename it.")
    return "".join(f"{name}\n" for name in names)


def seal(folder: Path) -> None:
    """Writes SHA256SUMS over every other file of the folder but measurements, in the form that `sha256sum -c` reads."""
    sums = [(path, digest) for path, digest in _sealed(folder) if path != CHECKSUMS]
    files.write_text(folder / CHECKSUMS, _lines(sums))


def same(folder: Path, other: Path) -> bool:
    """Tells whether two folders hold the same files with the same content, measurements aside."""
    return folder.is_dir() and other.is_dir() and _sealed(folder) == _sealed(other)


def size(path: Path) -> int:
    """Returns the bytes of a file, or of all files in a folder such as an .mlpackage."""
    return sum(file.stat().st_size for file in _files(path)) if path.is_dir() else path.stat().st_size


def compressed_size(path: Path) -> int:
    """Returns the bytes of a file once it is deflated (RFC 1951) at the highest level, as in an app's package."""
    deflate = zlib.compressobj(zlib.Z_BEST_COMPRESSION, wbits=-zlib.MAX_WBITS)
    return len(deflate.compress(path.read_bytes())) + len(deflate.flush())


def digest(path: Path) -> str:
    """Returns the hex SHA-256 of a file; of a folder: of its sorted `sha256  path` lines."""
    return hashlib.sha256(_lines(_digests(path)).encode()).hexdigest() if path.is_dir() else files.sha256(path)


def _write_golden(folder: Path, golden: Golden, classes: list[str]) -> None:
    names = [f"{index:03d}.png" for index in range(len(golden.images))]
    for name, image in zip(names, golden.images, strict=True):
        files.write_bytes(folder / name, encode_golden(image))
    entries = [
        {
            "file": name,
            "label": classes[label] if label >= 0 else None,
            "probabilities": _row(golden.expected, index),
            "families": {family: _row(answers, index) for family, answers in golden.others.items()},
        }
        for index, (name, label) in enumerate(zip(names, golden.labels.tolist(), strict=True))
    ]
    files.write_json(folder / "golden.json", {"classes": classes, "images": entries})


def _row(answers: dict[str, np.ndarray], index: int) -> dict[str, list[float]]:
    return {source: probabilities[index].tolist() for source, probabilities in answers.items()}


def _sealed(folder: Path) -> list[tuple[str, str]]:
    return [(path, digest) for path, digest in _digests(folder) if not path.startswith(f"{MEASUREMENTS}/")]


def _digests(folder: Path) -> list[tuple[str, str]]:
    return sorted((file.relative_to(folder).as_posix(), files.sha256(file)) for file in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    """Yields the files of a bundle, or of a package in it."""
    return (
        path for path in files.walk(folder) if path.is_file() and not is_sidecar(path.relative_to(folder).as_posix())
    )


def _lines(digests: list[tuple[str, str]]) -> str:
    return "".join(f"{digest}  {path}\n" for path, digest in digests)
