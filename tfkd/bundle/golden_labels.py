"""The true classes of a bundle's golden images, compared with the answers to them and with the stated accuracies."""

import itertools
from collections.abc import Iterator

import numpy as np

from tfkd.bundle import golden
from tfkd.bundle.golden import Golden
from tfkd.bundle.manifest import Manifest

_ALPHA = 1e-5  # of golden answers that are rightly or wrongly too often for the accuracy on the whole test split


def contradictions(stored: Golden, manifest: Manifest) -> Iterator[str]:
    """Yields what cannot be, as sentences without a full stop.

    The golden images are test images. So among them cannot be more that are predicted rightly, or wrongly, than in the
    whole test split; and a fraction of them that is far from the accuracy is no chance.
    """
    if (stored.labels < 0).any():
        yield f"{int((stored.labels < 0).sum())} golden images have no label, and every test image has one"
        return
    classes = _classes(manifest)
    if not _in_turn(stored.labels, len(manifest.data.classes) if classes == len(manifest.data.classes) else None):
        yield "the labels of the golden images are not in the order in which these are chosen, class after class"
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
                f"the accuracy of {name} on {manifest.images:,} test images is {accuracy}, but {right} of its "
                f"{len(stored.labels)} golden answers are right"
            )


def _accuracies(manifest: Manifest) -> Iterator[tuple[str, float]]:
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
    """Returns whether labels are those of images that take the classes in turn (see `tfkd.writers.samples.examples`).

    Args:
        labels: int [n].
        classes: how many there are; None where some may have no test image.
    """
    rounds = np.split(labels, np.flatnonzero(np.diff(labels) <= 0) + 1)
    nested = all(set(later) <= set(earlier) for earlier, later in itertools.pairwise(rounds))
    return nested and (classes is None or rounds[0].tolist() == list(range(min(classes, len(labels)))))


def _possible(right: int, golden_images: int, all_right: int, images: int) -> bool:
    return right <= all_right and golden_images - right <= images - all_right


def _likely(right: int, images: int, classes: int, accuracies: list[float]) -> bool:
    """Returns whether so many right answers may be chance, were the chosen classes the easiest or the hardest ones.

    Args:
        right: answers.
        images: golden images, of one class after the other.
        classes: of the test split.
        accuracies: one of them must explain the answers.
    """
    from scipy.stats import binom

    covered = min(images, classes)
    for mean in accuracies:
        hardest = max(0.0, (mean * classes - (classes - covered)) / covered)
        easiest = min(1.0, mean * classes / covered)
        if binom.cdf(right, images, hardest) >= _ALPHA and binom.sf(right - 1, images, easiest) >= _ALPHA:
            return True
    return False
