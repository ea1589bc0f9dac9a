"""JSON of untrusted files: one meaning only, finite, and of limited depth."""

import json
from collections.abc import Sequence
from typing import Any


class JsonError(Exception):
    """The bytes are not JSON with one meaning; the text says why."""


def parsed(content: bytes) -> Any:
    """Returns the value of a JSON text.

    Raises:
        JsonError: it is not JSON in UTF-8, names a value twice, has numbers that are not finite or very long, or is
            nested too deeply.
    """
    try:
        return json.loads(content.decode(), object_pairs_hook=once_each, parse_constant=_refused)
    except UnicodeDecodeError:
        raise JsonError("is not UTF-8") from None
    except RecursionError:
        raise JsonError("is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise JsonError(f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except ValueError:  # of int() for thousands of digits
        raise JsonError("has a number of thousands of digits") from None


def quoted(value: Any) -> str:
    """Returns a value from a file as text for a message, shortened."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def once_each(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object of JSON, as the `object_pairs_hook` of json.loads.

    One program would read the first of two equal names, another one the last.

    Raises:
        JsonError: a name occurs twice.
    """
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise JsonError(f"has two values of {quoted(name)}")
        values[name] = value
    return values


def _refused(constant: str) -> None:
    raise JsonError(f"has the number {constant}; JSON knows finite numbers alone")
