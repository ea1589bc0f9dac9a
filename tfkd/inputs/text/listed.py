"""Texts in memory with labels, written as a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfkd.inputs.label_numbers import label_numbers
from tfkd.inputs.listing import write_listing
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
    rows = [(well_formed(text), classes[label]) for text, label in zip(whole, numbers.tolist(), strict=True)]
    write_listing(folder / LISTED, [("text", "label"), *rows])
    return source_in(folder)
