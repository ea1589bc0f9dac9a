"""The label lists of two bundles as one list of classes, and what an app notices of the change."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfkd.errors import RequestError, counted, some
from tfkd.labels import composed, outputs_of, skeleton


@dataclass(frozen=True)
class SharedClasses:
    """The classes of two bundles: those of the old one in its order, then those that only the new one has.

    Attributes:
        old: labels of the old bundle.
        new: labels of the new bundle.
        of_new: number of the class of each label of the new bundle.
    """

    old: tuple[str, ...]
    new: tuple[str, ...]
    of_new: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all classes, as the old bundle writes them where it has them."""
        added = {number: name for name, number in zip(self.new, self.of_new, strict=True)}
        return (*self.old, *(added[number] for number in range(len(self.old), self.count)))

    @property
    def count(self) -> int:
        return max(len(self.old), *(number + 1 for number in self.of_new))

    def numbers(self, names: Sequence[str], otherwise: Sequence[int] = ()) -> np.ndarray:
        """Returns the number of each class by its name in either bundle, int64 [n].

        Args:
            names: of classes.
            otherwise: numbers of those that neither bundle has; empty where that is an error.

        Raises:
            RequestError: neither bundle has a class.
        """
        known = {composed(name): number for name, number in zip(self.new, self.of_new, strict=True)}
        known |= {composed(name): number for number, name in enumerate(self.old)}
        if otherwise:
            found = [known.get(composed(name), otherwise[place]) for place, name in enumerate(names)]
        else:
            numbers = list(known.values())
            found = [numbers[place] for place in outputs_of(names, list(known), "the bundles")]
        return np.array(found, np.int64)

    def of_old_outputs(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns the probabilities of a file of the old bundle by class, float64 [n, count]."""
        return self._placed(probabilities, range(len(self.old)))

    def of_new_outputs(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns the probabilities of a file of the new bundle by class, float64 [n, count]."""
        return self._placed(probabilities, self.of_new)

    def _placed(self, probabilities: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
        found = np.zeros((len(probabilities), self.count))
        found[:, list(numbers)] = probabilities
        return found


def shared_classes(old: Sequence[str], new: Sequence[str]) -> SharedClasses:
    """Pairs the labels of two bundles by name, else by similar name, else by place.

    Raises:
        RequestError: the bundles have no label in common.
    """
    found: dict[int, int] = {}
    for key in (composed, skeleton):
        places = {key(name): number for number, name in enumerate(old) if number not in found.values()}
        for number, name in enumerate(new):
            if number not in found and key(name) in places:
                found[number] = places.pop(key(name))
    if not found:
        raise RequestError(
            f"The bundles are of other classes altogether: {some(list(map(repr, old)), ', ')} and "
            f"{some(list(map(repr, new)), ', ')}. Compare bundles of the same task."
        )
    for number in range(min(len(old), len(new))):
        if number not in found and number not in found.values():
            found[number] = number
    added = iter(range(len(old), len(old) + len(new)))
    return SharedClasses(
        tuple(old), tuple(new), tuple(found[n] if n in found else next(added) for n in range(len(new)))
    )


def label_changes(classes: SharedClasses) -> Iterator[str]:
    """Yields a sentence for each kind of change of the labels."""
    old, new = classes.old, classes.new
    places = {number: place for place, number in enumerate(classes.of_new)}
    if lost := [f"{number} {name!r}" for number, name in enumerate(old) if number not in places]:
        yield f"{_labels(lost)} of the old bundle {_be(lost)} missing"
    if added := [f"{place} {new[place]!r}" for number, place in places.items() if number >= len(old)]:
        yield f"{_labels(added)} of the new bundle {_be(added)} new"
    kept = {number: places[number] for number in range(len(old)) if number in places}
    for number, place in kept.items():
        if old[number] != new[place]:
            yield f"label {number} was {old[number]!r}, it is {new[place]!r}"
    if moved := described_order({number: place for number, place in kept.items() if number != place}, old):
        yield moved


def described_order(moved: Mapping[int, int], names: Sequence[str]) -> str:
    """Returns in words which labels, counted from 0, changed places; empty where none did.

    Args:
        moved: present place of each moved label, by its former place.
        names: of the labels, by their former place.
    """
    if not moved:
        return ""
    if all(moved.get(place) == number for number, place in moved.items()):
        pairs = [(number, place) for number, place in moved.items() if number < place]
        found = [f"labels {a} and {b} are swapped ({names[a]!r} and {names[b]!r})" for a, b in pairs]
    else:
        found = [f"label {number} {names[number]!r} is now {place}" for number, place in moved.items()]
    return some(found)


def _labels(named: list[str]) -> str:
    return f"label {named[0]}" if len(named) == 1 else f"{counted(len(named), 'label')} ({some(named, ', ')})"


def _be(named: list[str]) -> str:
    return "is" if len(named) == 1 else "are"
