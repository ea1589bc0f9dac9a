"""Splits the examples of a source into train, validation and test, class by class."""

from collections.abc import Sequence

import numpy as np

from tfkd.data.dataset import Split
from tfkd.errors import RequestError, counted
from tfkd.recipe import Data

_DIVIDE, _FRACTION = 1, 2


def divide(
    where: str, classes: tuple[str, ...], splits: dict[str, Split], data: Data, seed: int
) -> tuple[Split, Split, Split]:
    """Returns (train, validation, test); splits that the source lacks are taken from the training examples.

    Every class is split separately, in an order drawn from the seed. The test split depends only on its own fraction,
    not on that of the validation split. Examples of one group stay together.

    Raises:
        RequestError: there is no training split, fewer than two classes, or a class with too few examples or groups.
    """
    if "train" not in splits:
        found = ", ".join(sorted(splits)) or "none"
        raise RequestError(f"{where} has no training split (found: {found}). Add one named train.")
    require_classes(where, classes, splits["train"])
    missing = {
        name: fraction
        for name, fraction in (("test", data.test_share), ("validation", data.validation_share))
        if name not in splits
    }
    divided = {**splits, **_split_off(where, classes, splits["train"], missing, seed)}
    for name in ("validation", "test"):
        if not len(divided[name]):
            raise RequestError(f"{where}: the {name} split holds no readable example. Fill it, or remove it.")
    return divided["train"], divided["validation"], divided["test"]


def fraction_and_rest(train: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Returns a fraction of the training examples per class, and the rest without labels.

    A smaller fraction is a subset of a larger one.
    """
    positions = _fraction(train.labels, fraction, seed)
    rest = train.take(np.setdiff1d(np.arange(len(train)), positions)).without_labels()
    return train.take(positions), rest


def require_classes(where: str, classes: tuple[str, ...], train: Split, reason: str = "") -> None:
    """Refuses training examples with less than two classes, or without examples of a class.

    Args:
        where: name of the source in messages.
        classes: class names.
        train: the training examples.
        reason: why examples may have been removed, and what to do about it.

    Raises:
        RequestError: there are no examples, fewer than two classes, or a class without examples.
    """
    if reason and not len(train):
        raise RequestError(f"{where}: all training examples (of the classes {', '.join(classes)}) {reason}.")
    if not len(train):
        raise RequestError(f"{where} holds no readable training example. Add one folder of examples for each class.")
    if len(classes) < 2:
        raise RequestError(f"{where} has only one class ({classes[0]}); a classifier needs at least two.")
    empty = np.flatnonzero(np.bincount(train.labels, minlength=len(classes)) == 0)
    if len(empty):
        names = ", ".join(repr(classes[k]) for k in empty[:5])
        if reason:
            raise RequestError(f"{where}: all training examples of class {names} {reason}.")
        raise RequestError(f"{where}: no readable training example of class {names}. Add examples or remove the class.")


def _split_off(
    where: str, classes: tuple[str, ...], train: Split, fractions: dict[str, float], seed: int
) -> dict[str, Split]:
    if not fractions:
        return {}
    if sum(fractions.values()) >= 1:
        raise RequestError(
            "data.validation_share and data.test_share leave nothing to train on; their sum must be < 1."
        )
    if train.groups is not None:
        return _split_off_groups(where, classes, train, train.groups, fractions, seed)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*fractions, "train")}
    for k, members in enumerate(shuffled(train.labels, seed, _DIVIDE)):
        start = 0
        for name, fraction in fractions.items():
            count = max(1, round(fraction * len(members)))
            parts[name].append(members[start : start + count])
            start += count
        if start >= len(members):
            raise RequestError(
                f"{where}: class {classes[k]!r} has {counted(len(members), 'training example')}, too few to split "
                f"off {' and '.join(fractions)}. Add examples, or remove the class."
            )
        parts["train"].append(members[start:])
    return {name: train.take(np.sort(np.concatenate(members))) for name, members in parts.items()}


def _split_off_groups(
    where: str,
    classes: tuple[str, ...],
    train: Split,
    groups: np.ndarray,
    fractions: dict[str, float],
    seed: int,
) -> dict[str, Split]:
    """Assigns whole groups to the splits, so that the class counts of each split approach its fraction."""
    names = [*fractions, "train"]
    counts = counts_of(groups, train.labels, len(classes))
    split_of = distributed(counts, [*fractions.values(), 1 - sum(fractions.values())], seed)
    for row, name in enumerate(names):
        for k in np.flatnonzero(counts[split_of == row].sum(axis=0) == 0):
            of_class = counted(int((counts[:, k] > 0).sum()), "group")
            raise RequestError(
                f"{where}: class {classes[k]!r} has examples of {of_class}, too few to give {name} some of its own. "
                "Add groups, or name the splits in the list."
            )
    return {name: train.take(np.flatnonzero(split_of[groups] == row)) for row, name in enumerate(names)}


def distributed(counts: np.ndarray, fractions: Sequence[float], seed: int) -> np.ndarray:
    """Assigns groups to parts, so that the class counts of each part approach its fraction.

    Groups are sorted from large to small, in an order drawn from the seed, as in scikit-learn's StratifiedGroupKFold;
    each is assigned to the part whose counts it brings closest to the target.

    Args:
        counts: int64 [groups, classes], examples.
        fractions: of the parts, with the sum 1.
        seed: seed of the order.

    Returns:
        int64 [groups], the part of each group.
    """
    wanted_counts = np.array(fractions)[:, None] * counts.sum(axis=0)
    drawn = np.random.default_rng([seed, _DIVIDE]).permutation(len(counts))
    counts_so_far = np.zeros_like(wanted_counts)
    part_of = np.empty(len(counts), np.int64)
    for group in drawn[np.argsort(-counts[drawn].sum(axis=1), kind="stable")].tolist():
        missing = np.maximum(wanted_counts - counts_so_far, 0)
        gain = missing**2 - np.maximum(missing - counts[group], 0) ** 2 - np.maximum(counts[group] - missing, 0) ** 2
        part_of[group] = int((gain / np.maximum(wanted_counts, 1)).sum(axis=1).argmax())
        counts_so_far[part_of[group]] += counts[group]
    _fill_gaps(part_of, counts, len(fractions))
    return part_of


def _fill_gaps(split_of: np.ndarray, counts: np.ndarray, splits: int) -> None:
    """Moves the smallest groups to splits that lack a class, from splits that remain complete without them.

    Args:
        split_of: int64 [groups], the split of each group; changed in place.
        counts: int64 [groups, classes], examples.
        splits: number of splits.
    """
    for row in range(splits):
        for k in range(counts.shape[1]):
            if counts[split_of == row, k].any():
                continue
            holders = np.flatnonzero(counts[:, k]).tolist()
            candidates = [group for group in holders if _spare(group, split_of, counts)]
            if candidates:
                split_of[min(candidates, key=lambda group: int(counts[group].sum()))] = row


def _spare(group: int, split_of: np.ndarray, counts: np.ndarray) -> bool:
    """Returns whether other groups of the same split have examples of each of the group's classes."""
    others = counts[(split_of == split_of[group]) & (np.arange(len(counts)) != group)].sum(axis=0)
    return bool((others[counts[group] > 0] > 0).all())


def counts_of(groups: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns int64 [groups, classes], the number of examples of each class in each group."""
    counts = np.zeros((int(groups.max()) + 1, classes), np.int64)
    np.add.at(counts, (groups, labels), 1)
    return counts


def _fraction(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    positions = [members[: max(1, round(fraction * len(members)))] for members in shuffled(labels, seed, _FRACTION)]
    return np.sort(np.concatenate(positions))


def shuffled(labels: np.ndarray, seed: int, purpose: int) -> list[np.ndarray]:
    """Returns the positions of every class, in an order drawn from the seed, the purpose and the class alone."""
    return [
        np.random.default_rng([seed, purpose, k]).permutation(np.flatnonzero(labels == k))
        for k in range(int(labels.max()) + 1)
    ]
