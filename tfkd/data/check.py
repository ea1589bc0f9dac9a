"""Decodes every example once, to find damaged ones before training."""

import dataclasses
import hashlib
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfkd.data import duplicates
from tfkd.data.dataset import CountProgress, Split
from tfkd.errors import RequestError, some
from tfkd.files import fingerprint, read_sealed, write_sealed
from tfkd.inputs.kind import ExampleError, ExampleFinding, Reading, Report

_CODE = 5  # increase it when the outcome contains other facts
_CHUNK = 512


@dataclass(frozen=True, eq=False)
class Checked:
    """The outcome of a check.

    Attributes:
        splits: the splits without the examples that cannot be decoded.
        rejected: "name: reason" of each of those.
        contents: hash of the bytes, order and labels of each split and of those before it, hex, by the split's name.
        reading: how all examples are read from now on.
        report: notes and warnings for users.
    """

    splits: dict[str, Split]
    rejected: tuple[str, ...]
    contents: dict[str, str]
    reading: Reading
    report: Report

    @property
    def content(self) -> str:
        """Hash of the examples of all splits, their order and labels, hex."""
        return list(self.contents.values())[-1]


class _Examined(NamedTuple):
    """The result for one example: the CRC-32 of its bytes, and a finding or why it cannot be decoded."""

    checksum: int
    finding: ExampleFinding | None
    reason: str = ""


def check(
    splits: dict[str, Split], max_rejected: float, progress: CountProgress | None = None, folder: Path | None = None
) -> Checked:
    """Decodes every example of these splits in parallel, holding a few hundred at a time.

    Args:
        splits: at least one, by name, all with the same reading.
        max_rejected: largest fraction of all examples that may fail.
        progress: called with (examples checked, total).
        folder: stores the outcome under the examples' stamps, and is read if nothing has changed.

    Raises:
        RequestError: more than `max_rejected` of the examples cannot be decoded.
    """
    before = next(iter(splits.values())).reading
    stamp = fingerprint(
        [_CODE, before.kind_name, before.stamp], {name: _stamp(split) for name, split in splits.items()}
    )
    path = None if folder is None else folder / f"check-{stamp}.json"
    outcome = None if path is None else read_sealed(path)
    if outcome is None:
        outcome = _outcome(splits, before, progress)
        if path is not None:
            write_sealed(path, outcome)
    rejected = [
        (split.name(int(i)), reason)
        for name, split in splits.items()
        for i, reason in outcome["failures"][name].items()
    ]
    total = sum(map(len, splits.values()))
    _judge(rejected, total, max_rejected)
    facts = outcome["facts"]
    reading = before.settled(facts)
    return Checked(
        splits={name: _sound(split, reading, outcome, name) for name, split in splits.items()},
        rejected=tuple(f"{name}: {reason}" for name, reason in rejected),
        contents=outcome["contents"],
        reading=reading,
        report=before.report(facts, lambda name, i: splits[name].name(i), total - len(rejected)),
    )


def _stamp(split: Split) -> list[Any]:
    order = hashlib.sha256(split.numbers.tobytes() + split.labels.tobytes()).hexdigest()
    return [split.examples.stamp, len(split), order]


def _sound(split: Split, reading: Reading, outcome: dict[str, Any], name: str) -> Split:
    """Returns the examples of a split that can be decoded, with their checksums and copies."""
    described = dataclasses.replace(
        split,
        reading=reading,
        checksums=np.frombuffer(bytes.fromhex(outcome["checksums"][name]), np.uint32),
        copies=_column(len(split), outcome["copies"][name]),
    )
    failed = np.array([int(i) for i in outcome["failures"][name]], np.int64)
    return described.take(np.setdiff1d(np.arange(len(split)), failed))


def _column(count: int, numbers: dict[str, int]) -> np.ndarray:
    column = np.full(count, duplicates.NO_COPY, np.int64)
    for i, number in numbers.items():
        column[int(i)] = number
    return column


def _outcome(splits: dict[str, Split], reading: Reading, progress: CountProgress | None) -> dict[str, Any]:
    facts = _Facts(splits, reading)
    total, done = sum(map(len, splits.values())), 0
    for name, split in splits.items():
        facts.begin(name)
        for i, example in enumerate(_examined(split)):
            facts.add(name, i, example)
            done += 1
            if progress is not None and (done % 64 == 0 or done == total):
                progress(done, total)
        facts.end(name)
    return facts.outcome()


class _Facts:
    """Collects the findings of a check, example by example."""

    def __init__(self, splits: dict[str, Split], reading: Reading) -> None:
        self.splits = splits
        self.findings = reading.findings()
        self.content = hashlib.sha256()
        self.contents: dict[str, str] = {}
        self.failures: dict[str, dict[str, str]] = {name: {} for name in splits}
        self.checksums = {name: np.zeros(len(split), np.uint32) for name, split in splits.items()}
        self.digests = {name: np.zeros(len(split), np.uint64) for name, split in splits.items()}

    def begin(self, name: str) -> None:
        self.content.update(f"{name} {len(self.splits[name])};".encode())

    def end(self, name: str) -> None:
        self.contents[name] = self.content.hexdigest()

    def add(self, name: str, i: int, example: _Examined) -> None:
        self.content.update(f"{self.splits[name].labels[i]} {example.checksum};".encode())
        self.checksums[name][i] = example.checksum
        if example.finding is None:
            self.failures[name][str(i)] = example.reason
            return
        self.digests[name][i] = example.finding.digest
        self.findings.add(name, i, example.finding)

    def outcome(self) -> dict[str, Any]:
        copied = self._copies()
        return {
            "failures": self.failures,
            "contents": self.contents,
            "facts": self.findings.facts(),
            "checksums": {name: column.tobytes().hex() for name, column in self.checksums.items()},
            "copies": {
                name: {str(i): int(column[i]) for i in np.flatnonzero(column != duplicates.NO_COPY).tolist()}
                for name, column in copied.items()
            },
        }

    def _copies(self) -> dict[str, np.ndarray]:
        """Numbers examples with the same content; partial digests that are equal are replaced by whole ones."""
        for name, numbers in duplicates.copies(self.digests).items():
            split, digests = self.splits[name], self.digests[name]
            for i in np.flatnonzero((numbers != duplicates.NO_COPY) & (digests % 2 == 0)).tolist():
                digests[i] = _whole_digest(split, i)
        return duplicates.copies(self.digests)


def _whole_digest(split: Split, i: int) -> int:
    try:
        return split.reading.whole_digest(split.encoded(i))
    except ExampleError:  # removed since; reading it for a training raises the error
        return 0


def content(split: Split, folder: Path) -> str:
    """Returns a hash of the bytes and the order of a split's examples, hex.

    Args:
        split: the examples; they are read, not decoded.
        folder: stores the hash under the examples' stamp, so that unchanged ones are read once.

    Raises:
        RequestError: an example cannot be read.
    """
    kept = folder / f"content-{fingerprint(split.examples.stamp, split.numbers.tolist())}.json"
    digest = read_sealed(kept)
    if digest is None:
        whole = hashlib.sha256()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(split), _CHUNK):
                numbers = range(start, min(start + _CHUNK, len(split)))
                for each in pool.map(lambda i: _digest(split, i), numbers):
                    whole.update(each)
        digest = whole.hexdigest()
        write_sealed(kept, digest)
    return str(digest)


def _digest(split: Split, i: int) -> bytes:
    try:
        return hashlib.sha256(split.encoded(i)).digest()
    except ExampleError as error:
        raise RequestError(f"{split.name(i)} cannot be read: {error}.") from None


def fitted(splits: list[Split]) -> list[Split]:
    """Returns splits of one source with the reading that fits all their examples; ignores damaged ones."""
    if not splits:
        return []
    reading = splits[0].reading.fitted(_findings(splits))
    return [dataclasses.replace(split, reading=reading) for split in splits]


def _findings(splits: list[Split]) -> Iterator[ExampleFinding]:
    """Yields the finding of the first example, which may be sufficient, then that of each example."""
    first = (_examine(split, 0) for split in splits if len(split))
    yield from (example.finding for example in first if example.finding is not None)
    for split in splits:
        yield from (example.finding for example in _examined(split) if example.finding is not None)


def _examined(split: Split) -> Iterator[_Examined]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(split), _CHUNK):  # map() alone would queue a million examples at once
            numbers = range(start, min(start + _CHUNK, len(split)))
            yield from pool.map(lambda i: _examine(split, i), numbers)


def _examine(split: Split, i: int) -> _Examined:
    try:
        encoded = split.encoded(i)
    except ExampleError as error:
        return _Examined(0, None, str(error))
    checksum = zlib.crc32(encoded)
    try:
        return _Examined(checksum, split.reading.examine(encoded))
    except ExampleError as error:
        return _Examined(checksum, None, str(error))


def _judge(rejected: list[tuple[str, str]], total: int, max_rejected: float) -> None:
    if len(rejected) <= max_rejected * total:
        return
    names: dict[str, list[str]] = {}
    for name, reason in rejected:
        names.setdefault(reason, []).append(name)
    reasons = [f"{some(those, ', ')}: {reason}" for reason, those in names.items()]
    advice = "Repair or remove them." if len(rejected) == total else "Repair or remove them, or raise the limit."
    raise RequestError(
        f"{len(rejected):,} of {total:,} examples cannot be read, over data.max_rejected = {max_rejected:g}: "
        f"{some(reasons)}. {advice}"
    )
