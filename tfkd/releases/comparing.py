"""Compares two bundles: what an app that uses the old one notices of the new one."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfkd.bundle.publishing import opened
from tfkd.progress import Progress
from tfkd.releases import predictions
from tfkd.releases.classes import SharedClasses, described_order
from tfkd.releases.contract import contract_changes
from tfkd.releases.file_changes import ShownFlips, file_change
from tfkd.releases.limits import Basis, DiffLimits, judge
from tfkd.releases.meaning import moved_classes, undecided
from tfkd.releases.pairing import ReleasePair, paired
from tfkd.releases.predictions import Comparison, Predicted
from tfkd.releases.reading import Release, read_release
from tfkd.releases.records import ContractChange, Diff, ReleaseEntry, StudentRecall
from tfkd.verification.apart import Apart
from tfkd.version import __version__


@dataclass(frozen=True)
class DiffOutcome:
    """The change from one bundle to the next.

    Attributes:
        diff: what `--json` writes.
        thumbnails: of the examples of each of its files, in their order.
    """

    diff: Diff
    thumbnails: tuple[ShownFlips, ...]


def compare(
    old: Path,
    new: Path,
    source: str | None = None,
    limits: DiffLimits | None = None,
    progress: Progress | None = None,
    apart: Apart | None = None,
) -> DiffOutcome:
    """Compares two bundles. Without images, it compares what the bundles hold, and runs nothing.

    Args:
        old: folder of the bundle that an app uses.
        new: folder of the bundle that is to replace it.
        source: images whose test split both predict, as `data.source` in a recipe.
        limits: on the change; the contract is always judged.
        progress: shows what is being run.
        apart: the process that runs the files; default: one for this call.

    Raises:
        RequestError: a folder is no bundle, the bundles have no class or no file in common, or the images cannot be
            opened or are of other classes.
    """
    with opened(old) as old_folder, opened(new) as new_folder:
        releases = paired(read_release(str(old), old_folder), read_release(str(new), new_folder))
        golden = predictions.of_golden(releases)
        if source is None:
            return _outcome(releases, golden, [golden], None, limits or DiffLimits())
        with contextlib.nullcontext(apart) if apart else Apart() as runner:
            compared = predictions.of_source(releases, source, runner, progress)
            return _outcome(releases, compared, [compared, golden], source, limits or DiffLimits())


def _outcome(
    releases: ReleasePair, compared: Comparison, known: list[Comparison], source: str | None, limits: DiffLimits
) -> DiffOutcome:
    """Returns what changed.

    Args:
        releases: the bundles.
        compared: the predictions that files are compared by.
        known: all predictions for common images, which show what the outputs mean.
        source: of the images.
        limits: on the change.
    """
    found = [file_change(releases, pair, compared) for pair in releases.files]
    files = [change for change, _ in found]
    changes = [
        *contract_changes(releases),
        *(ContractChange(part="files", text=text, breaks=True) for text in compared.broken),
        *_meaning([each for comparison in known for each in comparison.all()], releases.classes, source),
    ]
    same = releases.same_test_images
    diff = Diff(
        tfkd_version=__version__,
        old=_entry(releases.old),
        new=_entry(releases.new),
        data=source,
        same_test_images=same,
        notes=list(compared.notes),
        changes=changes,
        files=files,
        students=list(_students(releases)) if same else [],
        gates=judge(limits, changes, files, _basis(releases, compared, known)),
    )
    return DiffOutcome(diff, tuple(images for _, images in found))


def _entry(release: Release) -> ReleaseEntry:
    manifest = release.manifest
    return ReleaseEntry(
        folder=release.title,
        name=manifest.name,
        version=release.card.version,
        tfkd_version=manifest.tfkd_version,
        created=manifest.created,
        data_fingerprint=manifest.data.fingerprint,
        test_images=manifest.images,
    )


def _basis(releases: ReleasePair, compared: Comparison, known: list[Comparison]) -> Basis:
    same = compared.measured or releases.same_test_images
    return Basis(
        examples=max((len(each.images.labels) for comparison in known for each in comparison.all()), default=0),
        undecided=_undecided(releases, known),
        test_examples=None if compared.measured else releases.new.manifest.images,
        comparable="" if same else "measured on other test examples than the old file; add --data",
    )


def _undecided(releases: ReleasePair, known: list[Comparison]) -> str:
    """Returns why the predictions do not show that every output means the same class; "" where they do.

    The predictions of the Keras models count for every file; files without any predictions are left out.
    """
    classes, unknown = releases.classes, "no example was predicted by both bundles"
    for pair in releases.files:
        same = pair.old.sha256 == pair.new.sha256 and classes.old == classes.new
        every = [predicted for each in known for predicted in (each.by_file.get(pair.old.path), each.keras)]
        reasons = [undecided(each.old, each.new, classes.names) for each in every if each is not None]
        if reasons and all(reasons) and not same:
            return reasons[0]
        if reasons:
            unknown = ""
    return unknown


def _meaning(known: list[Predicted], classes: SharedClasses, source: str | None) -> Iterator[ContractChange]:
    """Yields the outputs that mean other classes: the surest finding of all files."""
    found = [(each, moved) for each in known if (moved := moved_classes(each.old, each.new, each.images.relabelled()))]
    found.sort(key=lambda each: (not each[1].certain, -each[1].images))
    for predicted, moved in found[:1]:
        how = described_order(moved.places, classes.names)
        what = f"by the predictions for {moved.images} of {len(predicted.images.labels)} examples, {how}"
        more = "compare more examples" + (" with --data" if source is None else "")
        text = what if moved.certain else f"{what}; that is too few to be sure; {more}"
        yield ContractChange(part="meaning", text=text, breaks=True, judged=moved.certain)


def _students(releases: ReleasePair) -> Iterator[StudentRecall]:
    """Yields how many test images of each class the Keras models predict rightly, where both bundles say so."""
    old, new = (_right_per_class(each, releases.class_numbers(each)) for each in (releases.old, releases.new))
    for number, (images, right) in sorted(old.items()):
        others, new_right = new.get(number, (0, 0))
        if images == others:
            name = releases.classes.names[number]
            yield StudentRecall(label=name, images=images, old_right=right, new_right=new_right)


def _right_per_class(release: Release, numbers: np.ndarray) -> dict[int, tuple[int, int]]:
    """Returns the test images of each class, and how many of them the Keras model predicts rightly, if known.

    Args:
        release: the bundle.
        numbers: of the classes in its manifest.
    """
    confusion = release.evidence.confusion if release.evidence else None
    found: dict[int, tuple[int, int]] = {}
    for truth, predicted, count in confusion.cells if confusion else ():
        images, right = found.get(int(numbers[truth]), (0, 0))
        found[int(numbers[truth])] = images + count, right + (count if truth == predicted else 0)
    return found
