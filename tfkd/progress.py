"""Progress of long work: a bar with rate and remaining time in a terminal, a line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from tfkd import terminal
from tfkd.errors import legible

SECONDS_BETWEEN_LINES = 10.0

Advance = Callable[[int], None]


class Progress(Protocol):
    """Shows what is being done."""

    def say(self, text: str) -> None:
        """Prints one line."""

    def task(self, name: str, total: int | None, unit: str) -> contextlib.AbstractContextManager[Advance]:
        """Shows a task of `total` units while the block runs; the block calls the yielded function with units done."""


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
            if began is None and done:  # start-up and what was resumed tell nothing of the rate
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
        """Draws a bar that goes when the task is done."""
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


def for_output() -> Progress:
    """Returns bars where standard output is a terminal, lines elsewhere."""
    return Bars() if sys.stdout.isatty() else Lines()


def _state(done: int, total: int | None, unit: str, rate: float) -> str:
    if not total:
        return f"{done:,} {unit}, {rate:,.1f}/s"
    left = f", {rate:,.1f}/s, {(total - done) / rate:,.0f} s left" if rate else ""
    return f"{done:,} of {total:,} {unit}{left}"


def counted(advance: Advance) -> Callable[[int, int], None]:
    """Turns counts (done so far, of how many) into the steps that a progress bar takes."""
    done = 0

    def report(so_far: int, _: int) -> None:
        nonlocal done
        advance(so_far - done)
        done = so_far

    return report
