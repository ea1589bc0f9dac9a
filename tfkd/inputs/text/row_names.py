"""How a file of predictions names texts: by the text itself, or by its place in the source."""

from collections.abc import Iterable

from tfkd.inputs.kind import RowNames
from tfkd.inputs.text.tokenizer import words
from tfkd.labels import composed


def normal(name: str) -> str:
    """Returns a name as it is compared: composed, without spaces around it."""
    return composed(name.strip())


def content(text: str) -> str:
    """Returns the words of a text with spaces between; texts of the same words are one text."""
    return " ".join(words(composed(text)))


def advice(names: Iterable[str]) -> str:
    """Returns how to name texts."""
    return "Name rows by the text itself, or by its table and line, e.g. 'texts.csv, line 2'"


ROW_NAMES = RowNames(normal, content, advice)
