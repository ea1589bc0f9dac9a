"""Progress of long work: a bar with rate and remaining time in a terminal, occasional lines elsewhere."""

import contextlib
import html
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from tfkd import terminal
from tfkd.errors import legible

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_DRAWINGS = 0.5

Advance = Callable[[int], None]
Say = Callable[[str], None]


class Progress(Protocol):
    """Shows the progress of work."""

    def say(self, text: str) -> None:
        """Prints one line."""

    def task(self, name: str, total: int | None, unit: str) -> contextlib.AbstractContextManager[Advance]:
        """Shows a task of `total` units during a with-block, which calls the yielded function with units done."""


class Lines:
    """Progress as plain lines, for logs and CI."""

    def say(self, text: str) -> None:
        """Prints one line."""
        terminal.say(text)

    @contextlib.contextmanager
    def task(self, name: str, total: int | None, unit: str) -> Iterator[Advance]:
        """Prints a line about every ten seconds, with the rate and the remaining time."""
        last = time.monotonic()
        done = before = 0
        began: float | None = None

        def advance(units: int) -> None:
            nonlocal done, last, before, began
            done += units
            now = time.monotonic()
            if began is None and done:  # start-up and resumed work do not count for the rate
                began, before = now, done
            if now - last >= SECONDS_BETWEEN_LINES:
                last = now
                rate = (done - before) / (now - began) if began is not None and now > began else 0.0
                self.say(f"  {name}: {_state(done, total, unit, rate)}")

        yield advance


class Bars:
    """Progress as bars, for a terminal."""

    def say(self, text: str) -> None:
        """Prints one line."""
        from rich.console import Console

        Console(highlight=False, emoji=False).print(legible(text), markup=False)

    @contextlib.contextmanager
    def task(self, name: str, total: int | None, unit: str) -> Iterator[Advance]:
        """Draws a bar, removed when the task is done."""
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = [
            TextColumn("  {task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} " + unit + " {task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
        ]
        with RichProgress(*columns, transient=True) as bars:
            bar = bars.add_task(legible(name), total=total, rate="")

            def advance(units: int) -> None:
                bars.update(bar, advance=units)
                speed = bars.tasks[0].speed
                bars.update(bar, rate=f"({speed:,.0f}/s)" if speed else "")

            yield advance


class Silent:
    """Progress that is not shown."""

    def say(self, text: str) -> None:
        """Does nothing."""

    @contextlib.contextmanager
    def task(self, name: str, total: int | None, unit: str) -> Iterator[Advance]:
        """Runs the block."""
        yield lambda units: None


class Notebook(Lines):
    """Progress in a notebook: lines, and one bar below the cell, reused for each task."""

    def __init__(self) -> None:
        self._bar: Any = None

    @contextlib.contextmanager
    def task(self, name: str, total: int | None, unit: str) -> Iterator[Advance]:
        """Updates the bar a few times per second, and clears it when the task is done."""
        began = last = time.monotonic()
        done = 0

        def advance(units: int) -> None:
            nonlocal done, last
            done += units
            now = time.monotonic()
            if now - last >= SECONDS_BETWEEN_DRAWINGS:
                last = now
                self._draw(f"{name}: {_state(done, total, unit, done / (now - began))}", done, total)

        self._draw(name, 0, total)
        try:
            yield advance
        finally:
            self._draw("", 0, None)

    def _draw(self, text: str, done: int, total: int | None) -> None:
        from IPython.display import HTML, display

        value = f' value="{done}" max="{total}"' if total else ""
        bar = HTML(f"<progress{value}></progress> {html.escape(legible(text))}" if text else "")
        if self._bar is None:
            self._bar = display(bar, display_id=True)
        else:
            self._bar.update(bar)


def for_output() -> Progress:
    """Returns bars if standard output is a terminal, else lines; nothing where it is closed."""
    if sys.stdout is None:
        return Silent()
    return Bars() if sys.stdout.isatty() else Lines()


def for_caller(shown: bool | None) -> Progress:
    """Returns the progress display of a function called from Python.

    Args:
        shown: show progress; None: in terminals and notebooks only.
    """
    if shown is False:
        return Silent()
    if _is_notebook():
        return Notebook()
    progress = for_output()
    return progress if shown or isinstance(progress, Bars) else Silent()


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


def _state(done: int, total: int | None, unit: str, rate: float) -> str:
    if not total:
        return f"{done:,} {unit}, {rate:,.1f}/s"
    left = f", {rate:,.1f}/s, {(total - done) / rate:,.0f} s left" if rate else ""
    return f"{done:,} of {total:,} {unit}{left}"


def counted(advance: Advance) -> Callable[[int, int], None]:
    """Converts counts (done, total) to the steps of a progress bar."""
    done = 0

    def report(so_far: int, _: int) -> None:
        nonlocal done
        advance(so_far - done)
        done = so_far

    return report
