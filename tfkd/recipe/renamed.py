"""Renamed and new fields of recipes, which must not change the fingerprints of earlier recipes.

Old names are read, and fingerprints use them, because a name changes no result. A field that was added after the first
release is not part of a fingerprint while it has the value that all earlier recipes imply.
"""

import functools
from collections.abc import Collection, Mapping
from typing import Any

from tfkd.terminal import say

RENAMED = {"modality": "rendering"}  # of teachers, students and assistants
_FIRST = {new: old for old, new in RENAMED.items()}
# Implied value by block and field.
ADDED: dict[tuple[str, str], Any] = {
    ("data", "kind"): "image",
    ("data", "folds"): None,
    ("data", "held_out"): [],
    ("data", "tokens"): 64,
    ("data", "vocabulary"): None,
    ("data", "pieces"): 8192,
    ("data", "augment.word_dropout"): 0.1,
    ("data", "label_column"): "label",
    ("data", "columns"): None,
    ("data", "categorical"): [],
    ("data", "augment.jitter"): 0.1,
    ("student", "max_depth"): None,
    ("student", "trees"): 50,
    ("student", "min_leaf"): 1,
    ("distill", "assistants.max_depth"): None,
    ("distill", "assistants.trees"): 50,
    ("distill", "assistants.min_leaf"): 1,
    ("student", "layers"): 2,
    ("student", "heads"): 2,
    ("student", "teacher_layers"): None,
    ("distill", "assistants.layers"): 2,
    ("distill", "assistants.teacher_layers"): None,
    ("distill", "assistants.heads"): 2,
    ("distill", "auto"): False,
    ("distill", "reasons"): [],
    ("teachers", "fine_tune.auto"): False,
    ("teachers", "predictions"): None,
    ("teachers", "output"): None,
    ("teachers", "class_embeddings"): None,
    ("teachers", "logit_scale"): 100.0,
    ("teachers", "domain"): None,
    ("teachers", "tokens"): None,
    ("teachers", "vocabulary"): None,
    ("distill", "label_head"): None,
    ("distill", "finish"): None,
    ("gates", "max_negative_flips"): None,
    ("distill", "training.class_weight"): None,
    ("distill", "training.sampling"): "natural",
    ("compress", "training.class_weight"): None,
    ("compress", "training.sampling"): "natural",
    ("teachers", "fine_tune.class_weight"): None,
    ("teachers", "fine_tune.sampling"): "natural",
    ("export", "thresholds"): True,
    ("gates", "min_recall"): None,
    ("gates", "min_balanced_accuracy"): None,
    ("gates", "max_recall_drop"): None,
    ("data", "outside"): None,
    ("export", "reject"): None,
    ("export", "temperature"): None,
    ("gates", "max_error_when_confident"): None,
    ("gates", "max_outside_accepted"): None,
}
# Fields of a recipe or of a request itself, which all earlier ones imply to be None.
NOT_AT_FIRST = ("fit", "vocabulary", "tokens")
PRICES = "cost"  # the block of a recipe that changes no result, whatever it says
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
    """Returns the JSON of a recipe or block as fingerprints use it: first names, no added default, no prices."""
    named = _named(values, _FIRST, _DEPTH)
    for (block, field), implied in ADDED.items():
        if block in named:
            named[block] = _without(named[block], field, implied)
    if not isinstance(named, dict):
        return named
    implied_none = [name for name in NOT_AT_FIRST if named.get(name, ...) is None]
    return {name: value for name, value in named.items() if name not in (*implied_none, PRICES)}


def _without(part: Any, field: str, implied: Any) -> Any:
    """Returns a block, or a list of blocks, without a field that has its implied value."""
    if isinstance(part, list):
        return [_without(each, field, implied) for each in part]
    if not isinstance(part, Mapping):
        return part
    outer, _, inner = field.partition(".")
    if inner and outer in part:
        return {**part, outer: _without(part[outer], inner, implied)}
    if part.get(field, ...) == implied:
        return {name: value for name, value in part.items() if name != field}
    return part


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
