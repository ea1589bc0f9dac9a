"""What the contract tests ask of a format: each format's own test states it."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FormatFacts:
    """A format as the bundles of a model "tiny" hold it.

    Attributes:
        files: where a bundle holds the file of each form that a recipe may name.
        errors: by form that the contract test writes, the largest difference of a probability from the Keras model on
            the tiny network of tests/writers/conftest.py.
        runtimes: by the same forms, the oldest runtime that loads the file; None where the file does not state it.
    """

    files: Mapping[str, str]
    errors: Mapping[str, float]
    runtimes: Mapping[str, str | None]


def facts_of(name: str) -> FormatFacts:
    """Returns what the test of a format states about it."""
    facts: FormatFacts = importlib.import_module(f"tests.formats.test_{name}").FACTS
    return facts
