"""Findings about texts: encodings, and texts that are longer than the input."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tfkd.errors import counted, enumerated, some
from tfkd.inputs.kind import ExampleError
from tfkd.inputs.text import encodings
from tfkd.inputs.text.tokenizer import words


class TextFinding(NamedTuple):
    """The finding about one text.

    Attributes:
        digest: of its words, odd.
        encoding: of its file.
        is_guessed: nothing in the file states the encoding.
    """

    digest: int
    encoding: str
    is_guessed: bool


def examine(encoded: bytes) -> TextFinding:
    """Decodes a text and returns the finding.

    Raises:
        ExampleError: it is no text, or holds no word.
    """
    found = encodings.decode(encoded)
    split = words(found.text)
    if not split:
        raise ExampleError("holds no text")
    digest = hashlib.sha256("\n".join(split).encode()).digest()
    return TextFinding(int.from_bytes(digest[:8], "little") | 1, found.encoding, found.is_guessed)


@dataclass
class TextFindings:
    """Collects the findings of a check, text by text."""

    encodings: Counter[str] = field(default_factory=Counter)
    guessed: list[tuple[str, int, str]] = field(default_factory=list)

    def add(self, split: str, position: int, finding: TextFinding) -> None:
        """Adds a decoded text."""
        self.encodings[finding.encoding] += 1
        if finding.is_guessed:
            self.guessed.append((split, position, finding.encoding))

    def facts(self) -> dict[str, Any]:
        """Returns the number of texts by encoding, and those whose encoding is a guess."""
        return {"encodings": dict(sorted(self.encodings.items())), "guessed": self.guessed}


@dataclass(frozen=True)
class TextReport:
    """Notes and warnings about texts.

    Attributes:
        facts: of the check.
        name: maps a split and a position in it to the text's name.
    """

    facts: Mapping[str, Any]
    name: Callable[[str, int], str]

    def notes(self) -> Iterator[str]:
        """Yields a note about encodings other than UTF-8."""
        others = {name: count for name, count in self.facts["encodings"].items() if name != encodings.UTF_8}
        if others:
            yield "encodings beside UTF-8: " + enumerated([f"{name} ({count:,})" for name, count in others.items()])

    def warnings(self) -> Iterator[str]:
        """Yields a warning about encodings that are guesses."""
        guessed = self.facts["guessed"]
        if guessed:
            names = [f"{self.name(split, position)} as {encoding}" for split, position, encoding in guessed]
            yield (
                f"the encoding of {counted(len(guessed), 'text')} is a guess: {some(names)}; if characters are wrong, "
                "save them as UTF-8"
            )

    def explanation(self) -> str:
        """Returns nothing: equal texts need no explanation."""
        return ""
