"""Rows in memory, in golden files and in the report."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfkd import arguments
from tfkd.errors import RequestError
from tfkd.inputs.kind import ExampleError
from tfkd.inputs.table.reading import encoded_row
from tfkd.inputs.text import examples as texts
from tfkd.signature import Column, Signature

OTHER = "(another category)"
_LARGEST = 1 << 20  # bytes of a golden file
_SHOWN = 16  # values of a row in the report

shown_type, no_others = texts.shown_type, texts.no_others


def from_memory(rows: Any, signature: Signature) -> np.ndarray:
    """Returns rows as a model takes them.

    Args:
        rows: a mapping of values by column, several of them, or numbers [n, columns] as the model takes them.
        signature: the model's.

    Returns:
        float32 [n, columns].

    Raises:
        RequestError: they are no such rows.
    """
    several = [rows] if isinstance(rows, Mapping) else rows
    if isinstance(several, Sequence) and several and all(isinstance(row, Mapping) for row in several):
        return np.stack([encoded_row(row, signature.columns) for row in several])
    wanted = f"mappings of values by column, or numbers [n, {len(signature.columns)}]"
    try:
        numbers = np.asarray(rows, np.float32)
    except (TypeError, ValueError):
        raise arguments.wrong("rows", rows, wanted) from None
    if numbers.ndim != 2 or numbers.shape[1] != len(signature.columns) or not np.isfinite(numbers).all():
        raise arguments.wrong("rows", rows, wanted)
    return numbers


def to_golden(rows: Any) -> np.ndarray:
    """Returns rows, float32 [n, columns]."""
    return np.asarray(rows, np.float32)


def named_values(row: np.ndarray, columns: Sequence[Column]) -> dict[str, float | str | None]:
    """Returns the values of a row (float32 [columns]) by column; None for a category that the model does not know."""
    return {column.name: _named(float(value), column) for value, column in zip(row, columns, strict=True)}


def _named(value: float, column: Column) -> float | str | None:
    if not column.categories:
        return value
    return column.categories[int(value)] if 0 <= value < len(column.categories) else None


def encode_golden(row: np.ndarray, signature: Signature) -> bytes:
    """Returns a row (float32 [columns]) as a JSON object of its values by column."""
    return json.dumps(named_values(row, signature.columns), ensure_ascii=False, indent=1).encode()


def decode_golden(encoded: bytes, signature: Signature) -> np.ndarray:
    """Returns the row of a golden file, float32 [columns].

    Raises:
        ExampleError: it is no JSON object with a value for each column.
    """
    if len(encoded) > _LARGEST:
        raise ExampleError("is larger than 1 MiB")
    try:
        values = json.loads(encoded)
        if not isinstance(values, dict):
            raise ValueError("is no object")
        row = encoded_row({name: "" if each is None else each for name, each in values.items()}, signature.columns)
    except RequestError as error:
        raise ExampleError(str(error).rstrip(".")) from None
    except (ValueError, RecursionError, OverflowError):
        raise ExampleError("is no JSON object of numbers and texts") from None
    return row


def encode_shown(row: np.ndarray, signature: Signature) -> str:
    """Returns the first values of a row, float32 [columns], by column, in base64 of UTF-8."""
    values = list(named_values(row, signature.columns).items())
    shown = [f"{name} {OTHER if value is None else _written(value)}" for name, value in values[:_SHOWN]]
    text = ", ".join(shown) + (", …" if len(values) > _SHOWN else "")
    return base64.b64encode(text.encode()).decode("ascii")


def _written(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def no_normalization(text: str, where: str) -> None:
    """Refuses a normalization other than none.

    Raises:
        RequestError: the text names one.
    """
    if text != "none":
        raise RequestError(f"{where} = {text!r}: the values of rows are not normalised; leave it out.")


def conversion(rendering: str) -> str:
    """Returns nothing: an app gives the values as they are."""
    return ""
