"""Texts in memory with labels, written as a table."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfkd.files import write_bytes
from tfkd.inputs.label_numbers import label_numbers
from tfkd.inputs.text.examples import listed
from tfkd.inputs.text.tokenizer import well_formed

LISTED = "texts.csv"


def source_in(folder: Path) -> str:
    """Returns the source that `write_source` writes into a folder."""
    return f"texts:{folder / LISTED}"


def write_source(texts: Any, labels: Any, classes: Sequence[str], folder: Path) -> str:
    """Writes labelled texts, and returns the source that names them.

    Args:
        texts: one text, or several.
        labels: int [n], numbers of classes.
        classes: names, in order.
        folder: where to; it is made where it is missing.

    Raises:
        RequestError: they are no texts, or a label is no class.
    """
    whole = listed(texts)
    numbers = label_numbers(labels, len(whole), len(classes), "text")
    table = io.StringIO(newline="")
    rows = [(well_formed(text), classes[label]) for text, label in zip(whole, numbers.tolist(), strict=True)]
    csv.writer(table, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *rows])
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / LISTED, table.getvalue().encode())
    return source_in(folder)
