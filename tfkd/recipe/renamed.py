"""Renamed fields of recipes. Old names are read, and fingerprints use them, because a name changes no result."""

import functools
from collections.abc import Collection, Mapping
from typing import Any

from tfkd.terminal import say

RENAMED = {"modality": "rendering"}  # of teachers, students and assistants
_FIRST = {new: old for old, new in RENAMED.items()}
_DEPTH = 4  # of an assistant's fields in a recipe: its block, the list of assistants, distill, the recipe


def read(values: Any, fields: Collection[str]) -> Any:
    """Returns the values of a block under current names; prints a note for an old name.

    Args:
        values: values of a block, or anything else.
        fields: the names of the block's fields.
    """
    if not isinstance(values, Mapping):
        return values
    old = [name for name, new in RENAMED.items() if name in values and new in fields]
    for name in old:
        _note(name)
    present = {name: value for name, value in values.items() if name not in old}
    return present | {RENAMED[name]: values[name] for name in old}


def first_named(values: Any) -> Any:
    """Returns the JSON of a recipe or block under the first names of its fields, which fingerprints use."""
    return _named(values, _FIRST, _DEPTH)


def present_named(values: Any) -> Any:
    """Returns the JSON of a recipe, perhaps from an earlier version, under current names."""
    return _named(values, RENAMED, _DEPTH)


def _named(values: Any, names: Mapping[str, str], depth: int) -> Any:
    if depth and isinstance(values, Mapping):
        return {names.get(name, name): _named(value, names, depth - 1) for name, value in values.items()}
    if depth and isinstance(values, list):
        return [_named(value, names, depth - 1) for value in values]
    return values


@functools.cache
def _note(name: str) -> None:
    """Prints the note about a name once."""
    say(f"note: {name} is called {RENAMED[name]} now; the old name is still read", error=True)
