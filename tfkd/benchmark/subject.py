"""The files to measure, with golden images and the expected predictions of each file."""

import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tfkd.bundle import golden, golden_answers, seal
from tfkd.bundle.golden import Golden
from tfkd.bundle.manifest import read_manifest
from tfkd.bundle.results import File, GoldenCheck, Result
from tfkd.errors import RequestError, cause, nearest
from tfkd.files import content_digest
from tfkd.formats import FORMATS
from tfkd.formats.families import FAMILIES
from tfkd.verification import VerifyError
from tfkd.verification.records import Artifact


@dataclass(frozen=True)
class Expected:
    """The expected predictions of a file.

    Attributes:
        format: of the file.
        precision: of the file.
        answers: float32 [n, classes] by runtime family, in the order of the golden images.
        tolerances: by family, the largest difference of a probability that passes.
        step: of a quantized output; None for floats.
    """

    format: str
    precision: str
    answers: dict[str, np.ndarray]
    tolerances: dict[str, float]
    step: float | None = None

    @property
    def classes(self) -> int:
        return next(iter(self.answers.values())).shape[1]

    def compare(self, predictions: np.ndarray, accepted: Sequence[str]) -> GoldenCheck | None:
        """Compares a device's predictions with those of the families that its runtime can belong to.

        Args:
            predictions: float [n, classes].
            accepted: names of families; a family that the bundle lacks is replaced by its `stands_in`.

        Returns:
            The comparison that passes, else the nearest; None if the bundle has none of the families.

        Raises:
            RequestError: the predictions have another shape.
        """
        shape = next(iter(self.answers.values())).shape
        if predictions.shape != shape:
            raise RequestError(
                f"The device's predictions for the golden examples have the shape {predictions.shape}, not "
                f"{shape}. Give golden predictions of this file, or export the bundle again."
            )
        right = {family: self._right(family) for family in accepted}
        known = {family: probabilities for family, probabilities in right.items() if probabilities is not None}
        if not known:
            return None
        compared = golden_answers.compare(predictions, known, self.tolerances, self.step)
        return GoldenCheck(
            family=compared.family,
            fault=compared.fault,
            checked=len(predictions),
            max_abs_error=min(compared.error, 1.0),
            tolerance=compared.tolerance,
            top1_equal=compared.top1_equal,
            passed=compared.passed,
        )

    def rejudged(self, stated: GoldenCheck, delegate: str) -> GoldenCheck:
        """Judges what an app compared on the device by the families that its runtime can be and their tolerances here.

        Args:
            stated: the app's comparison; an older app does not name the family, and compares with the first.
            delegate: what ran the graph.
        """
        accepted = FORMATS[self.format].accepted_families(self.precision, delegate)
        family = stated.family or accepted[0]
        if family not in accepted:
            fault = f"are those of {family!r}, which {delegate} cannot be"
            return stated.model_copy(update={"fault": fault, "passed": False})
        allowed = min(stated.tolerance, self.tolerances[family])
        passed = stated.fault is None and stated.max_abs_error <= allowed
        return stated.model_copy(update={"family": family, "tolerance": allowed, "passed": passed})

    def _right(self, family: str) -> np.ndarray | None:
        stands_in = FAMILIES[family].stands_in
        return self.answers.get(family, self.answers.get(stands_in) if stands_in else None)


@dataclass(frozen=True)
class BenchSubject:
    """Files to measure.

    Attributes:
        paths: artifact name (in a bundle: its path there) to the file.
        artifacts: the same names to the files' records in results.
        images: uint8 [n, S, S, 3], the golden images, or int32 [n, length], the ids of the golden texts; n is 0 if
            there are none.
        expected: the same names to the expected predictions, for files that have some.
    """

    paths: dict[str, Path]
    artifacts: dict[str, File]
    images: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8))
    expected: dict[str, Expected] = field(default_factory=dict)

    def rejudged(self, result: Result) -> Result:
        """Judges an app's own comparison with the golden predictions again (see `Expected.rejudged`)."""
        expected = self.expected.get(result.artifact.path)
        if expected is None or result.golden is None:
            return result
        return result.model_copy(update={"golden": expected.rejudged(result.golden, result.delegate)})


def of_files(paths: dict[str, Path]) -> BenchSubject:
    """Creates a subject from single files, without expected predictions.

    Raises:
        RequestError: a file is missing.
    """
    for path in paths.values():
        if not path.is_file():
            raise RequestError(f"Cannot time {path}: there is no such file. Export it again.")
    return BenchSubject(paths, {name: File(path=name, sha256=content_digest(path)) for name, path in paths.items()})


def of_file(path: Path, formats: tuple[str, ...], golden_answers: Path | None = None) -> BenchSubject:
    """Creates a subject from a .tflite file that is in no bundle.

    Args:
        path: of the file.
        formats: formats that the target runs.
        golden_answers: a NumPy archive (.npz) with `images`, uint8 [n, H, W, 3] raw RGB, or `ids`, int32 [n, length]
            of texts, and `answers`, float [n, classes], the expected probabilities; optionally `tolerance`, the
            largest difference of a probability that passes, if narrower than that of the runtime (tfkd.formats).

    Raises:
        RequestError: it is not a .tflite file, the target cannot run it, or the archive is not of this form, or has
            images or ids that the file does not take.
    """
    if path.suffix != ".tflite" or "tflite" not in formats:
        raise RequestError(
            f"{path} cannot be measured alone: name a .tflite file and a target that runs it, or a bundle's folder."
        )
    subject = of_files({path.name: path})
    if golden_answers is None:
        return subject
    images, predictions, tolerance = _archive(golden_answers)
    (_require_taken if _are_ids(images) else _require_size)(path, images, golden_answers)
    format = FORMATS["tflite"]
    tolerances = {family: min(format.widest(family), tolerance) for family in format.families}
    expected = Expected(format.name, "", dict.fromkeys(format.stored, predictions), tolerances)
    return BenchSubject(subject.paths, subject.artifacts, images, {path.name: expected})


def of_bundle(folder: Path, formats: tuple[str, ...] = ("tflite",), only: str = "*") -> BenchSubject:
    """Makes a subject of a bundle's files, after comparing them with their hashes in the manifest.

    Args:
        folder: of the bundle.
        formats: what the target can run.
        only: pattern of the paths in the bundle, as a shell's: `*_int8.tflite`.

    Raises:
        RequestError: the folder is no bundle, a file is not what the manifest says, or there is none of those formats.
    """
    described = read_manifest(folder)
    _require_plain_files(folder)
    fitting = {each.path: each for each in described.artifacts if each.format in formats}
    if not fitting:
        raise RequestError(f"{folder} holds no {' or '.join(formats)} file. Add it to the recipe's export and run it.")
    artifacts = {path: each for path, each in fitting.items() if fnmatchcase(path, only)}
    if not artifacts:
        raise RequestError(f"No file of {folder} is called {only!r}.{nearest(only, list(fitting))}")
    paths = {name: _verified(folder, artifact) for name, artifact in artifacts.items()}
    files = {name: File(path=name, sha256=artifact.sha256) for name, artifact in artifacts.items()}
    try:
        stored = golden.read(folder, described.data.classes, described.signature)
        expected = {
            name: _expected(stored, artifact) for name, artifact in artifacts.items() if name in stored.expected
        }
    except VerifyError as error:
        raise RequestError(f"{folder}: {error} Make the bundle again.") from None
    return BenchSubject(paths, files, stored.images, expected)


def _require_plain_files(folder: Path) -> None:
    """Raises RequestError where a bundle holds links, devices or pipes, which could lead elsewhere or never end."""
    try:
        seal.listing(folder)
    except VerifyError as error:
        raise RequestError(f"{folder}: {error}") from None


def _archive(path: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Reads images or ids, predictions and tolerance (see `of_file`)."""
    if path.is_file() and not zipfile.is_zipfile(path):
        raise RequestError(f"{path} is no .npz file. Save one with the arrays images (or ids) and answers.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            texts = "ids" in archive
            images, predictions = archive["ids" if texts else "images"], archive["answers"].astype(np.float32)
            tolerance = float(archive["tolerance"]) if "tolerance" in archive else np.inf
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, OSError) and error.strerror:
            raise RequestError(f"{path} cannot be read: {error.strerror}.") from None
        raise RequestError(
            f"{path}: {cause(error)}. Save an .npz with the arrays images (or ids) and answers."
        ) from None
    name, form = ("ids", "int32 [n, length]") if texts else ("images", "uint8 [n, H, W, 3]")
    if not (_are_ids(images) if texts else _are_images(images)) or predictions.ndim != 2:
        raise RequestError(
            f"{path}: {name} {images.dtype} {images.shape} and answers {predictions.shape} are not {form} "
            "and float [n, classes]. Save them in this form."
        )
    if not len(images) or len(images) != len(predictions) or not np.isfinite(predictions).all() or not tolerance > 0:
        raise RequestError(
            f"{path}: has {len(images)} {name} and {len(predictions)} answers. Save as many {name} as answers, all of "
            "them finite, and a tolerance above 0."
        )
    return images, predictions, tolerance


def _require_taken(path: Path, ids: np.ndarray, archive: Path) -> None:
    """Refuses ids of another length or vocabulary than those of a file."""
    from tfkd.verification import feeding

    tensor = _read_apart(path, feeding.signature).single
    if tensor.shape != ids.shape[1:] or tensor.dtype != ids.dtype:
        raise RequestError(
            f"{archive}: has ids [n, {ids.shape[1]}], and {path} takes {tensor}. Save what the file takes."
        )
    low, high = tensor.range
    if ids.min() < low or ids.max() > high:
        raise RequestError(
            f"{archive}: has ids from {ids.min()} to {ids.max()}, and the vocabulary of {path} those from {low:g} to "
            f"{high:g}. Save ids of its vocab.txt."
        )


def _require_size(path: Path, images: np.ndarray, archive: Path) -> None:
    """Refuses images whose shape differs from the input of a file; a file of texts takes ids, not images."""
    from tfkd.verification import tflite

    taken = _read_apart(path, tflite.io).input
    if tuple(taken.shape[1:]) != images.shape[1:]:
        raise RequestError(
            f"{archive}: has images {list(images.shape[1:])}, and {path} takes {taken.dtype} {list(taken.shape)}. Save "
            f"{'ids of texts' if len(taken.shape) == 2 else 'images of its size'}."
        )


def _read_apart(path: Path, read: Callable[[Path], Any]) -> Any:
    """Returns what a function reads from a file, in another process."""
    from tfkd.verification.apart import Apart

    try:
        with Apart() as process:
            return process.call(path, read, path)
    except VerifyError as error:
        raise RequestError(str(error)) from None


def _are_images(values: np.ndarray) -> bool:
    return values.dtype == np.uint8 and values.ndim == 4 and values.shape[-1] == 3


def _are_ids(values: np.ndarray) -> bool:
    return values.dtype == np.int32 and values.ndim == 2


def _expected(stored: Golden, artifact: Artifact) -> Expected:
    tolerances = {name: golden_answers.tolerance(artifact, name) for name in FORMATS[artifact.format].families}
    predictions = golden_answers.answers_of(stored, artifact)
    return Expected(artifact.format, artifact.precision, predictions, tolerances, artifact.io.output.scale)


def _verified(folder: Path, artifact: Artifact) -> Path:
    inside = PurePosixPath(artifact.path)
    if inside.is_absolute() or ".." in inside.parts:
        raise RequestError(f"{folder}/manifest.json names {artifact.path}, which is outside the bundle.")
    path = folder / inside
    if not path.exists():
        raise RequestError(f"Cannot time {path}: there is no such file. Make the bundle again.")
    if content_digest(path) != artifact.sha256:
        raise RequestError(f"{path} is not the file of the manifest: its SHA-256 differs. Make the bundle again.")
    return path
