"""`teacher.lock`: which teachers taught a student, by the contents of their weights, predictions and examples.

The file is in every run's folder and in every bundle, and a copy belongs in the repository of the recipe. It holds the
predictions for the validation examples in a compact form, so that another teacher can be compared with the locked one
without it. Equal teachers and examples give equal bytes. Probabilities are stored in 1/255.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from tfkd import strict_json
from tfkd.bundle.manifest import Manifest
from tfkd.distill.measures import softmax
from tfkd.errors import RequestError, first_fault
from tfkd.files import read_regular, resolved, write_json
from tfkd.records import Count, Entry, Number, Sha256

SCHEMA: Literal["tfkd-teacher-lock-1"] = "tfkd-teacher-lock-1"
LOCK = ".lock"  # ends the names of lock files
MOST_EXAMPLES = 2_000  # with stored predictions; of more, evenly spaced ones
MOST_CLASSES = 5  # with a stored probability, per example
UNKNOWN = 65_535  # in place of a class: the example is outside of the teacher's domain
_STEPS = 255  # of a stored probability
_LARGEST = 1 << 24  # bytes of a file
_TOLERANCE = 2  # steps between two machines: one by rounding, one by errors of float32
_RENEW = "Restore it from version control, or write it again with --relock."
_SAYS_LOCK = re.compile(rb'\s*\{.*?"schema"\s*:\s*"tfkd-teacher-lock-', re.DOTALL)  # of a damaged file

Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
StoredFingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]  # of `tfkd.files.fingerprint`


@dataclass(frozen=True, eq=False)
class TopClasses:
    """The most probable classes of some examples, in this order.

    Attributes:
        classes: int64 [n, k]; UNKNOWN for an example outside of the teacher's domain.
        steps: int64 [n, k], their probabilities in 1/255.
    """

    classes: np.ndarray
    steps: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Whether the teacher predicted each example, bool [n]."""
        known: np.ndarray = self.classes[:, 0] != UNKNOWN
        return known

    @property
    def confidence(self) -> float:
        """The mean of the largest probabilities."""
        return float(self.steps[:, 0].mean() / _STEPS)

    def matched(self, other: "TopClasses") -> np.ndarray:
        """Returns the steps of these classes by another teacher, int64 [n, k].

        A class that the other one does not store has at most the smallest stored probability there, and is taken as
        equal up to that.
        """
        same = self.classes[:, :, None] == other.classes[:, None, :]
        stored = (same * other.steps[:, None, :]).sum(axis=2)
        return np.where(same.any(axis=2), stored, np.minimum(self.steps, other.steps[:, -1:]))

    def is_like(self, other: "TopClasses") -> bool:
        """Returns whether two machines may give these predictions by the same teacher."""
        if self.classes.shape != other.classes.shape or (self.known != other.known).any():
            return False
        pairs = ((self, other), (other, self))
        return all((np.abs(one.steps - one.matched(two)) <= _TOLERANCE).all() for one, two in pairs)

    def distances(self, other: "TopClasses") -> np.ndarray:
        """Returns how far the stored probabilities are apart, float64 [n], 0 to 1: total variation, or a bit more."""
        own = np.abs(self.steps - self.matched(other))
        new = ~(other.classes[:, :, None] == self.classes[:, None, :]).any(axis=2)
        added = np.abs(other.steps - other.matched(self)) * new
        return np.minimum(1.0, (own.sum(axis=1) + added.sum(axis=1)) / (2 * _STEPS))


class LockedPredictions(Entry):
    """The predictions of a teacher for the validation examples."""

    examples: Number = Field(description="that it predicted")
    sha256: Sha256 = Field(description="of the probabilities of all of them in 1/255, uint8 [examples, classes]")
    classes: Base64 = Field(
        description="of the sampled examples the most probable classes, uint16 [sampled, k] little-endian; 65535: the "
        "example is outside of the teacher's domain"
    )
    probabilities: Base64 = Field(description="theirs in 1/255, uint8 [sampled, k]")

    def top(self, rows: int) -> TopClasses:
        """Returns the stored predictions of so many examples.

        Raises:
            ValueError: they are of another number, or not in order.
        """
        classes, steps = _decoded(self.classes, "<u2"), _decoded(self.probabilities, "u1")
        if not rows or len(classes) % rows or len(classes) != len(steps) or not len(classes):
            raise ValueError(f"has {len(classes)} classes and {len(steps)} probabilities of {rows} examples")
        found = TopClasses(classes.reshape(rows, -1), steps.reshape(rows, -1))
        if (np.diff(found.steps, axis=1) > 0).any():
            raise ValueError("has probabilities that are not in falling order")
        return found

    def require_possible(self, classes: int, examples: int, rows: int, is_of_all: bool) -> None:
        """Refuses predictions that no teacher can have given.

        Args:
            classes: number of classes.
            examples: number of validation examples.
            rows: number of those with stored predictions.
            is_of_all: whether the teacher knows all of them.

        Raises:
            ValueError: they contradict themselves or these numbers.
        """
        top = self.top(rows)
        known, kept = top.known, top.classes.shape[1]
        if kept != min(classes, MOST_CLASSES):
            raise ValueError(f"{kept} classes of each example are stored, of {classes} it is {MOST_CLASSES} at most")
        if ((top.classes == UNKNOWN).any(axis=1) & known).any() or (top.classes[~known] != UNKNOWN).any():
            raise ValueError("a prediction has no class")
        if (top.classes[known] >= classes).any():
            raise ValueError("a prediction is of no class")
        if (np.diff(np.sort(top.classes[known], axis=1), axis=1) == 0).any():
            raise ValueError("a prediction has a class twice")
        sums, last = top.steps[known].sum(axis=1), top.steps[known][:, -1]
        rounding = kept / 2 + 1  # half a step for each, and one for errors of float32
        if top.steps[~known].any() or (sums > _STEPS + rounding).any():
            raise ValueError("probabilities have a sum above 1, or are of no class")
        if (sums + rounding + (classes - kept) * (last + 0.5) < _STEPS).any():
            raise ValueError("probabilities have a sum below 1")
        unknown = examples - self.examples
        if not 0 <= (~known).sum() <= unknown or known.sum() > self.examples or (is_of_all and unknown):
            raise ValueError(f"{known.sum()} of {rows} predictions are of known examples, {self.examples} are stated")
        if rows == examples and known.sum() != self.examples:
            raise ValueError(f"{known.sum()} examples are known, {self.examples} are stated")


class LockedTeacher(Entry):
    """One teacher."""

    model: str = Field(description="as the recipe names it: the model, or the file of predictions")
    kind: str = Field(description="network, predictions, onnx or function")
    weights: Sha256 = Field(description="of the values of all weights after its preparation; else of its files")
    files: dict[str, Sha256] = Field({}, description="contents of the files that the recipe names for it")
    share: float = Field(gt=0, description="its weight in the ensemble")
    domain: str | None = Field(None, description="the examples that it knows; null: all")
    settings: dict[str, Any] = Field(description="its block of the recipe")
    predictions: LockedPredictions | None = Field(description="null where it did not predict every example")


class LockedData(Entry):
    """The examples."""

    source: str
    fingerprint: StoredFingerprint = Field(description="of all labelled examples, their labels and splits")
    splits: dict[str, Count]
    validation: StoredFingerprint = Field(description="of the validation examples and the names of their classes")
    pooled: bool = Field(description="whether the recipe has folds: all labelled examples are in place of validation")
    sampled: Number = Field(description="validation examples with stored predictions, evenly spaced")
    labels: Base64 = Field(description="their classes, uint16 [sampled] little-endian")

    def truth(self) -> np.ndarray:
        """Returns the labels of the sampled examples, int64 [sampled].

        Raises:
            ValueError: they are of another number.
        """
        found = _decoded(self.labels, "<u2")
        if len(found) != self.sampled:
            raise ValueError(f"has {len(found)} labels of {self.sampled} examples")
        return found

    @property
    def examples(self) -> int:
        """Number of validation examples, or of those in their place."""
        return self.splits.get("test" if self.pooled else "validation", 0)


class TeacherLock(Entry):
    """The teachers of a run."""

    schema_: Literal["tfkd-teacher-lock-1"] = Field(SCHEMA, alias="schema")
    sha256: str = Field("", description="of all other fields as JSON with sorted keys and no spaces")
    name: str = Field(description="of the run")
    tfkd_version: str
    classes: list[str] = Field(min_length=1)
    data: LockedData
    recipe: dict[str, Any] = Field(description="seed and examples, as the recipe describes them")
    teachers: list[LockedTeacher] = Field(min_length=1)
    ensemble: LockedPredictions | None = Field(None, description="of several teachers together; null for one")

    @model_validator(mode="after")
    def _of_these_examples(self) -> Self:
        """Refuses predictions and labels of other examples or classes."""
        rows, examples, classes = self.data.sampled, self.data.examples, len(self.classes)
        if rows != min(examples, MOST_EXAMPLES):
            raise ValueError(f"{rows} examples have stored predictions, the splits have {examples}")
        if (self.data.truth() >= classes).any():
            raise ValueError("a label is of no class")
        if len(set(self.classes)) < classes:
            raise ValueError("two classes have the same name")
        found = [(teacher.predictions, teacher.domain is None) for teacher in self.teachers]
        for predictions, is_of_all in (*found, (self.ensemble, True)):
            if predictions:
                predictions.require_possible(classes, examples, rows, is_of_all)
        return self

    def written(self) -> dict[str, Any]:
        """Returns the content of the file, with its digest."""
        content = self.model_dump(mode="json", by_alias=True)
        return {**content, "sha256": _digest(content)}


def sampled(examples: int) -> np.ndarray:
    """Returns the positions of the examples whose predictions are stored, int64 [at most MOST_EXAMPLES]."""
    return np.linspace(0, examples - 1, min(examples, MOST_EXAMPLES)).round().astype(np.int64)


def locked_predictions(logits: np.ndarray, known: np.ndarray) -> LockedPredictions | None:
    """Returns the predictions of a teacher in their compact form; None where it predicted no example.

    Args:
        logits: float [examples that it knows, classes], in their order.
        known: whether it knows each validation example, bool [examples].
    """
    if not len(logits):
        return None
    probabilities = softmax(logits)
    steps = np.rint(_STEPS * probabilities).astype(np.uint8)
    rows = sampled(len(known))
    rows_known = known[rows]
    places = (np.cumsum(known) - 1)[rows[rows_known]]
    order = np.argsort(-probabilities[places], axis=1, kind="stable")[:, :MOST_CLASSES]
    classes = np.full((len(rows), order.shape[1]), UNKNOWN, "<u2")
    stored = np.zeros((len(rows), order.shape[1]), np.uint8)
    classes[rows_known] = order
    stored[rows_known] = np.take_along_axis(steps[places], order, axis=1)
    return LockedPredictions(
        examples=len(logits),
        sha256=hashlib.sha256(steps.tobytes()).hexdigest(),
        classes=encoded(classes, "<u2"),
        probabilities=encoded(stored, "u1"),
    )


def encoded(values: np.ndarray, dtype: str) -> str:
    """Returns numbers as base64 text."""
    return base64.b64encode(values.astype(dtype).tobytes()).decode()


def _decoded(text: str, dtype: str) -> np.ndarray:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), dtype).astype(np.int64)
    except (binascii.Error, ValueError):
        raise ValueError("is no base64 text of whole numbers") from None


def _digest(content: dict[str, Any]) -> str:
    others = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(others, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_lock(lock: TeacherLock, path: Path) -> None:
    """Writes a lock file, through links to their target.

    Raises:
        RequestError: it cannot be written.
    """
    write_json(resolved(path), lock.written())


class LockError(RequestError):
    """A file is no lock that can be read; `found` says why in one sentence, without advice."""

    def __init__(self, found: str) -> None:
        super().__init__(f"{found} {_RENEW}")
        self.found = found


def require_replaceable(path: Path) -> None:
    """Refuses a file that does not say it is a lock, so that no other file is replaced; it may be damaged or missing.

    Raises:
        RequestError: it says nothing like that, or cannot be read.
    """
    if path.exists() and not _says_lock(read_regular(path, _LARGEST)):
        raise RequestError(
            f"{path} is no lock of a teacher, and would be replaced. Name another file with --lock-file, or move it."
        )


def _says_lock(text: bytes) -> bool:
    try:
        content = strict_json.parsed(text)
    except strict_json.JsonError:
        return bool(_SAYS_LOCK.match(text))
    return isinstance(content, dict) and str(content.get("schema")).startswith(SCHEMA.rstrip("1"))


def read_lock(path: Path) -> TeacherLock:
    """Reads a lock file, in which nothing is trusted.

    Raises:
        RequestError: it is missing, too large, no lock file, of another version's format, or was edited.
    """
    content = _content(path)
    if content.get("sha256") != _digest(content):
        raise LockError(f"{path} was edited: its content is not that of its own SHA-256.")
    try:
        return TeacherLock.model_validate(content, strict=True)
    except ValidationError as error:
        raise LockError(f"{path} is no lock of a teacher: {first_fault(error)}.") from None


def _content(path: Path) -> dict[str, Any]:
    """Returns the fields of a file that says it is a lock file of this format."""
    text = read_regular(path, _LARGEST)
    try:
        content = strict_json.parsed(text)
    except strict_json.JsonError as error:
        why = f"it is larger than {_LARGEST >> 20} MiB" if len(text) > _LARGEST else f"it {error}"
        raise LockError(f"{path} is no lock of a teacher: {why}.") from None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        known = isinstance(schema, str) and schema.startswith(SCHEMA.rstrip("1"))
        found = f"has the format {schema}, this version of tfkd reads {SCHEMA}" if known else "is no lock of a teacher"
        raise LockError(f"{path} {found}.")
    assert isinstance(content, dict)
    return content


def is_lock(path: Path) -> bool:
    """Returns whether a file is meant as a lock file, by its name."""
    return path.suffix == LOCK


def contradictions(lock: TeacherLock, manifest: Manifest) -> Iterator[str]:
    """Yields what the lock of a bundle says otherwise than its manifest."""
    if lock.name != manifest.name:
        yield f"it is the lock of {lock.name!r}"
    if lock.classes != manifest.data.classes:
        yield "it has other classes"
    if lock.data.source != manifest.data.source or _counts(lock.data.splits) != _counts(manifest.data.splits):
        yield "it is of other examples"
    single = manifest.teachers[1:] if len(manifest.teachers) > 1 else manifest.teachers  # the ensemble comes first
    if [teacher.model for teacher in lock.teachers] != [entry.model for entry in single]:
        yield "it is of other teachers"


def _counts(splits: Mapping[Any, int]) -> list[tuple[Any, int]]:
    return sorted(splits.items())
