"""What is measured: the files of a bundle, with the golden images and the answers that each file must give to them."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import numpy as np
from pydantic import ValidationError

from tfkd.bench.results import File, first_fault
from tfkd.bench.results import Golden as Compared
from tfkd.errors import RequestError, nearest
from tfkd.export import bundle
from tfkd.export.bundle import Golden
from tfkd.export.manifest import Artifact, Manifest
from tfkd.verify import VerifyError, golden

# A device may round otherwise than the machine that wrote the golden answers: floats by their order of summation, a GPU
# by computing in float16, integers by a step of 1/256 here or there.
TOLERANCE = {"fp32": 1e-3, "fp16": 1e-2, "dynamic": 2e-2, "int8": 2 / 256}
LOOSEST = max(TOLERANCE.values())


@dataclass(frozen=True)
class Expected:
    """The answers that a file must give.

    Attributes:
        probabilities: float32 [n, classes], in the order of the golden images.
        tolerance: the largest difference of a probability that passes.
    """

    probabilities: np.ndarray
    tolerance: float

    def compare(self, answers: np.ndarray) -> Compared:
        """Compares a device's answers, float [n, classes]; what is not a number fails.

        Equal first classes are told, not judged: where they differ within the tolerance, two classes were level.

        Raises:
            RequestError: the answers have another shape.
        """
        if answers.shape != self.probabilities.shape:
            raise RequestError(
                f"The device gave answers of shape {answers.shape} to the golden images, not "
                f"{self.probabilities.shape}. The file is not the bundle's; export it again."
            )
        differences = np.abs(answers - self.probabilities)
        error = float(np.where(np.isfinite(differences), differences, 1.0).max())
        return Compared(
            checked=len(answers),
            max_abs_error=error,
            tolerance=self.tolerance,
            top1_equal=float(np.mean(answers.argmax(axis=1) == self.probabilities.argmax(axis=1))),
            passed=error <= self.tolerance,
        )


@dataclass(frozen=True)
class Subject:
    """Files to measure.

    Attributes:
        paths: artifact name (in a bundle: its path there) to the file.
        artifacts: the same names to what results say about them.
        images: uint8 [n, S, S, 3], the golden images; n is 0 without.
        expected: names to the answers; without those that have none.
    """

    paths: dict[str, Path]
    artifacts: dict[str, File]
    images: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    expected: dict[str, Expected] = field(default_factory=dict)


def of_files(paths: dict[str, Path]) -> Subject:
    """Makes a subject of single files, without golden answers.

    Raises:
        RequestError: a file is missing.
    """
    for path in paths.values():
        if not path.is_file():
            raise RequestError(f"Cannot time {path}: there is no such file. Export it again.")
    return Subject(paths, {name: File(path=name, sha256=bundle.digest(path)) for name, path in paths.items()})


def of_bundle(folder: Path, formats: tuple[str, ...] = ("tflite",), only: str = "*") -> Subject:
    """Makes a subject of a bundle's files, after comparing them with their hashes in the manifest.

    Args:
        folder: of the bundle.
        formats: what the target can run.
        only: pattern of the paths in the bundle, as a shell's: `*_int8.tflite`.

    Raises:
        RequestError: the folder is no bundle, a file is not what the manifest says, or there is none of those formats.
    """
    described = manifest_of(folder)
    fitting = {each.path: each for each in described.artifacts if each.format in formats}
    if not fitting:
        raise RequestError(f"{folder} holds no {' or '.join(formats)} file. Add it to the recipe's export and run it.")
    chosen = {path: each for path, each in fitting.items() if fnmatchcase(path, only)}
    if not chosen:
        raise RequestError(f"No file of {folder} is called {only!r}.{nearest(only, list(fitting))}")
    paths = {name: _verified(folder, artifact) for name, artifact in chosen.items()}
    files = {name: File(path=name, sha256=artifact.sha256) for name, artifact in chosen.items()}
    stored = _golden(folder, described)
    expected = {
        name: Expected(stored.expected[name], TOLERANCE.get(artifact.precision, LOOSEST))
        for name, artifact in chosen.items()
        if name in stored.expected
    }
    return Subject(paths, files, stored.images, expected)


def manifest_of(folder: Path) -> Manifest:
    """Reads a bundle's manifest.

    Raises:
        RequestError: there is none, or it is not of this version's schema.
    """
    path = folder / "manifest.json"
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RequestError(
            f"{folder} is no bundle: cannot read {path.name}: {error.strerror}. "
            "Name a folder that tfkd run made, e.g. exported_models/quickstart."
        ) from None
    except ValidationError as error:
        raise RequestError(f"{path}: {first_fault(error)}. Make the bundle again with this version.") from None


def _golden(folder: Path, described: Manifest) -> Golden:
    try:
        return golden.read(folder, described.data.classes, described.student.image_size)
    except VerifyError as error:
        raise RequestError(f"{folder}: {error} Make the bundle again.") from None


def _verified(folder: Path, artifact: Artifact) -> Path:
    inside = PurePosixPath(artifact.path)
    if inside.is_absolute() or ".." in inside.parts:
        raise RequestError(f"{folder}/manifest.json names {artifact.path}, which is outside the bundle.")
    path = folder / inside
    if not path.exists():
        raise RequestError(f"Cannot time {path}: there is no such file. Make the bundle again.")
    if bundle.digest(path) != artifact.sha256:
        raise RequestError(f"{path} is not the file of the manifest: its SHA-256 differs. Make the bundle again.")
    return path
