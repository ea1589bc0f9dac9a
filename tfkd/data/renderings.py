"""Data sets in an input rendering."""

import dataclasses
from typing import Any

from tfkd.data.check import fitted
from tfkd.data.dataset import Dataset, Split
from tfkd.data.folder import paired

_PARTS = ("train", "validation", "test", "unlabelled")


def folder_of(rendering: str) -> str:
    """Returns the path of a "folder:PATH", or ""."""
    kind, _, path = rendering.partition(":")
    return path if kind == "folder" else ""


def rendered_split(rendering: str, split: Split) -> Split:
    """Returns a split's examples in an input rendering: example i there belongs to example i here.

    Raises:
        RequestError: there is no such rendering, or an example has no partner in its folder.
    """
    reading, path = split.reading.rendered(rendering), folder_of(rendering)
    return dataclasses.replace(paired(split, path) if path else split, reading=reading)


def rendered(rendering: str, data: Dataset) -> Dataset:
    """Returns every split of a run's examples in an input rendering.

    Raises:
        RequestError: there is no such rendering, or an example has no partner in its folder.
    """
    splits = {part: split for part in _PARTS if (split := getattr(data, part)) is not None}
    shown = [rendered_split(rendering, split) for split in splits.values()]
    if folder_of(rendering):
        shown = fitted(shown)
    parts: dict[str, Any] = dict(zip(splits, shown, strict=True))
    if data.outside is not None:
        outside = rendered_split(rendering, data.outside)
        parts["outside"] = dataclasses.replace(outside, reading=parts["test"].reading)
    return dataclasses.replace(data, **parts)
