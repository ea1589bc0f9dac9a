"""Checks the arguments of public functions.

Each error is one line with the name of the argument, its value and what it must be.
"""

import math
import numbers
import operator
import os
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any

from tfkd.errors import RequestError

PathLike = str | os.PathLike[str]

_LONGEST = 80  # characters of a value in a message
_LONGEST_NAME = 255  # bytes of a file's name


def wrong(name: str, value: Any, wanted: str) -> RequestError:
    """Returns the error for an argument with a wrong value.

    Args:
        name: name of the argument.
        value: its value.
        wanted: what it must be, as a noun phrase.
    """
    return RequestError(f"{name} = {shown(value)} must be {wanted}.")


def shown(value: Any) -> str:
    """Returns a value on one line: its representation, or its type where that is long."""
    kind = f"<{type(value).__name__}>"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # the representation is anybody's code
        return kind
    return text if len(text) <= _LONGEST else kind


def path(name: str, value: Any, wanted: str = "a path, as text or as a pathlib.Path") -> Path:
    """Returns a path.

    Raises:
        RequestError: it is neither text nor an os.PathLike of text, or no file can have this name.
    """
    try:
        text = os.fspath(value)
        longest = max(map(len, os.fsencode(text).split(os.fsencode(os.sep))))
    except (TypeError, UnicodeEncodeError) as error:
        raise wrong(name, value, wanted) from error
    if not isinstance(text, str):
        raise wrong(name, value, wanted)
    if "\0" in text or longest > _LONGEST_NAME:
        raise wrong(name, value, f"{wanted}, of names of at most {_LONGEST_NAME} bytes without a null character")
    return Path(text)


def text(name: str, value: Any, wanted: str = "text", optional: bool = False) -> None:
    """Raises a RequestError for anything but text, or None if it is optional."""
    if not isinstance(value, str) and not (optional and value is None):
        raise wrong(name, value, f"{wanted} or None" if optional else wanted)


def texts(name: str, value: Any, wanted: str) -> list[str]:
    """Returns an ordered collection of texts as a list.

    Raises:
        RequestError: it is one text, has no order, or holds anything else.
    """
    if isinstance(value, str | bytes | Mapping | Set) or not isinstance(value, Iterable):
        raise wrong(name, value, wanted)
    found = list(value)
    if not all(isinstance(each, str) for each in found):
        raise wrong(name, value, wanted)
    return found


def flag(name: str, value: Any, optional: bool = False) -> None:
    """Raises a RequestError for anything but True and False, or None if it is optional."""
    if not isinstance(value, bool) and not (optional and value is None):
        raise wrong(name, value, "True, False or None" if optional else "True or False")


def whole(name: str, value: Any, least: int = 0, most: int | None = None) -> int:
    """Returns a whole number, of Python or NumPy.

    Raises:
        RequestError: it is anything else, or not between the bounds.
    """
    try:
        found = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = None
    if found is None or found < least or (most is not None and found > most):
        raise wrong(name, value, f"a whole number {_bounds(least, most)}")
    return found


def number(name: str, value: Any, least: float = 0.0, most: float | None = None) -> float:
    """Returns a finite number.

    Raises:
        RequestError: it is anything else, or not between the bounds.
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not real or value < least or (most is not None and value > most):
        raise wrong(name, value, f"a finite number {_bounds(least, most)}")
    return float(value)


def _bounds(least: float, most: float | None) -> str:
    return f"of at least {least:g}" if most is None else f"from {least:g} to {most:,g}"
