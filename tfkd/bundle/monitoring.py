"""What phones are compared with: how each file predicts test and unlabelled examples, without the examples."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from tfkd import files
from tfkd.bundle.counts import PredictionCounts, counted
from tfkd.bundle.layout import MONITOR
from tfkd.bundle.manifest import Manifest
from tfkd.errors import RequestError, first_fault
from tfkd.records import Count, Entry, Fraction, Number, Sha256
from tfkd.verification.counting import BINS, features

MOST_EXAMPLES = 5_000  # whose rows are stored
MOST_UNLABELLED = 1_000  # that every file predicts

_UNKNOWN = 2**16 - 1  # in place of the number of a class
_LARGEST = 1 << 22  # bytes
_CODES = np.array([1, BINS, BINS**2])  # of the bins of confidence, entropy and margin


@dataclass(frozen=True, eq=False)
class ReferenceRows:
    """What a file, and the teacher where it is known, predict for n test examples.

    Attributes:
        labels: int64 [n], numbers of the true classes; -1 where unknown.
        student: int64 [n, 4], top-1 and bins of the file (`PredictionFeatures.binned`).
        teacher: the same of the teacher; None where it is not known.
    """

    labels: np.ndarray
    student: np.ndarray
    teacher: np.ndarray | None

    @property
    def right(self) -> np.ndarray:
        """Whether the file's top-1 is the true class, bool [n]."""
        return np.asarray(self.student[:, 0] == self.labels)


class MonitorReference(Entry):
    """The reference of one file: monitor/NAME.json in a bundle."""

    schema_: Literal["tfkd-monitor-1"] = Field("tfkd-monitor-1", alias="schema")
    file: str = Field(description="path of the file in the bundle")
    sha256: Sha256 = Field(description="of the file, as in the manifest")
    classes: Number
    learnt: bool = Field(
        description="whether the student was trained on the test examples, as with folds: it is more confident on them"
    )
    test: PredictionCounts = Field(description="by the file's own predictions for all test examples")
    unlabelled: PredictionCounts | None = Field(
        None, description="the same for at most 1,000 unlabelled examples, which the student has learnt from"
    )
    teacher: PredictionCounts | None = Field(
        None, description="the teacher's predictions for all test examples; null where it was not measured there"
    )
    agreement: Fraction | None = Field(None, description="equal top-1 of file and teacher on the test examples")
    confidence_means: list[Fraction | None] = Field(
        min_length=BINS, max_length=BINS, description="mean confidence in each of its bins; null for an empty bin"
    )
    examples: Count = Field(description="test examples in rows: all, or 5,000 drawn from them")
    rows: str = Field(
        description="base64 of little-endian uint16 [examples, 3], or [examples, 5] with a teacher: true class (65535: "
        "unknown), top-1, confidence + 10 entropy + 100 margin in bins, and the last two of the teacher"
    )

    @model_validator(mode="after")
    def _of_one_mind(self) -> "MonitorReference":
        found = self.decoded()
        numbers = [found.student[:, 0], *([] if found.teacher is None else [found.teacher[:, 0]])]
        if any((each >= self.classes).any() for each in (found.labels, *numbers)):
            raise ValueError(f"rows have a class that is none of the {self.classes}")
        if self.examples == self.test.n and counted(found.student, self.classes, 0, self.test.invalid) != self.test:
            raise ValueError("rows are of other predictions than test")
        return self

    def decoded(self) -> ReferenceRows:
        """Returns the rows.

        Raises:
            ValueError: they are not what `rows` describes.
        """
        columns = 3 if self.teacher is None else 5
        try:
            content = base64.b64decode(self.rows, validate=True)
        except binascii.Error as error:
            raise ValueError(f"rows are not base64: {error}") from None
        if len(content) != 2 * columns * self.examples:
            raise ValueError(f"rows have {len(content):,} bytes, not {2 * columns * self.examples:,}")
        table = np.frombuffer(content, "<u2").reshape(self.examples, columns).astype(np.int64)
        if (table[:, 2::2] >= BINS**3).any():
            raise ValueError("rows have a bin that does not exist")
        pairs = [np.column_stack([table[:, at], _bins(table[:, at + 1])]) for at in range(1, columns, 2)]
        labels = np.where(table[:, 0] == _UNKNOWN, -1, table[:, 0])
        return ReferenceRows(labels, pairs[0], pairs[1] if len(pairs) > 1 else None)


def _bins(codes: np.ndarray) -> np.ndarray:
    return codes[:, None] // _CODES % BINS


def reference(
    file: str,
    sha256: str,
    probabilities: np.ndarray,
    labels: np.ndarray | None,
    *,
    teacher: np.ndarray | None = None,
    unlabelled: np.ndarray | None = None,
    seed: int,
) -> MonitorReference | None:
    """Returns the reference of one file; None with more classes than the rows can hold.

    Args:
        file: its path in the bundle.
        sha256: its digest.
        probabilities: its predictions for the test examples, float [n, classes].
        labels: int [n], their true classes; None where the student was trained on these examples.
        teacher: the teacher's probabilities for the test examples, float [n, classes]; None where they are not known.
        unlabelled: the file's predictions for unlabelled examples, float [m, classes].
        seed: draws the examples of the rows where there are many.
    """
    classes = probabilities.shape[1]
    if classes >= _UNKNOWN:
        return None
    found, taught = features(probabilities), None if teacher is None else features(teacher).binned()
    student, valid = found.binned(), found.valid
    true = np.full(len(valid), _UNKNOWN) if labels is None else labels
    table = [true[valid], student[:, 0], student[:, 1:] @ _CODES]
    if taught is not None:
        table += [taught[valid, 0], taught[valid, 1:] @ _CODES]
    rows = np.column_stack(table)
    if len(rows) > MOST_EXAMPLES:
        rows = rows[np.sort(np.random.default_rng(seed).choice(len(rows), MOST_EXAMPLES, replace=False))]
    return MonitorReference(
        schema="tfkd-monitor-1",
        file=file,
        sha256=sha256,
        classes=classes,
        learnt=labels is None,
        test=counted(student, classes, invalid=int((~valid).sum())),
        unlabelled=None if unlabelled is None else _counted(unlabelled),
        teacher=None if taught is None else counted(taught, classes),
        agreement=None if taught is None else float(np.mean(taught[valid, 0] == student[:, 0])),
        confidence_means=_means(found.confidence[valid], student[:, 1]),
        examples=len(rows),
        rows=base64.b64encode(rows.astype("<u2").tobytes()).decode(),
    )


def _counted(probabilities: np.ndarray) -> PredictionCounts:
    found = features(probabilities)
    return counted(found.binned(), probabilities.shape[1], invalid=int((~found.valid).sum()))


def _means(confidence: np.ndarray, bins: np.ndarray) -> list[float | None]:
    return [float(confidence[bins == number].mean()) if (bins == number).any() else None for number in range(BINS)]


def path_of(file: str) -> str:
    """Returns where a bundle holds the reference of a file."""
    return f"{MONITOR}/{PurePosixPath(file).name}.json"


def write(folder: Path, found: MonitorReference) -> None:
    """Writes a reference into the folder of a bundle.

    Raises:
        RequestError: the folder cannot be written.
    """
    files.write_text(folder / path_of(found.file), found.model_dump_json(by_alias=True) + "\n")


def read(folder: Path, file: str) -> MonitorReference:
    """Reads the reference of a file in a bundle.

    Raises:
        RequestError: there is none, or it is damaged.
    """
    place = path_of(file)
    try:
        with (folder / place).open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise RequestError(
            f"{place}: cannot be read: {error.strerror}. Bundles of earlier versions have none; make the bundle again."
        ) from None
    if len(content) > _LARGEST:
        raise RequestError(f"{place}: is larger than {_LARGEST:,} bytes, which none is; make the bundle again.")
    try:
        return MonitorReference.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise RequestError(f"{place}: {first_fault(error)}; make the bundle again.") from None


def contradictions(folder: Path, manifest: Manifest, listed: Mapping[str, Any]) -> Iterator[str]:
    """Yields what the references of a bundle say otherwise than its manifest, without full stops.

    Args:
        folder: of the bundle.
        manifest: its manifest.
        listed: its files by their paths in it.
    """
    places = {path_of(each.path): each for each in manifest.artifacts}
    for place in sorted(name for name in listed if name.startswith(f"{MONITOR}/")):
        if place not in places:
            yield f"{place} is of no file of the bundle"
            continue
        artifact = places[place]
        try:
            found = read(folder, artifact.path)
        except RequestError as error:
            yield str(error).rstrip(".")
            continue
        if (found.file, found.sha256, found.classes) != (artifact.path, artifact.sha256, len(manifest.data.classes)):
            yield f"{place} is of another file than {artifact.path}"
        elif found.test.n + found.test.invalid != manifest.images:
            yield f"{place} counts {found.test.n + found.test.invalid:,} test examples of {manifest.images:,}"
        elif found.examples == manifest.images and artifact.accuracy is not None:
            right = int(found.decoded().right.sum())
            if right != round(artifact.accuracy * manifest.images):
                yield f"{place} has {right:,} right predictions, the accuracy of {artifact.path} is {artifact.accuracy}"
