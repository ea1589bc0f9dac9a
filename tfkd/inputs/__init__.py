"""Kinds of input: one package for each, which holds all that is special about it.

A package defines `KIND`, a `tfkd.inputs.kind.Kind`. Adding a kind touches its package, its test and one line below.
"""

import importlib

from tfkd.errors import RequestError, nearest
from tfkd.inputs.kind import Kind

KINDS = {"image": "tfkd.inputs.image"}


def kind_of(name: str) -> Kind:
    """Returns a kind of input by its name.

    Raises:
        RequestError: there is none of this name.
    """
    if name not in KINDS:
        raise RequestError(f"There is no kind of input {name!r}.{nearest(name, list(KINDS))}")
    kind: Kind = importlib.import_module(KINDS[name]).KIND
    return kind
