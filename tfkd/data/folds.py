"""Folds: all labelled examples of a source, divided class by class into parts that are held out in turn."""

import dataclasses
import functools
from collections.abc import Iterable

import numpy as np

from tfkd.data.dataset import Dataset, Split
from tfkd.data.duplicates import NO_COPY
from tfkd.data.joined import joined
from tfkd.data.splits import counts_of, distributed, divide, shuffled
from tfkd.errors import RequestError, counted
from tfkd.recipe import Data

_FOLDS = 3  # purpose of random numbers


def pooled(splits: Iterable[Split]) -> Split:
    """Returns the examples of several splits as one; groups of different splits are different groups."""
    return functools.reduce(_both, splits)


def with_folds(where: str, classes: tuple[str, ...], pool: Split, folds: int, seed: int) -> Split:
    """Returns labelled examples with the number of each one's fold.

    Every class is divided separately, in an order drawn from the seed. Examples of one group, or with the same content,
    stay together.

    Raises:
        RequestError: a class has fewer examples, or groups, than there are folds.
    """
    units = _units(pool)
    _require_enough(where, classes, pool.labels, units, folds)
    if len(np.unique(units)) < len(pool):
        counts = counts_of(units, pool.labels, len(classes))
        numbers = distributed(counts, [1 / folds] * folds, seed)[units]
    else:
        numbers, start = np.empty(len(pool), np.int64), 0
        for members in shuffled(pool.labels, seed, _FOLDS):
            numbers[members] = (start + np.arange(len(members))) % folds
            start += len(members)
    return dataclasses.replace(pool, folds=numbers)


def held_out(where: str, classes: tuple[str, ...], pool: Split, data: Data, seed: int) -> tuple[Split, Split, Split]:
    """Returns (train, validation, test) of examples with folds: `data.held_out` are the test split.

    Without held-out folds, all examples are in each of the three.

    Raises:
        RequestError: the other folds have too few examples of a class.
    """
    if not data.held_out:
        return pool, pool, pool
    assert pool.folds is not None
    inside = np.isin(pool.folds, data.held_out)
    test, rest = pool.take(np.flatnonzero(inside)), pool.take(np.flatnonzero(~inside))
    numbers = " and ".join(str(number + 1) for number in data.held_out)
    try:
        return divide(where, classes, {"train": rest, "test": test}, data, seed)
    except RequestError as error:
        raise RequestError(f"data.folds={data.folds}, without fold {numbers}: {error}") from None


def folds_of_transfer_set(data: Dataset) -> np.ndarray:
    """Returns the fold of each example of the transfer set, int64 [n]; unlabelled ones get the folds in turn."""
    folds = data.train.folds
    assert folds is not None
    present = np.unique(folds)
    return np.concatenate([folds, present[np.arange(len(data.unlabelled or ())) % len(present)]])


def _require_enough(where: str, classes: tuple[str, ...], labels: np.ndarray, units: np.ndarray, folds: int) -> None:
    for k, name in enumerate(classes):
        examples, groups = int((labels == k).sum()), len(np.unique(units[labels == k]))
        if groups >= folds:
            continue
        found = counted(examples, "labelled example") + (f" in {counted(groups, 'group')}" if groups < examples else "")
        less = f"Set data.folds to {groups} or less, add examples" if groups > 1 else "Add examples"
        raise RequestError(
            f"{where}: class {name!r} has {found}, too few for data.folds={folds}. {less}, or remove the class."
        )


def _units(split: Split) -> np.ndarray:
    """Returns int64 [n], one number for all examples that stay together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    together = [np.arange(len(split))]
    if split.groups is not None:
        together.append(_firsts(split.groups))
    if split.copies is not None:
        together.append(np.where(split.copies == NO_COPY, together[0], _firsts(split.copies)))
    pairs = (np.tile(together[0], len(together)), np.concatenate(together))
    graph = coo_array((np.ones(len(pairs[0])), pairs), shape=(len(split), len(split)))
    units: np.ndarray = connected_components(graph, directed=False)[1].astype(np.int64)
    return units


def _firsts(numbers: np.ndarray) -> np.ndarray:
    """Returns the position of the first example with the same number, int64 [n]."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    return first[inverse]


def _both(first: Split, second: Split) -> Split:
    return dataclasses.replace(joined(first, second), groups=_groups(first, second), copies=_copies(first, second))


def _groups(first: Split, second: Split) -> np.ndarray | None:
    if first.groups is None and second.groups is None:
        return None
    one, other = (np.arange(len(each)) if each.groups is None else each.groups for each in (first, second))
    return np.concatenate([one, other + 1 + one.max(initial=-1)])


def _copies(first: Split, second: Split) -> np.ndarray | None:
    if first.copies is None or second.copies is None:
        return None
    return np.concatenate([first.copies, second.copies])
