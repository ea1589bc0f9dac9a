"""Adapts the reading of examples to the training examples, for instance by a vocabulary of their words."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tfkd.data.dataset import Split
from tfkd.files import fingerprint, read_sealed, write_sealed
from tfkd.inputs.kind import Reading


def adapted(
    reading: Reading, training: Iterable[Split], others: Iterable[Split], examples: str, folder: Path | None
) -> tuple[Reading, list[str], list[str]]:
    """Returns the reading of the student's input, notes about it, and warnings.

    Args:
        reading: of all splits.
        training: splits with which students are trained.
        others: splits for validation and test.
        examples: fingerprint of the splits.
        folder: keeps the facts of an adaptation, so that unchanged examples are read once.

    Raises:
        RequestError: the examples do not fit the settings.
    """
    if not reading.adapts_by:
        return reading, [], []
    path = None if folder is None else folder / f"adaptation-{fingerprint(examples, reading.adapts_by)}.json"
    facts = None if path is None else read_sealed(path)
    if facts is None:
        facts = reading.adaptation(loaded(*training), loaded(*others))
        if path is not None:
            write_sealed(path, facts)
    return reading.adapted(facts), list(reading.adaptation_notes(facts)), list(reading.adaptation_warnings(facts))


def read_as(split: Split, reading: Reading) -> Split:
    """Returns the same examples with another reading."""
    return dataclasses.replace(split, reading=reading)


def loaded(*splits: Split) -> Iterator[Any]:
    """Yields the decoded examples of splits."""
    for split in splits:
        yield from map(split.load, range(len(split)))
