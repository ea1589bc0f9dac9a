"""The change from a file of one bundle to the same file of the next: accuracy, flips, size, latency."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tfkd.distill.measures import accuracy, calibration_error
from tfkd.files import compressed_size
from tfkd.formats import TIMED
from tfkd.releases.costs import cost_changes
from tfkd.releases.pairing import FilePair, ReleasePair
from tfkd.releases.predictions import Comparison, Predicted
from tfkd.releases.reading import Release
from tfkd.releases.records import FileChange, FileEntry, FlippedExample
from tfkd.verification.flips import flipped_images, negative_flips
from tfkd.verification.records import Artifact

_TINY = 1e-12  # a probability whose logarithm is finite


@dataclass(frozen=True)
class ShownFlips:
    """Images of a file's examples, as base64 texts: of negative and of positive flips."""

    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()


def file_change(releases: ReleasePair, pair: FilePair, compared: Comparison) -> tuple[FileChange, ShownFlips]:
    """Returns what changed of a file, with the images of its examples."""
    predicted = compared.by_file.get(pair.old.path)
    labelled = None if predicted is None else predicted.labelled()
    old, new = _entry(releases.old, pair.old), _entry(releases.new, pair.new)
    if compared.measured:
        old, new = (_measured(each, labelled, which) for each, which in ((old, "old"), (new, "new")))
    change = FileChange(
        format=pair.new.format,
        precision=pair.new.precision,
        old=old,
        new=new,
        images=0 if labelled is None else len(labelled.images.labels),
        negative_flips=None,
        positive_flips=None,
        costs=cost_changes(releases, pair),
        not_run=compared.not_run.get(pair.old.path),
    )
    if labelled is None or not change.images:
        return change, ShownFlips()
    return _with_flips(change, labelled, releases.classes.names)


def _with_flips(change: FileChange, predicted: Predicted, names: Sequence[str]) -> tuple[FileChange, ShownFlips]:
    labels, old, new = predicted.images.labels, predicted.old, predicted.new
    lost = [flipped.position for flipped in flipped_images(labels, new, old)]
    gained = [flipped.position for flipped in flipped_images(labels, old, new)]
    update = {
        "negative_flips": negative_flips(labels, new, old, names),
        "positive_flips": negative_flips(labels, old, new, names),
        "examples": _examples(predicted, lost, names),
        "gained_examples": _examples(predicted, gained, names),
    }
    shown = predicted.images.thumbnails
    return change.model_copy(update=update), ShownFlips(tuple(shown(lost)), tuple(shown(gained)))


def _examples(predicted: Predicted, positions: Iterable[int], names: Sequence[str]) -> list[FlippedExample]:
    return [
        FlippedExample(
            image=predicted.images.names[i],
            label=names[predicted.images.labels[i]],
            old=names[predicted.old[i].argmax()],
            old_probability=min(predicted.old[i].max(), 1.0),
            new=names[predicted.new[i].argmax()],
            new_probability=min(predicted.new[i].max(), 1.0),
        )
        for i in positions
    ]


def _entry(release: Release, artifact: Artifact) -> FileEntry:
    deflated = compressed_size(release.folder / artifact.path) if artifact.format in TIMED else None
    return FileEntry(
        path=artifact.path,
        sha256=artifact.sha256,
        bytes=artifact.bytes,
        compressed_bytes=deflated,
        accuracy=artifact.accuracy,
    )


def _measured(entry: FileEntry, predicted: Predicted | None, which: str) -> FileEntry:
    """Returns an entry with what was measured on the images in place of what the manifest says."""
    if predicted is None:
        return entry.model_copy(update={"accuracy": None})
    probabilities, labels = getattr(predicted, which), predicted.images.labels
    logits = np.log(np.maximum(probabilities, _TINY))
    measured = {"accuracy": accuracy(probabilities, labels), "calibration_error": calibration_error(logits, labels)}
    return entry.model_copy(update=measured)
