"""The marks around figures in Markdown."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

_MARKED = re.compile(r"<!--= (?P<name>[^>]+?) -->(?P<shown>.*?)<!--/-->", re.DOTALL)


class FigureError(Exception):
    """A document and the evidence do not fit each other."""


def names(text: str) -> list[str]:
    """Returns the names of the figures in a document, in order."""
    return [found["name"] for found in _MARKED.finditer(text)]


def written(text: str, figures: Mapping[str, Callable[[], str]], where: Path) -> str:
    """Returns a document with its figures as the evidence has them.

    Raises:
        FigureError: a figure is not known, or a mark is not closed.
    """
    unknown = [name for name in names(text) if name not in figures]
    if unknown:
        raise FigureError(f"{where}: there is no figure {unknown[0]!r}; add it to tools/figures.")
    if len(names(text)) != text.count("<!--=") or len(names(text)) != text.count("<!--/-->"):
        raise FigureError(f"{where}: a figure is not closed by <!--/-->, or not opened.")
    return _MARKED.sub(lambda found: _filled(found["name"], figures[found["name"]]()), text)


def _filled(name: str, shown: str) -> str:
    text = f"\n{shown}\n" if shown.startswith("|") else shown  # a table begins on a line of its own
    return f"<!--= {name} -->{text}<!--/-->"
