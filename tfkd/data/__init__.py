"""Images from every source, as splits with random access, and the views that are made of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkd import recipe
from tfkd.data import duplicates, embedded, folder, table, tfds
from tfkd.data.check import Checked, check
from tfkd.data.dataset import ImageData, Listing, Progress, Split
from tfkd.data.depth import FULL, Ranges
from tfkd.data.splits import divide, kept_and_rest, require_classes
from tfkd.errors import RequestError, nearest
from tfkd.files import fingerprint
from tfkd.labels import composed, require_usable

__all__ = ["REST", "SOURCES", "ImageData", "Split", "open_evaluation", "open_same", "open_source"]

REST = "rest"

SOURCES: dict[str, Callable[[str], Listing]] = {
    "embedded": embedded.listing,
    "tfds": tfds.listing,
    "folder": folder.listing,
    "files": table.listing,
}


def open_source(
    data: recipe.Data,
    seed: int,
    progress: Progress | None = None,
    checked: Path | None = None,
    ranges: Ranges | None = None,
) -> ImageData:
    """Lists, checks and splits the images that a recipe asks for.

    Every file is decoded once, in parallel and streamed; those that cannot be are left out.

    Args:
        data: the recipe's part; its size and augmentation do not matter here.
        seed: draws the splits that the source lacks, and the fraction that `data.fraction` keeps.
        progress: called with (files checked, files in all) while the files are checked.
        checked: a folder that keeps the outcome of the check, so that unchanged files are decoded once and not again
            by the next call.
        ranges: the values that become 0 and 255 in photos of more than 8 bits, by kind, as other images were read;
            default: `data.pixel_range`, or what the images hold.

    Raises:
        RequestError: the source is unknown, unreadable, holds no classes to tell apart, or too many damaged files.
    """
    source = _checked(data, progress, checked, ranges)
    listing, splits = source.listing, dict(source.outcome.splits)
    unlabelled = splits.pop("unlabelled", None)
    train, validation, test = divide(listing.where, source.classes, splits, data, seed)
    notes, warnings = list(source.notes()), list(source.warnings())
    left_out: list[str] = []
    warnings += _repetitions(source.classes, train, validation, test)
    unique, copied = duplicates.without(train, (validation, test))
    if data.drop_duplicates:
        train, left_out = unique, copied
        notes += _left_out(left_out, "training", "in validation or test")
        if left_out:
            require_classes(listing.where, source.classes, train, _ALL_COPIES)
    elif copied:
        warnings.append(f"{len(copied)} training images are in validation or test as well: {duplicates.some(copied)}")
    train, rest = kept_and_rest(train, data.fraction, seed)
    more: list[str] = []
    if unlabelled is not None and data.drop_duplicates:
        unlabelled, labelled = duplicates.without(unlabelled, (train, validation, test))
        unlabelled, again = duplicates.distinct(unlabelled)
        more = labelled + again
        notes += _left_out(labelled, "unlabelled", "among the labelled ones")
        notes += _left_out(again, "unlabelled", "among the unlabelled ones")
    return ImageData(
        source=data.source,
        classes=source.classes,
        fingerprint=source.fingerprint(data, seed, {"left_out": len(left_out), "unlabelled_left_out": len(more)}),
        labelled=source.labelled(data, seed, {"left_out": len(left_out)}),
        train=train,
        validation=validation,
        test=test,
        unlabelled=rest if data.unlabelled == REST and len(rest) else unlabelled,
        rejected=source.outcome.rejected,
        ranges=source.outcome.ranges,
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def open_evaluation(
    data: recipe.Data,
    seed: int,
    progress: Progress | None = None,
    checked: Path | None = None,
    ranges: Ranges | None = None,
) -> ImageData:
    """Lists and checks images to measure a finished model on: nothing is split off.

    The test split is measured, or the validation split where there is none. A source without either is measured whole;
    then the training split is empty. Training images that are in the test split are left out, as `open_source` does.

    Args:
        data: what to open; its fractions do not matter.
        seed: of the fingerprint.
        progress: called with (files checked, files in all) while the files are checked.
        checked: a folder that keeps the outcome of the check.
        ranges: the values that become 0 and 255 in photos of more than 8 bits, by kind; default: as `open_source`.

    Raises:
        RequestError: the source is unknown, unreadable, holds no images, or too many damaged files.
    """
    source = _checked(data.model_copy(update={"unlabelled": None}), progress, checked, ranges)
    splits, where = source.outcome.splits, source.listing.where
    measured = next(name for name in ("test", "validation", "train") if name in splits)
    test = splits[measured]
    nothing = test.take(np.zeros(0, np.int64))
    train, validation = (splits.get(name, nothing) if name != measured else nothing for name in ("train", "validation"))
    if not len(test):
        raise RequestError(f"{where}: the {measured} split holds no readable image. Fill it, or remove it.")
    notes, warnings = list(source.notes()), list(source.warnings())
    warnings += _repetitions(source.classes, train, validation, test)
    left_out: list[str] = []
    if data.drop_duplicates:
        train, left_out = duplicates.without(train, (test,))
        notes += _left_out(left_out, "training", "in the measured ones")
    if measured != "test":
        notes.append(f"there is no test split: {'all images are' if measured == 'train' else 'validation is'} measured")
    if not len(train):
        notes.append("there are no training images: those for calibration are drawn from the measured ones")
    named = source.fingerprint(data, seed, {"left_out": len(left_out), "measured": measured})
    return ImageData(
        source=data.source,
        classes=source.classes,
        fingerprint=named,
        labelled=named,
        train=train,
        validation=validation,
        test=test,
        unlabelled=None,
        rejected=source.outcome.rejected,
        ranges=source.outcome.ranges,
        notes=tuple(notes),
        warnings=tuple(warnings),
        for_evaluation=True,
    )


def open_same(data: recipe.Data, seed: int, checked: Path | None, expected: str | None) -> ImageData:
    """Opens the images that another process of the same run has opened.

    Args:
        data: the recipe's part.
        seed: the recipe's.
        checked: the folder with the outcome of the check.
        expected: the images' fingerprint there; None for a process that is the first one.

    Raises:
        RequestError: they are not the same any more.
    """
    found = open_source(data, seed, checked=checked)
    if expected is not None and found.fingerprint != expected:
        raise RequestError(f"The photos of {data.source} have changed since this run opened them. Start it again.")
    return found


_ALL_COPIES = "are in validation or test as well. Add others, or set data.drop_duplicates=false"


@dataclass(frozen=True, eq=False)
class _Source:
    """A source whose photos have been checked."""

    listing: Listing
    classes: tuple[str, ...]
    outcome: Checked
    longest_side: int

    def notes(self) -> Iterator[str]:
        """Yields what was decided about the files."""
        ignored = self.listing.ignored
        if ignored:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in ignored.items())
            yield f"{sum(ignored.values())} sidecar files are ignored ({kinds})"
        for kind, limits in self.outcome.ranges.items():
            low, high = self.outcome.found[kind]
            yield (
                f"{kind} photos hold values from {low:g} to {high:g}; {limits[0]:g} becomes 0 and {limits[1]:g} "
                "becomes 255 (data.pixel_range)"
            )

    def warnings(self) -> Iterator[str]:
        """Yields what is probably wrong with the photos."""
        blank = self.outcome.blank
        if blank:
            yield (
                f"{len(blank)} photos are all but black or of one colour: {duplicates.some(list(blank))}; if their "
                "values have another range, declare it as data.pixel_range"
            )

    def fingerprint(self, data: recipe.Data, seed: int, differs: dict[str, object]) -> str:
        """Names the images and their division: the same photos give the same digits in a folder, a zip, another place.

        Args:
            data: how they were divided.
            seed: drew the division.
            differs: facts that count where they are neither 0 nor empty.
        """
        return self._fingerprint(self.outcome.content, data, seed, differs)

    def labelled(self, data: recipe.Data, seed: int, differs: dict[str, object]) -> str:
        """Names the same without the unlabelled images."""
        contents = [content for name, content in self.outcome.contents.items() if name != "unlabelled"]
        return self._fingerprint(contents[-1], data, seed, differs)

    def _fingerprint(self, content: str, data: recipe.Data, seed: int, differs: dict[str, object]) -> str:
        ranges = {kind: limits for kind, limits in self.outcome.ranges.items() if limits != FULL.get(kind)}
        groups = [split.groups.tolist() for split in self.outcome.splits.values() if split.groups is not None]
        further = {name: fact for name, fact in {**differs, "ranges": ranges, "groups": groups}.items() if fact}
        shares = (data.fraction, data.validation_share, data.test_share, self.longest_side)
        return fingerprint(content, self.classes, seed, *shares, *([further] if further else []))


def _checked(data: recipe.Data, progress: Progress | None, checked: Path | None, ranges: Ranges | None) -> _Source:
    listing = _listing(data.source)
    classes = tuple(map(composed, listing.classes))
    require_usable(listing.where, classes)
    longest_side = max(1024, 2 * data.image_size)
    splits = {name: split.limited(longest_side) for name, split in listing.splits.items()}
    if data.unlabelled is not None and data.unlabelled != REST:
        splits["unlabelled"] = _unlabelled(data.unlabelled).limited(longest_side)
    outcome = check(splits, data.max_rejected, progress, checked, ranges, data.pixel_range)
    return _Source(listing, classes, outcome, longest_side)


def _repetitions(classes: tuple[str, ...], train: Split, validation: Split, test: Split) -> Iterator[str]:
    """Yields what the same picture in several places spoils."""
    contradictions = duplicates.contradictions((train, validation, test), classes)
    if contradictions:
        yield f"{len(contradictions)} pictures have several labels: {duplicates.some(contradictions)}"
    both = duplicates.shared(test, validation)
    if both:
        yield f"{both} test images are in validation as well"
    for name, split in (("training", train), ("validation", validation), ("test", test)):
        again = duplicates.repeated(split)
        if again:
            yield f"{again} {name} images repeat another one of them"


def _left_out(pairs: list[str], name: str, where: str) -> Iterator[str]:
    if pairs:
        yield f"{len(pairs)} {name} images are left out because they are {where} as well: {duplicates.some(pairs)}"


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
