"""Tables as values: rows to compute with, which a notebook shows as HTML and a terminal as text."""

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

from rich import table as rich_table
from rich.text import Text

from tfkd import terminal
from tfkd.errors import legible

_ALIGNED = "text-align: {}; vertical-align: top"


class Table(Sequence[Mapping[str, Any]]):
    """Rows of exact values, with the text that people read.

    It is a sequence of rows, one mapping from field to value each, so that `pandas.DataFrame(table)` works.

    Args:
        shown: the table as the command line prints it.
        rows: the values behind it, in the units that the manifest's JSON Schema states.

    Example:
        >>> result.comparison[0]["accuracy"]
        0.799
    """

    def __init__(self, shown: rich_table.Table, rows: Iterable[Mapping[str, Any]]) -> None:
        self._shown = shown
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        return self._rows[index]

    def __rich__(self) -> rich_table.Table:
        return self._shown

    def __repr__(self) -> str:
        return terminal.drawn(self._shown).rstrip("\n")

    def _repr_html_(self) -> str:
        """Returns the table as a notebook shows it."""
        columns = self._shown.columns
        head = "".join(f'<th style="{_ALIGNED.format(each.justify)}">{_markup(each.header)}</th>' for each in columns)
        aligned = [_ALIGNED.format(each.justify) for each in columns]
        body = "".join(_row(row, aligned) for row in zip(*(each.cells for each in columns), strict=True))
        caption = "<br>".join(_markup(text) for text in (self._shown.title, self._shown.caption) if text)
        return (
            f'<table><caption style="text-align: left">{caption}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


class Tables:
    """A result that shows itself as several tables, in notebooks and in terminals."""

    def tables(self) -> Iterator[Table]:
        """Yields the tables in the order in which they are shown."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.tables()))

    def _repr_html_(self) -> str:
        return "".join(table._repr_html_() for table in self.tables())


def _row(cells: Sequence[Any], styles: Sequence[str]) -> str:
    shown = (f'<td style="{style}">{_markup(cell)}</td>' for cell, style in zip(cells, styles, strict=True))
    return f"<tr>{''.join(shown)}</tr>"


def _markup(cell: Any) -> str:
    """Returns a cell's text as HTML, with the line breaks that it has."""
    text = cell.plain if isinstance(cell, Text) else str(cell)
    return "<br>".join(html.escape(legible(line)) for line in text.split("\n"))
