"""The options, the progress and the report that all fuzzers share."""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from tfkd import machine
from tfkd.files import write_json


def parser(description: str | None, count: int, changed: str) -> argparse.ArgumentParser:
    """Returns a parser that knows `--count`, `--seed` and `--out`.

    Args:
        description: of the fuzzer, its module's docstring.
        count: default number of rounds.
        changed: what a round changes, in the plural.
    """
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--count", type=int, default=count, help=f"number of changed {changed}")
    found.add_argument("--seed", type=int, default=1)
    found.add_argument("--out", type=Path, help="file for a copy of the JSON")
    return found


class Session:
    """One call of a fuzzer, whose time is measured from here on.

    Args:
        name: of the fuzzer.
        options: as `parser` parses them.
        every: number of rounds between two lines of progress.
    """

    def __init__(self, name: str, options: argparse.Namespace, every: int = 50) -> None:
        self._name = name
        self._options = options
        self._every = every
        self._start = time.perf_counter()

    def done(self, number: int) -> None:
        """Shows the progress after round `number`, counted from 0."""
        if (number + 1) % self._every == 0:
            print(f"{number + 1} of {self._options.count}, {self._seconds():,.0f} s", file=sys.stderr)

    def end(self, found: Mapping[str, Any], is_wrong: bool) -> NoReturn:
        """Writes the report with what was found, and ends the process with exit code 1 if anything was wrong."""
        report = {
            "benchmark": self._name,
            "command": shlex.join(["python", *sys.argv]),
            "count": self._options.count,
            "seed": self._options.seed,
            **found,
            "seconds": round(self._seconds(), 1),
            "machine": machine.environment(),
        }
        print(json.dumps(report, indent=2))
        if self._options.out:
            write_json(self._options.out, report)
        sys.exit(1 if is_wrong else 0)

    def _seconds(self) -> float:
        return time.perf_counter() - self._start
