"""Duplicates: examples with the same decoded content, whatever their names."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from tfkd.data.dataset import UNLABELLED, Split

NO_COPY = -1


def copies(digests: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns int64 [n] of each split: one number for all examples of one digest, NO_COPY for one without a copy.

    Args:
        digests: uint64 [n] of each split's examples; 0 for an example without a digest.
    """
    everything = np.concatenate([*digests.values(), np.zeros(0, np.uint64)])
    _, group, counts = np.unique(everything, return_inverse=True, return_counts=True)
    numbers = np.where((counts[group] > 1) & (everything != 0), group, NO_COPY).astype(np.int64)
    starts = np.cumsum([0, *map(len, digests.values())])
    return {name: numbers[start : start + len(digests[name])] for name, start in zip(digests, starts, strict=False)}


def without(split: Split, others: Iterable[Split]) -> tuple[Split, list[str]]:
    """Returns a split without the examples that other splits hold, and "name = other's name" of those left out."""
    if split.copies is None:
        return split, []
    elsewhere = _first_names(others)
    found = np.array([copy in elsewhere for copy in split.copies.tolist()], bool)
    pairs = [f"{split.name(i)} = {elsewhere[int(split.copies[i])]}" for i in np.flatnonzero(found).tolist()]
    return (split.take(np.flatnonzero(~found)), pairs) if pairs else (split, [])


def without_bytes(split: Split, others: Iterable[Split]) -> tuple[Split, list[str]]:
    """Returns a split without examples whose bytes others hold, and the names of those left out; all were checked.

    Splits that were checked together are compared by their content, see `without`.
    """
    assert split.checksums is not None
    elsewhere = {
        other.encoded(i)
        for other in others
        if other.checksums is not None
        for i in np.flatnonzero(np.isin(other.checksums, split.checksums)).tolist()
    }
    copied = [i for i in range(len(split)) if split.encoded(i) in elsewhere] if elsewhere else []
    return split.take(np.setdiff1d(np.arange(len(split)), np.array(copied, np.int64))), [split.name(i) for i in copied]


def distinct(split: Split) -> tuple[Split, list[str]]:
    """Returns a split with the first example of each content, and "name = first one's name" of those left out."""
    if split.copies is None:
        return split, []
    first: dict[int, int] = {}
    again = [(i, first[copy]) for i, copy in _copied(split) if first.setdefault(copy, i) != i]
    positions = np.setdiff1d(np.arange(len(split)), np.array([i for i, _ in again], np.int64))
    return split.take(positions), [f"{split.name(i)} = {split.name(other)}" for i, other in again]


def repeated(split: Split) -> int:
    """Returns the number of examples of a split with the content of an earlier one."""
    if split.copies is None:
        return 0
    numbers = split.copies[split.copies != NO_COPY]
    return len(numbers) - len(np.unique(numbers))


def shared(first: Split, second: Split) -> int:
    """Returns the number of examples of the first split that are also in the second."""
    if first.copies is None or second.copies is None:
        return 0
    return int(np.isin(first.copies[first.copies != NO_COPY], second.copies).sum())


def contradictions(splits: Iterable[Split], classes: tuple[str, ...]) -> list[str]:
    """Returns "name is 'class', name is 'other class'" of every content that has several labels."""
    labels: dict[int, dict[int, str]] = {}
    for copy, label, name in _labelled(splits):
        labels.setdefault(copy, {}).setdefault(label, name)
    return [
        ", ".join(f"{name} is {classes[label]!r}" for label, name in named.items())
        for named in labels.values()
        if len(named) > 1
    ]


def _first_names(splits: Iterable[Split]) -> dict[int, str]:
    names: dict[int, str] = {}
    for split in splits:
        for i, copy in _copied(split):
            names.setdefault(copy, split.name(i))
    return names


def _labelled(splits: Iterable[Split]) -> Iterator[tuple[int, int, str]]:
    for split in splits:
        for i, copy in _copied(split):
            if split.labels[i] != UNLABELLED:
                yield copy, int(split.labels[i]), split.name(i)


def _copied(split: Split) -> Iterator[tuple[int, int]]:
    """Yields (position, number of the copy) of every example that has a copy."""
    if split.copies is not None:
        for i in np.flatnonzero(split.copies != NO_COPY).tolist():
            yield i, int(split.copies[i])
