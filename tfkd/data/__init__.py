"""Data sources: examples as splits with random access, and the training views of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkd.data import adapting, columns, duplicates, embedded, folder, folds, shards, table, texts, tfds
from tfkd.data.check import Checked, check
from tfkd.data.dataset import CountProgress, Dataset, Listing, Split
from tfkd.data.splits import divide, fraction_and_rest, require_classes
from tfkd.errors import RequestError, counted, nearest, some
from tfkd.files import fingerprint
from tfkd.inputs import KINDS, kind_of
from tfkd.inputs.kind import Ranges, Reading
from tfkd.labels import composed, require_usable, similar
from tfkd.recipe import Data
from tfkd.recipe.base import Block, default_of

__all__ = ["REST", "SOURCES", "Dataset", "Split", "open_evaluation", "open_same", "open_source", "open_unlabelled"]

REST = "rest"

SOURCES: dict[str, Callable[[str, Reading], Listing]] = {
    "embedded": embedded.listing,
    "tfds": tfds.listing,
    "folder": folder.listing,
    "files": table.listing,
    "shards": shards.listing,
    "texts": texts.listing,
    "table": columns.listing,
}

_UNLABELLED: dict[str, Callable[[str, Reading], Split]] = {
    "folder": folder.unlabelled,
    "shards": shards.unlabelled,
    "texts": texts.unlabelled,
    "table": columns.unlabelled,
}


def open_source(
    data: Data,
    seed: int,
    progress: CountProgress | None = None,
    checked: Path | None = None,
    ranges: Ranges | None = None,
) -> Dataset:
    """Lists, checks and splits the examples of a recipe.

    Every file is decoded once, in parallel and streamed; those that cannot be are left out.

    Args:
        data: the block of the recipe; its size and augmentation are ignored.
        seed: seed of missing splits and of the examples that `data.fraction` selects.
        progress: called with (files checked, total) while the files are checked.
        checked: folder for the result of the check, so that unchanged files are decoded once and not again
            by the next call.
        ranges: the ranges of values that map to the raw range (`Dataset.ranges` of other examples), which these are
            read with; default: what the recipe declares, or what the examples hold.

    Raises:
        RequestError: the source is unknown, unreadable, has less than two classes, or too many damaged files.
    """
    source = _checked(data, progress, checked, ranges)
    splits = dict(source.outcome.splits)
    unlabelled = splits.pop("unlabelled", None)
    divided = (_divided if data.folds is None else _in_folds)(source, splits, data, seed)
    train, validation, test = divided.train, divided.validation, divided.test
    notes, more = [*source.notes(), *divided.notes], 0
    warnings = [*source.warnings(), *divided.warnings]
    if data.unlabelled == REST and not len(divided.rest):
        warnings.append("data.unlabelled=rest adds no examples: data.fraction leaves none out")
    if unlabelled is not None and data.drop_duplicates:
        unlabelled, more, left = _distinct(unlabelled, (train, validation, test))
        notes += left
    if data.unlabelled == REST and len(divided.rest):
        unlabelled = divided.rest
    named = source.fingerprint(data, seed, {"left_out": divided.left_out, "unlabelled_left_out": more})
    training = [train, *([unlabelled] if unlabelled else [])]
    others = [split for split in (validation, test) if split is not train]  # with folds, each is all examples
    outside, of_outside = _outside(data, (*training, *others), progress, checked)
    reading, about, lost = adapting.adapted(train.reading, training, others, named, checked)
    return Dataset(
        source=data.source,
        classes=source.classes,
        fingerprint=named,
        labelled=source.labelled(data, seed, {"left_out": divided.left_out}),
        train=adapting.read_as(train, reading),
        validation=adapting.read_as(validation, reading),
        test=adapting.read_as(test, reading),
        unlabelled=unlabelled and adapting.read_as(unlabelled, reading),
        outside=outside and adapting.read_as(outside, reading),
        rejected=source.outcome.rejected,
        ranges=source.outcome.reading.ranges,
        notes=(*notes, *of_outside, *about),
        warnings=(*warnings, *lost),
        is_pooled=data.is_pooled,
    )


@dataclass(frozen=True, eq=False)
class _Divided:
    """The labelled examples of a source.

    Attributes:
        train: examples for training.
        validation: examples for model selection.
        test: examples for the reported figures.
        rest: the training examples that `data.fraction` leaves out, without labels.
        left_out: number of examples that were left out because others hold the same content.
        notes: notes about them.
        warnings: warnings about them.
    """

    train: Split
    validation: Split
    test: Split
    rest: Split
    left_out: int
    notes: list[str]
    warnings: list[str]


def _divided(source: "_Source", splits: dict[str, Split], data: Data, seed: int) -> _Divided:
    """Returns the splits of the source; missing ones are taken from the training examples."""
    where, notes, left_out = source.listing.where, list[str](), list[str]()
    train, validation, test = divide(where, source.classes, splits, data, seed)
    warnings = [*_repetitions(source.classes, train, validation, test)]
    unique, copied = duplicates.without(train, (validation, test))
    if data.drop_duplicates:
        train, left_out = unique, copied
        notes += _left_out(left_out, "training", "validation or test hold")
        if left_out:
            reason = f"are in validation or test as well ({some(left_out)}). {_WITHOUT_COPIES}"
            require_classes(where, source.classes, train, reason + source.outcome.report.explanation())
    elif copied:
        examples = counted(len(copied), "training example")
        warnings.append(f"{examples} kept though validation or test hold the same content: {some(copied)}")
    train, rest = fraction_and_rest(train, data.fraction, seed)
    return _Divided(train, validation, test, rest, len(left_out), notes, warnings)


def _in_folds(source: "_Source", splits: dict[str, Split], data: Data, seed: int) -> _Divided:
    """Returns all labelled examples in folds, of which `data.held_out` are the test split."""
    where, classes, notes, left_out = source.listing.where, source.classes, list[str](), list[str]()
    pool = folds.pooled(splits.values())
    require_classes(where, classes, pool)
    warnings = [*_contradictory(classes, pool)]
    if data.drop_duplicates:
        pool, left_out = duplicates.distinct(pool)
        notes += _left_out(left_out, "labelled", "others of them hold")
        require_classes(where, classes, pool, f"are labelled otherwise as well ({some(left_out)}). {_WITHOUT_COPIES}")
    elif copies := duplicates.repeated(pool):
        warnings.append(f"{counted(copies, 'labelled example')} with the same content as another one, in its fold")
    pool, rest = fraction_and_rest(pool, data.fraction, seed)
    assert data.folds is not None
    pool = folds.with_folds(where, classes, pool, data.folds, seed)
    train, validation, test = folds.held_out(where, classes, pool, data, seed)
    return _Divided(train, validation, test, rest, len(left_out), notes, warnings)


def open_evaluation(
    data: Data,
    seed: int,
    progress: CountProgress | None = None,
    checked: Path | None = None,
    ranges: Ranges | None = None,
) -> Dataset:
    """Lists and checks examples for measuring a finished model, without splitting them.

    The test split is measured, or the validation split where there is none. A source without either is measured whole;
    then the training split is empty. Training examples that are in the test split are left out, as `open_source` does.

    Args:
        data: the source; its fractions are ignored.
        seed: seed of the fingerprint.
        progress: called with (files checked, total) while the files are checked.
        checked: folder for the result of the check.
        ranges: ranges of other examples, which these are read with; default: as `open_source`.

    Raises:
        RequestError: the source is unknown, unreadable, holds no examples, or too many damaged files.
    """
    source = _checked(data.model_copy(update={"unlabelled": None}), progress, checked, ranges)
    splits, where = source.outcome.splits, source.listing.where
    measured = next(name for name in ("test", "validation", "train") if name in splits)
    test = splits[measured]
    nothing = test.take(np.zeros(0, np.int64))
    train, validation = (splits.get(name, nothing) if name != measured else nothing for name in ("train", "validation"))
    if not len(test):
        raise RequestError(f"{where}: the {measured} split holds no readable example. Fill it, or remove it.")
    notes, warnings = list(source.notes()), list(source.warnings())
    warnings += _repetitions(source.classes, train, validation, test)
    left_out: list[str] = []
    if data.drop_duplicates:
        train, left_out = duplicates.without(train, (test,))
        notes += _left_out(left_out, "training", "the measured ones hold")
    if measured != "test":
        substitute = "all examples are" if measured == "train" else "the validation split is"
        notes.append(f"there is no test split: {substitute} measured")
    if not len(train):
        notes.append("there are no training examples: those for calibration are drawn from the measured ones")
    named = source.fingerprint(data, seed, {"left_out": len(left_out), "measured": measured})
    return Dataset(
        source=data.source,
        classes=source.classes,
        fingerprint=named,
        labelled=named,
        train=train,
        validation=validation,
        test=test,
        unlabelled=None,
        rejected=source.outcome.rejected,
        ranges=source.outcome.reading.ranges,
        notes=tuple(notes),
        warnings=tuple(warnings),
        for_evaluation=True,
    )


def open_same(data: Data, seed: int, checked: Path | None, expected: str | None) -> Dataset:
    """Opens the examples of a run again in another of its processes.

    Args:
        data: the block of the recipe.
        seed: seed of the recipe.
        checked: folder with the result of the check.
        expected: fingerprint of the data in the first process; None in the first process.

    Raises:
        RequestError: the examples have changed.
    """
    found = open_source(data, seed, checked=checked)
    if expected is not None and found.fingerprint != expected:
        raise RequestError(f"The examples of {data.source} have changed since this run opened them. Start it again.")
    return found


def open_unlabelled(source: str, data: Data, ranges: Ranges | None = None) -> Split:
    """Lists and checks examples without labels; those that cannot be decoded are left out.

    Args:
        source: folder:PATH of a folder or a zip, or texts:FILE.
        data: how examples are read; its own source is ignored.
        ranges: as in `open_source`.

    Raises:
        RequestError: the source cannot be opened, holds no examples, or too many damaged ones.
    """
    split = _unlabelled("--samples", source, kind_of(data.kind).reading(data, ranges or {}))
    return check({"unlabelled": split}, data.max_rejected).splits["unlabelled"]


_WITHOUT_COPIES = "Add others, or set data.drop_duplicates=false"


@dataclass(frozen=True, eq=False)
class _Source:
    """A source with checked examples."""

    listing: Listing
    classes: tuple[str, ...]
    outcome: Checked

    def notes(self) -> Iterator[str]:
        """Yields notes about the files."""
        ignored = self.listing.ignored
        if ignored:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in ignored.items())
            yield f"{counted(sum(ignored.values()), 'sidecar file')} ignored ({kinds})"
        yield from self.listing.notes
        yield from self.outcome.report.notes()

    def warnings(self) -> Iterator[str]:
        """Yields warnings about the examples."""
        yield from self.listing.warnings
        for name, other in similar(self.classes):
            yield f"the classes {name!r} and {other!r} have almost the same name; if they are one class, merge them"
        yield from self.outcome.report.warnings()

    def fingerprint(self, data: Data, seed: int, differs: dict[str, object]) -> str:
        """Returns a fingerprint of the examples and splits, which is equal for a folder and a zip of it.

        Args:
            data: how they were split.
            seed: seed of the splits.
            differs: further facts, ignored if 0 or empty.
        """
        return self._fingerprint(self.outcome.content, data, seed, differs)

    def labelled(self, data: Data, seed: int, differs: dict[str, object]) -> str:
        """Returns the fingerprint without the unlabelled examples."""
        contents = [content for name, content in self.outcome.contents.items() if name != "unlabelled"]
        return self._fingerprint(contents[-1], data, seed, differs)

    def _fingerprint(self, content: str, data: Data, seed: int, differs: dict[str, object]) -> str:
        settings, facts = self.outcome.reading.identity
        groups = [split.groups.tolist() for split in self.outcome.splits.values() if split.groups is not None]
        divided = {"folds": data.folds, "held_out": data.held_out}
        further = {name: fact for name, fact in {**differs, **facts, **divided, "groups": groups}.items() if fact}
        fractions = (data.fraction, data.validation_share, data.test_share, settings)
        return fingerprint(content, self.classes, seed, *fractions, *([further] if further else []))


def _checked(data: Data, progress: CountProgress | None, checked: Path | None, ranges: Ranges | None) -> _Source:
    _require_read(data)
    reading = kind_of(data.kind).reading(data, ranges or {})
    listing = _listing(data.source, reading)
    classes = tuple(map(composed, listing.classes))
    require_usable(listing.where, classes)
    splits = dict(listing.splits)
    if data.unlabelled is not None and data.unlabelled != REST:
        splits["unlabelled"] = _unlabelled("data.unlabelled", data.unlabelled, reading)
    return _Source(listing, classes, check(splits, data.max_rejected, progress, checked))


def _require_read(data: Data) -> None:
    """Refuses fields of the recipe's data that only another kind of input reads."""
    own = kind_of(data.kind).fields
    for name in KINDS:
        for field in sorted(kind_of(name).fields - own):
            block, _, last = f"data.{field}".rpartition(".")
            values: Block = data.augment if block != "data" else data
            if getattr(values, last) != default_of(type(values), last):
                raise RequestError(
                    f"data.{field} is for examples of kind {name!r}, and {data.source} is read as {data.kind!r} "
                    "(data.kind). Leave it out."
                )


def _repetitions(classes: tuple[str, ...], train: Split, validation: Split, test: Split) -> Iterator[str]:
    """Yields warnings about examples with the same content."""
    yield from _contradictory(classes, train, validation, test)
    both = duplicates.shared(test, validation)
    if both:
        yield f"validation holds the content of {counted(both, 'test example')} as well"
    for name, split in (("training", train), ("validation", validation), ("test", test)):
        copies = duplicates.repeated(split)
        if copies:
            yield f"{counted(copies, f'{name} example')} with the same content as another one of that split"


def _outside(
    data: Data, others: Iterable[Split], progress: CountProgress | None, checked: Path | None
) -> tuple[Split | None, list[str]]:
    """Returns the examples of no class, with notes about them; they change nothing about the others.

    Those with the bytes of another example are left out, as they are of a class, or were trained on.
    """
    if data.outside is None:
        return None, []
    listed = _unlabelled("data.outside", data.outside, kind_of(data.kind).reading(data, {}))
    found = check({"outside": listed}, data.max_rejected, progress, checked)
    split = found.splits["outside"]
    notes = [f"left out: {rejected}" for rejected in found.rejected]
    if data.drop_duplicates:
        split, copied = duplicates.without_bytes(split, others)
        notes += _left_out(copied, "outside", "the others hold")
    if not len(split):
        raise RequestError(f"data.outside = {data.outside!r} holds no example that is not in the data. Fill it.")
    return split, notes


def _contradictory(classes: tuple[str, ...], *splits: Split) -> Iterator[str]:
    """Yields a warning about examples with the same content and different labels."""
    if contradictions := duplicates.contradictions(splits, classes):
        yield f"{counted(len(contradictions), 'example')} with several labels: {some(contradictions)}"


def _distinct(unlabelled: Split, labelled: tuple[Split, ...]) -> tuple[Split, int, list[str]]:
    """Returns each unlabelled example once, without labelled ones, and how many are left out, with notes of them."""
    unlabelled, elsewhere = duplicates.without(unlabelled, labelled)
    unlabelled, repeated = duplicates.distinct(unlabelled)
    notes = [*_left_out(elsewhere, "unlabelled", "the labelled ones hold")]
    notes += _left_out(repeated, "unlabelled", "others of them hold")
    return unlabelled, len(elsewhere) + len(repeated), notes


def _left_out(pairs: list[str], name: str, where: str) -> Iterator[str]:
    if pairs:
        examples = counted(len(pairs), f"{name} example")
        yield f"{examples} left out because {where} the same content: {some(pairs)}"


def _listing(source: str, reading: Reading) -> Listing:
    kind, colon, rest = source.partition(":")
    if kind not in SOURCES or not colon:
        raise RequestError(f"data.source = {source!r}: there is no source {kind!r}.{nearest(kind, list(SOURCES))}")
    if not rest:
        raise RequestError(f"data.source = {source!r} names nothing after the colon.")
    return SOURCES[kind](rest, reading)


def _unlabelled(field: str, source: str, reading: Reading) -> Split:
    kind, _, path = source.partition(":")
    if kind not in _UNLABELLED or not path:
        rest = ", or are the rest of the training examples" if field == "data.unlabelled" else ""
        raise RequestError(
            f"{field} = {source!r}: unlabelled examples come from a folder, a zip, a list of texts or a table{rest}; "
            f"set it to folder:PATH, texts:FILE{', table:FILE or rest' if rest else ' or table:FILE'}."
        )
    return _UNLABELLED[kind](path, reading)
