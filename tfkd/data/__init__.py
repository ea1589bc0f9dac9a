"""Images from every source, as splits with random access, and the views that are made of them."""

from collections.abc import Callable
from pathlib import Path

from tfkd import recipe
from tfkd.data import embedded, folder, tfds
from tfkd.data.check import check
from tfkd.data.dataset import ImageData, Listing, Progress, Split
from tfkd.data.splits import divide
from tfkd.errors import RequestError, nearest
from tfkd.files import fingerprint

__all__ = ["REST", "SOURCES", "ImageData", "Split", "open_source"]

REST = "rest"

SOURCES: dict[str, Callable[[str], Listing]] = {
    "embedded": embedded.listing,
    "tfds": tfds.listing,
    "folder": folder.listing,
}


def open_source(
    data: recipe.Data, seed: int, progress: Progress | None = None, checked: Path | None = None
) -> ImageData:
    """Lists, checks and splits the images that a recipe asks for.

    Every file is decoded once, in parallel and streamed; those that cannot be are left out.

    Args:
        data: the recipe's part; its size and augmentation do not matter here.
        seed: draws the splits that the source lacks, and the share that `data.fraction` keeps.
        progress: called with (files checked, files in all) while the files are checked.
        checked: a folder that keeps the outcome of the check, so that unchanged files are decoded once and not again
            by the next call.

    Raises:
        RequestError: the source is unknown, unreadable, holds no classes to tell apart, or too many damaged files.
    """
    listing = _listing(data.source)
    longest_side = max(1024, 2 * data.image_size)
    splits = {name: split.limited(longest_side) for name, split in listing.splits.items()}
    if data.unlabelled is not None and data.unlabelled != REST:
        splits["unlabelled"] = _unlabelled(data.unlabelled).limited(longest_side)
    outcome = check(splits, data.max_rejected, progress, checked)
    unlabelled = outcome.splits.pop("unlabelled", None)
    contents = [outcome.contents[name] for name in outcome.splits]
    train, validation, test, rest = divide(listing.where, listing.classes, outcome.splits, data, seed)
    return ImageData(
        source=data.source,
        classes=listing.classes,
        fingerprint=_fingerprint(outcome.content, listing.classes, data, seed, longest_side),
        labelled=_fingerprint(contents[-1], listing.classes, data, seed, longest_side),
        train=train,
        validation=validation,
        test=test,
        unlabelled=rest if data.unlabelled == REST and len(rest) else unlabelled,
        rejected=outcome.rejected,
    )


def _listing(source: str) -> Listing:
    kind, colon, rest = source.partition(":")
    if kind not in SOURCES or not colon:
        raise RequestError(f"data.source = {source!r}: there is no source {kind!r}.{nearest(kind, list(SOURCES))}")
    if not rest:
        raise RequestError(f"data.source = {source!r} names nothing after the colon.")
    return SOURCES[kind](rest)


def _unlabelled(source: str) -> Split:
    kind, _, path = source.partition(":")
    if kind != "folder" or not path:
        raise RequestError(
            f"data.unlabelled = {source!r}: unlabelled images come from a folder or zip, or are the rest of "
            "the training images; give folder:PATH or rest."
        )
    return folder.unlabelled(path)


def _fingerprint(content: str, classes: tuple[str, ...], data: recipe.Data, seed: int, longest_side: int) -> str:
    """Names the images and their division: the same photos give the same digits in a folder, a zip, another place."""
    return fingerprint(content, classes, seed, data.fraction, data.validation_share, data.test_share, longest_side)
