"""Domains: the examples that a teacher knows, by a pattern of their paths in the source."""

import dataclasses
import fnmatch
import re
from collections.abc import Mapping, Sequence

import numpy as np

from tfkd.data.dataset import Dataset, Split
from tfkd.errors import RequestError, counted
from tfkd.labels import composed
from tfkd.recipe import Teacher

_NEEDED = ("training", "validation", "test")


def membership(split: Split, domain: str | None) -> np.ndarray:
    """Returns whether each example of a split is in a domain, bool [n]; all are without one.

    The pattern matches a whole path, or the end of one from any folder on; `*` matches slashes too.

    Args:
        split: the examples as the source names them, not in another rendering.
        domain: pattern as of a shell.
    """
    if domain is None:
        return np.ones(len(split), bool)
    pattern = composed(domain)
    of_path, of_end = (re.compile(fnmatch.translate(each)).match for each in (pattern, f"*/{pattern}"))
    names = (composed(split.name(i)) for i in range(len(split)))
    return np.array([bool(of_path(name) or of_end(name)) for name in names], bool)


def within(shown: Dataset, data: Dataset, domain: str | None) -> Dataset:
    """Returns the examples of a domain.

    Args:
        shown: all examples, in any rendering.
        data: the same as the source names them.
        domain: pattern of their paths; None keeps all.
    """
    if domain is None:
        return shown
    return dataclasses.replace(
        shown,
        train=_within(shown.train, data.train, domain),
        validation=_within(shown.validation, data.validation, domain),
        test=_within(shown.test, data.test, domain),
        unlabelled=_within(shown.unlabelled, data.unlabelled, domain) if shown.unlabelled and data.unlabelled else None,
    )


def splits_of(data: Dataset) -> dict[str, Split]:
    """Returns the splits of a run by their names in messages."""
    labelled = {"training": data.train, "validation": data.validation, "test": data.test}
    return labelled | ({"unlabelled": data.unlabelled} if data.unlabelled else {})


def require_domains(
    where: str, classes: Sequence[str], teachers: Sequence[Teacher], splits: Mapping[str, Split]
) -> None:
    """Refuses domains without examples, and examples that no teacher knows.

    Args:
        where: name of the source in messages.
        classes: names of the classes.
        teachers: of the recipe.
        splits: see `splits_of`.

    Raises:
        RequestError: a domain lacks examples of a labelled split, or of a specialist's classes in the test split, or an
            example is in none.
    """
    if all(teacher.domain is None for teacher in teachers):
        return
    members = {name: [membership(split, teacher.domain) for teacher in teachers] for name, split in splits.items()}
    for number, teacher in enumerate(teachers):
        found = {name: int(each[number].sum()) for name, each in members.items()}
        field = f"teachers.{number}.domain={teacher.domain!r}"
        _require_examples(field, where, splits, found)
        own = [label for label, name in enumerate(classes) if name in (teacher.classes or ())]
        if own and not np.isin(splits["test"].labels[members["test"][number]], own).any():
            raise RequestError(
                f"{field} has no test example of {where} of teachers.{number}.classes={teacher.classes}, so that the "
                "teacher cannot be measured; extend the domain or the classes."
            )
    unknown = [
        split.name(int(i))
        for name, split in splits.items()
        for i in np.flatnonzero(~np.logical_or.reduce(members[name]))
    ]
    if unknown:
        verb = "is" if len(set(unknown)) == 1 else "are"
        raise RequestError(
            f"{where}: {counted(len(set(unknown)), 'example')} {verb} in the domain of no teacher, e.g. {unknown[0]}; "
            "extend a domain, add a teacher for them, or remove them."
        )


def _within(shown: Split, split: Split, domain: str) -> Split:
    return shown.take(np.flatnonzero(membership(split, domain)))


def _require_examples(field: str, where: str, splits: Mapping[str, Split], found: Mapping[str, int]) -> None:
    if not any(found.values()):
        raise RequestError(
            f"{field} matches no example of {where}, whose paths are like {splits['training'].name(0)}; * matches "
            "any text, slashes included."
        )
    for name in _NEEDED:
        if not found[name]:
            more = "" if name == "training" else f", or increase data.{name}_share where tfkd makes the split"
            raise RequestError(
                f"{field}: none of the {counted(len(splits[name]), f'{name} example')} of {where} is in it, and a "
                f"teacher is trained and measured on its domain; add examples, extend the domain{more}."
            )
