"""Rare classes in a training: weights of the classes in the loss with the labels, and balanced sampling.

Both make up for classes of different sizes. An example without a label has no part in that loss, and keeps its places
in the order of an epoch.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tfkd.data import domains
from tfkd.data.dataset import UNLABELLED, Dataset
from tfkd.errors import RequestError
from tfkd.labels import class_named, composed
from tfkd.recipe import Recipe, Training

_STREAM = 1  # of the random numbers of balanced orders, apart from those of other orders


def class_weights(training: Training, labels: np.ndarray, classes: Sequence[str]) -> list[float] | None:
    """Returns the weight of every class in the loss with the labels, or None if all are alike.

    "balanced" is n / (classes · count) for n labelled examples, as scikit-learn's `compute_class_weight`, so that the
    mean weight of the examples is 1. Named classes have the weights of the recipe, and all others 1.

    Args:
        training: the settings.
        labels: int [n] of the training examples; −1 is no label.
        classes: names of all classes, in order.

    Raises:
        RequestError: a class to balance has no training examples.
    """
    if training.class_weight is None:
        return None
    if isinstance(training.class_weight, str):
        counts = _counts(labels, classes)
        return [float(weight) for weight in counts.sum() / (len(classes) * counts)]
    named = {composed(name): weight for name, weight in training.class_weight.items()}
    return [named.get(composed(name), 1.0) for name in classes]


def balanced_order(order: np.ndarray, labels: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Returns an order of examples with the same places for unlabelled ones, and equally many of each class elsewhere.

    Every class that has examples comes once, in random order, before any comes again; an example of a class comes again
    only after all others of that class.

    Args:
        order: int64 [m], positions of the examples in their natural order.
        labels: int [n] of all examples; −1 is no label.
        seed: seed of the training.
        epoch: number of the epoch.
    """
    rng = np.random.default_rng([seed, epoch, _STREAM])
    places = np.flatnonzero(labels[order] != UNLABELLED)
    classes = _rounds(rng, np.unique(labels[labels != UNLABELLED]), len(places))
    balanced = order.copy()
    for number in np.unique(classes):
        own = places[classes == number]
        balanced[own] = _rounds(rng, np.flatnonzero(labels == number), len(own))
    return balanced


def require_known_classes(recipe: Recipe, data: Dataset) -> None:
    """Refuses weights of classes that the data does not have, and balance where a class has no training examples.

    Raises:
        RequestError: a training of the recipe has such a setting.
    """
    by_teacher = {f"teachers.{number}.fine_tune": each.domain for number, each in enumerate(recipe.teachers)}
    for place, training in trainings_of(recipe):
        if isinstance(training.class_weight, dict):
            for name in training.class_weight:
                class_named(name, data.classes, f"{place}.class_weight")
        elif training.class_weight or training.sampling == "balanced":
            domain = by_teacher.get(place)
            where = "" if domain is None else f" in the domain {domain!r}"
            _counts(data.train.labels[domains.membership(data.train, domain)], data.classes, where)


def trainings_of(recipe: Recipe) -> Iterator[tuple[str, Training]]:
    """Yields every training of a recipe with its dotted path."""
    yield "distill.training", recipe.distill.training
    yield from ((f"compress.{number}.training", block.training) for number, block in enumerate(recipe.compress))
    for number, teacher in enumerate(recipe.teachers):
        if teacher.fine_tune is not None:
            yield f"teachers.{number}.fine_tune", teacher.fine_tune


def _counts(labels: np.ndarray, classes: Sequence[str], where: str = "") -> np.ndarray:
    counts = np.bincount(labels[labels != UNLABELLED], minlength=len(classes))
    if not counts.all():
        name = classes[int(counts.argmin())]
        raise RequestError(
            f"The class {name!r} has no training examples{where}, so that it cannot be balanced; add examples of it, "
            "or remove the class."
        )
    return counts


def _rounds(rng: np.random.Generator, values: np.ndarray, length: int) -> np.ndarray:
    """Returns `length` of the values: new permutations of all, one after the other."""
    if not length:
        return np.zeros(0, np.int64)
    rounds = -(-length // len(values))
    return np.concatenate([rng.permutation(values) for _ in range(rounds)])[:length].astype(np.int64)
