"""Comparison of the golden images' true classes with their predictions and with the stated accuracies."""

import itertools
from collections.abc import Iterator

import numpy as np

from tfkd.bundle import golden
from tfkd.bundle.golden import Golden
from tfkd.bundle.manifest import Manifest

_ALPHA = 1e-5  # level at which too many or too few golden predictions are correct for the stated accuracy


def contradictions(stored: Golden, manifest: Manifest) -> Iterator[str]:
    """Yields contradictions, as sentences without a full stop.

    The golden images are test images, so they cannot include more correct or more wrong predictions than the whole test
    split, and their accuracy cannot be far from that of the split.
    """
    if (stored.labels < 0).any():
        yield f"{int((stored.labels < 0).sum())} golden examples have no label, and every test example has one"
        return
    classes = _classes(manifest)
    if not _in_turn(stored.labels, len(manifest.data.classes) if classes == len(manifest.data.classes) else None):
        yield "the labels of the golden examples are not in the order in which tfkd draws them, class after class"
    for name, accuracy in _accuracies(manifest):
        if name not in stored.expected:
            continue
        right = int((stored.expected[name].argmax(axis=1) == stored.labels).sum())
        if not _possible(right, len(stored.labels), round(accuracy * manifest.images), manifest.images):
            possible = False
        else:
            possible = classes is None or _likely(right, len(stored.labels), classes, _balanced(manifest, accuracy))
        if not possible:
            yield (
                f"the accuracy of {name} on {manifest.images:,} test examples is {accuracy}, but {right} of its "
                f"{len(stored.labels)} golden predictions are correct"
            )


def _accuracies(manifest: Manifest) -> Iterator[tuple[str, float]]:
    """Yields the accuracies on the images that the golden ones are drawn from; with folds there are none."""
    if manifest.folds:
        return
    yield golden.KERAS, manifest.student.accuracy
    for artifact in manifest.artifacts:
        if artifact.accuracy is not None:
            yield artifact.path, artifact.accuracy


def _classes(manifest: Manifest) -> int | None:
    """Returns how many classes the test split has; None where no file was tested against chance."""
    return next((round(1 / each.chance.chance_level) for each in manifest.artifacts if each.chance), None)


def _balanced(manifest: Manifest, accuracy: float) -> list[float]:
    """Returns accuracies that golden images of one class after the other may have."""
    return [accuracy, *(each.chance.balanced_accuracy for each in manifest.artifacts if each.chance)]


def _in_turn(labels: np.ndarray, classes: int | None) -> bool:
    """Returns whether images were drawn from the classes in turn (see `tfkd.writers.samples.examples`).

    Args:
        labels: int [n].
        classes: number of classes; None if some may have no test image.
    """
    rounds = np.split(labels, np.flatnonzero(np.diff(labels) <= 0) + 1)
    nested = all(set(later) <= set(earlier) for earlier, later in itertools.pairwise(rounds))
    return nested and (classes is None or rounds[0].tolist() == list(range(min(classes, len(labels)))))


def _possible(right: int, golden_images: int, all_right: int, images: int) -> bool:
    return right <= all_right and golden_images - right <= images - all_right


def _likely(right: int, images: int, classes: int, accuracies: list[float]) -> bool:
    """Returns whether so many correct predictions are possible, if the golden classes are the easiest or the hardest.

    Args:
        right: predictions.
        images: golden images, of one class after the other.
        classes: of the test split.
        accuracies: one of them must explain the predictions.
    """
    from scipy.stats import binom

    covered = min(images, classes)
    for mean in accuracies:
        hardest = max(0.0, (mean * classes - (classes - covered)) / covered)
        easiest = min(1.0, mean * classes / covered)
        if binom.cdf(right, images, hardest) >= _ALPHA and binom.sf(right - 1, images, easiest) >= _ALPHA:
            return True
    return False
