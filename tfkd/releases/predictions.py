"""What both bundles predict for the same images: the golden examples that both hold, or images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfkd.bundle import source_images
from tfkd.bundle.golden import KERAS
from tfkd.bundle.layout import MANIFEST
from tfkd.inputs import kind_of
from tfkd.progress import Progress
from tfkd.releases.classes import SharedClasses
from tfkd.releases.pairing import ReleasePair
from tfkd.releases.reading import Release
from tfkd.verification import NotVerifiedError, VerifyError
from tfkd.verification.apart import Apart
from tfkd.verification.probabilities import no_probabilities
from tfkd.verification.records import Artifact

ReadImages = Callable[[Sequence[int]], list[str]]  # positions to base64 texts, as the report embeds them


@dataclass(frozen=True)
class Images:
    """Images that both bundles predict.

    Attributes:
        labels: int [n], numbers of shared classes; -1 where unknown.
        new_labels: the same as the new bundle says.
        names: of the images.
        thumbnails: returns the images at some positions.
    """

    labels: np.ndarray
    new_labels: np.ndarray
    names: tuple[str, ...]
    thumbnails: ReadImages

    def relabelled(self) -> dict[int, int]:
        """Returns the class by the new bundle of each class whose images it labels otherwise, all of them alike."""
        both = (self.labels >= 0) & (self.new_labels >= 0)
        pairs = set(zip(self.labels[both].tolist(), self.new_labels[both].tolist(), strict=True))
        found = dict(pairs)
        return {old: new for old, new in found.items() if old != new} if len(found) == len(pairs) else {}


@dataclass(frozen=True)
class Predicted:
    """Probabilities of the shared classes for the same images, float [n, classes].

    Attributes:
        images: the images.
        old: by the file of the old bundle.
        new: by the file of the new bundle.
    """

    images: Images
    old: np.ndarray
    new: np.ndarray

    def labelled(self) -> "Predicted":
        """Returns the predictions for the images whose class is known."""
        known = np.flatnonzero(self.images.labels >= 0)
        if len(known) == len(self.images.labels):
            return self
        images, places = self.images, known.tolist()
        chosen = Images(
            images.labels[known],
            images.new_labels[known],
            tuple(images.names[place] for place in places),
            lambda positions: images.thumbnails([places[position] for position in positions]),
        )
        return Predicted(chosen, self.old[known], self.new[known])


@dataclass(frozen=True)
class Comparison:
    """What both bundles predict.

    Attributes:
        by_file: predictions by the path of the old file.
        keras: those of the Keras models; None where they are not known.
        not_run: why a pair has none, by the path of the old file.
        broken: what is wrong with files of the new bundle, a sentence each.
        measured: whether accuracies are to be measured on these images.
        notes: what limits the comparison.
    """

    by_file: Mapping[str, Predicted]
    keras: Predicted | None
    not_run: Mapping[str, str]
    broken: tuple[str, ...] = ()
    measured: bool = False
    notes: tuple[str, ...] = ()

    def all(self) -> list[Predicted]:
        """Returns the predictions of every file and of the Keras models."""
        return [*self.by_file.values(), *([self.keras] if self.keras else [])]


def of_golden(releases: ReleasePair) -> Comparison:
    """Compares the predictions that the bundles hold for the images that both hold."""
    shown = [_shown(each) for each in (releases.old, releases.new)]
    held = set(shown[1])
    common = [text for text in dict.fromkeys(shown[0]) if text in held]
    rows = [np.array([texts.index(text) for text in common], np.int64) for texts in shown]
    by_file: dict[str, Predicted] = {}
    if common:
        images = _golden_images(releases, rows, common)
        for pair in releases.files:
            before = releases.old.golden.expected.get(pair.old.path)
            after = releases.new.golden.expected.get(pair.new.path)
            if before is not None and after is not None:
                by_file[pair.old.path] = _predicted(images, releases.classes, before[rows[0]], after[rows[1]])
    note = "the bundles have no golden example in common; add --data to compare predictions"
    return Comparison(by_file, _of_keras(releases), {}, notes=() if common else (note,))


def _golden_images(releases: ReleasePair, rows: Sequence[np.ndarray], shown: Sequence[str]) -> Images:
    labels = [
        np.append(releases.class_numbers(each), -1)[each.golden.labels[places]]
        for each, places in zip((releases.old, releases.new), rows, strict=True)
    ]
    names = tuple(f"golden example {place:03d}" for place in rows[0].tolist())
    return Images(labels[0], labels[1], names, lambda positions: [shown[position] for position in positions])


def _predicted(images: Images, classes: SharedClasses, old: np.ndarray, new: np.ndarray) -> Predicted:
    return Predicted(images, classes.of_old_outputs(old), classes.of_new_outputs(new))


def _of_keras(releases: ReleasePair) -> Predicted | None:
    """Returns the predictions of the Keras models for the golden and other examples that both bundles hold."""
    old, new = (_keras_predictions(each, releases.class_numbers(each)) for each in (releases.old, releases.new))
    common = [text for text in old if text in new]
    if not common:
        return None
    before, after = [old[text] for text in common], [new[text] for text in common]
    labels = [np.array([number for number, _ in each]) for each in (before, after)]
    images = Images(labels[0], labels[1], ("",) * len(common), lambda positions: [common[each] for each in positions])
    rows = [np.stack([probabilities for _, probabilities in each]) for each in (before, after)]
    return _predicted(images, releases.classes, rows[0], rows[1])


def _keras_predictions(release: Release, numbers: np.ndarray) -> dict[str, tuple[int, np.ndarray]]:
    """Returns class and probabilities of each labelled example, by its image.

    Args:
        release: the bundle.
        numbers: of the classes in its manifest.
    """
    golden = release.golden
    known = dict(zip(release.manifest.data.classes, numbers.tolist(), strict=True))
    rows = zip(_shown(release), golden.labels.tolist(), golden.expected[KERAS], strict=True)
    found = {text: (int(numbers[label]), probabilities) for text, label, probabilities in rows if label >= 0}
    examples = release.evidence.examples if release.evidence else []
    shown = {each.image: (known[each.label], np.array(each.student)) for each in examples if each.label in known}
    return {text: each for text, each in shown.items() if no_probabilities(each[1][None], None) is None} | found


def _shown(release: Release) -> list[str]:
    """Returns the image of each golden example, which is the same for the same example."""
    signature = release.manifest.signature
    encode = kind_of(signature.kind).encode_shown
    return [encode(image, signature) for image in release.golden.images]


def of_source(releases: ReleasePair, source: str, apart: Apart, progress: Progress | None) -> Comparison:
    """Runs the files of both bundles on the test split of a source, divided as the old bundle divides its images.

    Raises:
        RequestError: the source cannot be opened, or has a class that neither bundle has.
    """
    old, new, classes = releases.old, releases.new, releases.classes
    found, complete = source_images.open_images(source, old.manifest)
    splits = [source_images.measured_split(found, each.manifest) for each in (old, new)]
    labels = classes.numbers(found.classes)[found.test.labels]
    names = tuple(found.test.examples.name(int(number)) for number in found.test.numbers)
    images = Images(labels, labels, names, lambda positions: _thumbnails(splits[0], positions, old))
    by_file: dict[str, Predicted] = {}
    not_run: dict[str, str] = {}
    broken: list[str] = []
    for pair in releases.files:
        path = pair.old.path
        try:
            before = _run(old, pair.old, splits[0], apart, progress)
        except VerifyError as error:
            not_run[path] = f"the old file: {_reason(error, old)}"
            continue
        try:
            after = _run(new, pair.new, splits[1], apart, progress)
        except VerifyError as error:
            not_run[path] = f"the new file: {_reason(error, new)}"
            if not isinstance(error, NotVerifiedError):
                broken.append(_reason(error, new))
            continue
        by_file[path] = _predicted(images, classes, before, after)
    return Comparison(
        by_file, None, not_run, tuple(broken), True, tuple(_unseen(found.fingerprint, complete, old, new))
    )


def _run(release: Release, artifact: Artifact, split: Any, apart: Apart, progress: Progress | None) -> np.ndarray:
    """Returns the probabilities that a file gives, float32 [n, classes].

    Raises:
        VerifyError: it cannot be run, or is not what its manifest says.
    """
    if progress:
        progress.say(f"  {release.title}: {artifact.path}")
    signature, manifest = release.manifest.signature, release.manifest
    batches = source_images.raw_batches(split, signature)
    card = release.card.with_score_threshold(artifact.least_probability)
    answered = apart.run(release.folder / artifact.path, artifact.format, card, signature, batches)
    if answered.io != artifact.io:
        raise VerifyError(f"{artifact.path}: takes or gives something else than {MANIFEST} says.")
    for wrong in answered.requirements.contradictions(artifact, manifest.environment):
        raise VerifyError(f"{artifact.path}: {wrong}.")
    if fault := no_probabilities(answered.probabilities, artifact.io.output.scale):
        raise VerifyError(f"{artifact.path}: its predictions {fault}.")
    return answered.probabilities


def _reason(error: VerifyError, release: Release) -> str:
    return str(error).replace(f"{release.folder}/", "").rstrip(".")


def _thumbnails(split: Any, positions: Sequence[int], release: Release) -> list[str]:
    from tfkd.writers import samples

    if not len(positions):
        return []
    signature = release.manifest.signature
    return [
        kind_of(signature.kind).encode_shown(image, signature)
        for image in samples.at(split, np.array(positions, np.int64), signature)
    ]


def _unseen(fingerprint: str, complete: bool, old: Release, new: Release) -> Iterator[str]:
    """Yields a note for each bundle that may have been trained on the images."""
    for release, name in ((old, "old"), (new, "new")):
        if complete and release.manifest.data.fingerprint != fingerprint:
            yield f"these are not the test examples of the {name} bundle; it may have been trained on some of them"
        elif release.manifest.folds:
            yield f"the {name} bundle was trained on these examples, as its recipe has folds; new ones would be harder"
