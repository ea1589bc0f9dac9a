"""Data sets: splits of labelled examples with random access."""

import dataclasses
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from tfkd.errors import RequestError
from tfkd.inputs import kind_of
from tfkd.inputs.kind import ExampleError, InputKind, Ranges, Reading
from tfkd.signature import Column

CountProgress = Callable[[int, int], None]
UNLABELLED = -1
MAX_BYTES = 1 << 28  # largest file of one example
_NAMED, _LONGEST = 10, 60  # number of classes in a message, and characters of each
_COLUMNS = ("numbers", "labels", "groups", "checksums", "copies", "folds")


class Examples(Protocol):
    """The encoded examples of a source, by number. Reading is thread-safe."""

    @property
    def stamp(self) -> str:
        """A hash of the state of all files, without reading their content."""

    def __len__(self) -> int: ...

    def touched(self) -> bool:
        """Returns whether files may have changed since they were listed, without reading them."""

    def name(self, number: int) -> str:
        """Returns the name of an example, for messages."""

    def read(self, number: int) -> bytes:
        """Returns the encoded example.

        Raises:
            ExampleError: it cannot be read.
        """


@dataclass(frozen=True, eq=False)
class Split:
    """Some examples of a source with their labels. Contains numbers only; examples are read on demand.

    Attributes:
        examples: all examples of the source.
        numbers: int64 [n], the numbers of this split's examples there.
        labels: int64 [n], index into the classes; -1 is unlabelled.
        reading: how they are decoded and converted to inputs.
        groups: int64 [n], examples of one group (a patient, a burst) stay in one split; None where all are on their
            own.
        checksums: uint32 [n], CRC-32 of each example's bytes when it was checked; None where none was.
        copies: int64 [n], one number for all examples with the same content, -1 for one without a copy; None where
            nobody looked.
        folds: int64 [n], the fold of each labelled example, from 0; None where the examples are not divided into folds.
    """

    examples: Examples
    numbers: np.ndarray
    labels: np.ndarray
    reading: Reading
    groups: np.ndarray | None = None
    checksums: np.ndarray | None = None
    copies: np.ndarray | None = None
    folds: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, i: int) -> str:
        """Returns the name of example i, for messages."""
        return self.examples.name(int(self.numbers[i]))

    def encoded(self, i: int) -> bytes:
        """Returns the bytes of example i as they are stored.

        Raises:
            ExampleError: they cannot be read.
        """
        return self.examples.read(int(self.numbers[i]))

    def load(self, i: int) -> Any:
        """Returns example i, decoded.

        Raises:
            RequestError: it has been changed, damaged or removed since it was checked.
        """
        try:
            return self.reading.decode(self._checked(i))
        except ExampleError as error:
            raise self._unreadable(i, error) from None

    def require_unchanged(self) -> None:
        """Checks the examples whose files may have changed since they were listed.

        Examples that stay in memory are read once by a run, and would change without being noticed.

        Raises:
            RequestError: an example has been changed, damaged or removed since it was checked.
        """
        if self.checksums is None or not self.examples.touched():
            return
        for i in range(len(self)):
            try:
                self._checked(i)
            except ExampleError as error:
                raise self._unreadable(i, error) from None

    def _checked(self, i: int) -> bytes:
        encoded = self.encoded(i)
        if self.checksums is not None and zlib.crc32(encoded) != self.checksums[i]:
            raise ExampleError("its content has changed since it was checked")
        return encoded

    def _unreadable(self, i: int, error: ExampleError) -> RequestError:
        return RequestError(f"{self.name(i)} can no longer be read ({error}). Restore it, or start again without it.")

    def take(self, positions: np.ndarray) -> "Split":
        """Returns the split of the examples at these positions, in their order."""
        columns = {name: getattr(self, name) for name in _COLUMNS}
        changes: dict[str, Any] = {
            name: column if column is None else column[positions] for name, column in columns.items()
        }
        return dataclasses.replace(self, **changes)

    def without_labels(self) -> "Split":
        """Returns the same examples as unlabelled ones."""
        return dataclasses.replace(self, labels=np.full_like(self.labels, UNLABELLED))


@dataclass(frozen=True, eq=False)
class Listing:
    """The content of a source, before anything is decoded.

    Attributes:
        where: name of the source in messages.
        classes: class names in the order of the labels.
        splits: those of "train", "validation" and "test" that the source has.
        ignored: number of ignored sidecar files, by extension.
        notes: notes about the source, one sentence each.
        warnings: warnings about the source, one sentence each.
    """

    where: str
    classes: tuple[str, ...]
    splits: dict[str, Split]
    ignored: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Dataset:
    """The examples of one run.

    Attributes:
        source: name in the recipe.
        classes: class names in the order of the labels.
        fingerprint: 16 hex digits; equal for equal examples, labels and splits.
        labelled: the same without the unlabelled examples.
        train: examples for training.
        validation: examples for model selection.
        test: examples for the reported figures.
        unlabelled: further examples without labels.
        outside: examples of no class, which measure how many of them get a label; never trained on.
        rejected: "name: reason" of every file that cannot be decoded.
        ranges: the ranges of values that map to the raw range, by the kind of samples (see `Reading.ranges`).
        notes: notes about the data, one sentence each.
        warnings: warnings about the data, one sentence each.
        for_evaluation: the source was opened to measure a finished model (see tfkd.data.open_evaluation).
        is_pooled: each of train, validation and test has all labelled examples, whose accuracy is that of their folds.
    """

    source: str
    classes: tuple[str, ...]
    fingerprint: str
    labelled: str
    train: Split
    validation: Split
    test: Split
    unlabelled: Split | None
    rejected: tuple[str, ...]
    ranges: Ranges = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    for_evaluation: bool = False
    is_pooled: bool = False
    outside: Split | None = None

    @property
    def reading(self) -> Reading:
        """How the examples are decoded and converted to inputs."""
        return self.test.reading

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the rows of a table; none for another kind of input."""
        return getattr(self.reading, "columns", None) or ()

    @property
    def kind(self) -> InputKind:
        """The kind of input of the examples."""
        return kind_of(self.reading.kind_name)

    def require_unchanged(self) -> None:
        """Refuses examples that have changed since they were checked (see `Split.require_unchanged`).

        Raises:
            RequestError: an example has changed.
        """
        for split in (self.train, self.validation, self.test, self.unlabelled, self.outside):
            if split is not None:
                split.require_unchanged()

    def named(self) -> str:
        """Returns the names of the classes, or of the first few of many."""
        shown = (name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name in self.classes[:_NAMED])
        return ", ".join(shown) + (", …" if len(self.classes) > _NAMED else "")

    def described(self) -> Iterator[str]:
        """Yields a line per rejected file, note and warning."""
        yield from (f"left out: {rejected}" for rejected in self.rejected)
        yield from self.notes
        yield from (f"warning: {warning}" for warning in self.warnings)
