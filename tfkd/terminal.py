"""Output of the command line: lines and tables with escaped text, on streams that may be closed early.

Names of files, classes, layers and devices, texts of manifests and messages of libraries may contain control
characters of a terminal. They are escaped here, where they are printed, and not before.
"""

import errno
import io
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from tfkd.errors import MachineError, legible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

COLUMNS_OF_A_LOG = 140
_prepared: list[TextIO] = []
_GONE = (errno.EPIPE, errno.EBADF)  # its reader has ended, or code of a recipe closed it


def prepare() -> None:
    """Replaces the standard streams of the process by streams that accept any text.

    A closed stream is opened on the null device, so that no other file gets its descriptor. Text for a pipe without a
    reader is discarded.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    sys.stdout, sys.stderr = _stream(1, sys.stdout), _stream(2, sys.stderr)
    _prepared[:] = sys.stdout, sys.stderr


def restore() -> None:
    """Restores the prepared streams if code of a recipe has replaced them."""
    if _prepared:
        sys.stdout, sys.stderr = _prepared


def say(text: str, error: bool = False) -> None:
    """Prints one line on the standard output, or on the standard error."""
    print(legible(text), file=sys.stderr if error else sys.stdout, flush=True)


def say_lines(text: str, error: bool = False) -> None:
    """Prints a text of several lines, such as JSON or a traceback."""
    say_all = (legible(line) for line in text.split("\n"))
    print("\n".join(say_all), file=sys.stderr if error else sys.stdout, flush=True)


def show(*tables: "RenderableType") -> None:
    """Prints tables, as wide as the terminal."""
    _print(tables, sys.stdout)
    sys.stdout.flush()


def drawn(*tables: "RenderableType") -> str:
    """Returns tables as text, as wide as the terminal."""
    text = io.StringIO()
    _print(tables, text)
    return text.getvalue()


def _print(tables: "Iterable[RenderableType]", file: TextIO) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else COLUMNS_OF_A_LOG
    screen = Console(file=file, width=width, force_jupyter=False, markup=False, emoji=False, highlight=False)
    for table in tables:
        screen.print(_Legible(table))


class _Legible:
    """A table whose text is escaped after its layout."""

    def __init__(self, table: "RenderableType") -> None:
        self._table = table

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> Iterator["Segment"]:
        from rich.segment import Segment

        for segment in console.render(self._table, options):
            lines = map(legible, segment.text.split("\n"))
            yield Segment("\n".join(lines), segment.style)


class _Stream(io.TextIOWrapper):
    """Code of a recipe cannot close it."""

    def close(self) -> None:
        self.flush()


class _Output(io.FileIO):
    """A binary standard stream that discards bytes when the reader has ended."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if error.errno in _GONE or self.fileno() == 2:
                return memoryview(data).nbytes
            raise MachineError(
                f"Cannot write to the standard output: {error.strerror}. Redirect it to another file or disk."
            ) from None


def _stream(number: int, before: TextIO | None) -> TextIO:
    return _Stream(
        io.BufferedWriter(_Output(number, "w", closefd=False)),
        encoding=before.encoding if before else "utf-8",
        errors="backslashreplace",
        line_buffering=os.isatty(number) or number == 2,
    )
