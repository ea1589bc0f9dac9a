"""Kinds of input, with one package per kind.

A package defines `KIND`, a `tfkd.inputs.kind.InputKind`. Adding a kind touches its package, its test and one line
below.
"""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from tfkd.errors import RequestError, nearest
from tfkd.inputs.kind import InputKind
from tfkd.signature import Signature

KINDS = {"image": "tfkd.inputs.image", "text": "tfkd.inputs.text", "table": "tfkd.inputs.table"}


def kind_of(name: str) -> InputKind:
    """Returns a kind of input by its name.

    Raises:
        RequestError: there is none of this name.
    """
    if name not in KINDS:
        raise RequestError(f"There is no kind of input {name!r}.{nearest(name, list(KINDS))}")
    kind: InputKind = importlib.import_module(KINDS[name]).KIND
    return kind


def kind_of_examples(examples: Any) -> InputKind:
    """Returns the kind of input of examples in memory: text for one text or a list of texts, or else image."""
    several = [] if isinstance(examples, str | Iterator | Mapping) else examples
    try:
        first = next(iter(several), examples)
    except TypeError:
        first = None
    return kind_of("text" if isinstance(first, str) else "image")


def shown_type(text: str) -> str:
    """Returns the media type of the base64 text of an example, from the first kind that shows such.

    Raises:
        ValueError: no kind does.
    """
    reasons = []
    for name in KINDS:
        try:
            return kind_of(name).shown_type(text)
        except ValueError as error:
            reasons.append(str(error))
    raise ValueError("; ".join(reasons))


def signature_of(model: Any) -> Signature:
    """Returns the signature of a model's inputs, from the first kind that matches.

    Args:
        model: keras.Model with known inputs.

    Raises:
        RequestError: no kind matches.
    """
    reasons = []
    for name in KINDS:
        try:
            return kind_of(name).signature_of(model)
        except RequestError as error:
            reasons.append(str(error))
    raise RequestError(" ".join(reasons))
