"""Rows in memory with labels, written as a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfkd import arguments
from tfkd.inputs.label_numbers import label_numbers
from tfkd.inputs.listing import write_listing
from tfkd.recipe import Data, default_of

LISTED = "table.csv"


def source_in(folder: Path) -> str:
    """Returns the source that `write_source` writes into a folder."""
    return f"table:{folder / LISTED}"


def write_source(rows: Any, labels: Any, classes: Sequence[str], folder: Path) -> str:
    """Writes labelled rows, and returns the source that names them.

    Args:
        rows: mappings of numbers and texts by column, all with the same columns.
        labels: int [n], numbers of classes.
        classes: names, in order.
        folder: where to; it is made where it is missing.

    Raises:
        RequestError: they are no such rows, or a label is no class.
    """
    label = default_of(Data, "label_column")
    several = isinstance(rows, Sequence) and len(rows) > 0 and all(isinstance(row, Mapping) for row in rows)
    if not several or any(row.keys() != rows[0].keys() or label in row for row in rows):
        raise arguments.wrong("rows", rows, f"mappings of values by column, all of the same columns, none {label!r}")
    numbers = label_numbers(labels, len(rows), len(classes), "row")
    lines = [[*row.values(), classes[number]] for row, number in zip(rows, numbers.tolist(), strict=True)]
    write_listing(folder / LISTED, [[*rows[0], label], *lines])
    return source_in(folder)
