"""One fault of the source, and the files that list faults."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LISTED = HERE / "listed.toml"
EQUIVALENT = HERE / "equivalent.toml"
DRAWN = "drawn"


class MutantError(Exception):
    """A list of mutants does not fit the source."""


@dataclass(frozen=True)
class Mutant:
    """A fragment of source and its replacement.

    Attributes:
        topic: topic of the fault; "drawn" for one that was drawn from a seed.
        file: the changed file, from the root of the project.
        find: the fragment.
        replace: the replacement.
        tests: files or names of tests that should notice it, as for pytest; empty: those that import the file.
        offset: start of the fragment, characters; None if it occurs once.
    """

    topic: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...] = ()
    offset: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Identity of the mutant, independent of its position and indentation in the file."""
        return self.file, _flat(self.find), _flat(self.replace)

    def applied(self, source: str) -> str:
        """Returns the source of its file with the fault in it.

        Raises:
            MutantError: the fragment does not occur, or several times.
        """
        start = self.offset
        if start is None:
            times = source.count(self.find)
            if times != 1:
                raise MutantError(f"{self.file} holds {times} times, not once: {self.find}")
            start = source.index(self.find)
        return source[:start] + self.replace + source[start + len(self.find) :]


def read_listed(path: Path = LISTED) -> list[Mutant]:
    """Returns the listed mutants."""
    return [Mutant(**{**entry, "tests": tuple(entry["tests"])}) for entry in _entries(path)]


def read_equivalent(path: Path = EQUIVALENT) -> dict[tuple[str, str, str], str]:
    """Returns the reasons why mutants change no behaviour, by key."""
    return {Mutant(DRAWN, each["file"], each["find"], each["replace"]).key: each["why"] for each in _entries(path)}


def _entries(path: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", [])
    return entries


def _flat(text: str) -> str:
    return " ".join(text.split())
