"""Divides the photos of a source into train, validation and test, class by class."""

import numpy as np

from tfkd import recipe
from tfkd.data.dataset import Split
from tfkd.errors import RequestError

_DIVIDE, _FRACTION = 1, 2


def divide(
    where: str, classes: tuple[str, ...], splits: dict[str, Split], data: recipe.Data, seed: int
) -> tuple[Split, Split, Split, Split]:
    """Returns (train, validation, test, rest); those that the source lacks are split off the training photos.

    Every class is divided on its own, in an order drawn from the seed. The test split depends on its own share alone,
    not on validation's, and a smaller `data.fraction` keeps a part of what a larger one keeps. The rest is what it
    leaves out, without labels.

    Raises:
        RequestError: there is no training split, fewer than two classes, or a class with too few photos.
    """
    if "train" not in splits:
        found = ", ".join(splits) or "none"
        raise RequestError(f"{where} has no training split (found: {found}). Add one named train.")
    _require_classes(where, classes, splits["train"])
    missing = {
        name: share
        for name, share in (("test", data.test_share), ("validation", data.validation_share))
        if name not in splits
    }
    divided = {**splits, **_split_off(where, classes, splits["train"], missing, seed)}
    for name in ("validation", "test"):
        if not len(divided[name]):
            raise RequestError(f"{where}: the {name} split holds no readable image. Fill it, or remove it.")
    train = divided["train"]
    kept = _fraction(train.labels, data.fraction, seed)
    rest = train.take(np.setdiff1d(np.arange(len(train)), kept)).without_labels()
    return train.take(kept), divided["validation"], divided["test"], rest


def _require_classes(where: str, classes: tuple[str, ...], train: Split) -> None:
    if not len(train):
        raise RequestError(f"{where} holds no readable training image. Add one folder of images for each class.")
    if len(classes) < 2:
        raise RequestError(f"{where} has only one class ({classes[0]}); a classifier needs at least two.")
    empty = np.flatnonzero(np.bincount(train.labels, minlength=len(classes)) == 0)
    if len(empty):
        names = ", ".join(repr(classes[k]) for k in empty[:5])
        raise RequestError(f"{where}: no readable training image of class {names}. Add images or remove the class.")


def _split_off(
    where: str, classes: tuple[str, ...], train: Split, shares: dict[str, float], seed: int
) -> dict[str, Split]:
    if not shares:
        return {}
    if sum(shares.values()) >= 1:
        raise RequestError(
            "data.validation_share and data.test_share leave nothing to train on; their sum must be < 1."
        )
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*shares, "train")}
    for k, members in enumerate(_shuffled(train.labels, seed, _DIVIDE)):
        start = 0
        for name, share in shares.items():
            count = max(1, round(share * len(members)))
            parts[name].append(members[start : start + count])
            start += count
        if start >= len(members):
            raise RequestError(
                f"{where}: class {classes[k]!r} has {len(members)} training images, too few to split off "
                f"{' and '.join(shares)}. Add images, or remove the class."
            )
        parts["train"].append(members[start:])
    return {name: train.take(np.sort(np.concatenate(members))) for name, members in parts.items()}


def _fraction(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    kept = [members[: max(1, round(fraction * len(members)))] for members in _shuffled(labels, seed, _FRACTION)]
    return np.sort(np.concatenate(kept))


def _shuffled(labels: np.ndarray, seed: int, purpose: int) -> list[np.ndarray]:
    """Returns the positions of every class, in an order drawn from the seed, the purpose and the class alone."""
    return [
        np.random.default_rng([seed, purpose, k]).permutation(np.flatnonzero(labels == k))
        for k in range(int(labels.max()) + 1)
    ]
