"""Two bundles side by side: the classes and the files that both have."""

from dataclasses import dataclass

import numpy as np

from tfkd.errors import RequestError
from tfkd.releases.classes import SharedClasses, shared_classes
from tfkd.releases.reading import Release
from tfkd.verification.records import Artifact


@dataclass(frozen=True)
class FilePair:
    """The files of one format and precision."""

    old: Artifact
    new: Artifact

    @property
    def title(self) -> str:
        """The name of the new file without its folder."""
        return self.new.path.rpartition("/")[2]


@dataclass(frozen=True)
class ReleasePair:
    """Two bundles.

    Attributes:
        old: the one that an app uses.
        new: the one that is to replace it.
        classes: of both.
        files: that both have, in the order of the old one.
    """

    old: Release
    new: Release
    classes: SharedClasses
    files: tuple[FilePair, ...]

    def class_numbers(self, release: Release) -> np.ndarray:
        """Returns the numbers of the classes in a bundle's manifest, int64 [n]: by name, else by place.

        A name that neither labels.txt holds belongs to the label at its place.
        """
        places = range(len(self.classes.old)) if release is self.old else self.classes.of_new
        return self.classes.numbers(release.manifest.data.classes, list(places))

    @property
    def same_test_images(self) -> bool:
        """Whether both were measured on the same test images."""
        old, new = self.old.manifest, self.new.manifest
        return (old.data.fingerprint, old.images) == (new.data.fingerprint, new.images)


def paired(old: Release, new: Release) -> ReleasePair:
    """Pairs two bundles: files of the same path, else of the same format and precision.

    Raises:
        RequestError: they have no class or no file in common.
    """
    classes, files = shared_classes(old.labels, new.labels), tuple(_files(old, new))
    if not files:
        raise RequestError(
            f"{old.title} and {new.title} have no file of the same format and precision. Compare bundles that do."
        )
    return ReleasePair(old, new, classes, files)


def _files(old: Release, new: Release) -> list[FilePair]:
    free = list(new.manifest.artifacts)
    found: dict[str, FilePair] = {}
    for same in (_same_path, _same_form):
        for artifact in old.manifest.artifacts:
            match = next((each for each in free if same(artifact, each)), None)
            if match is not None and artifact.path not in found:
                free.remove(match)
                found[artifact.path] = FilePair(artifact, match)
    return [found[each.path] for each in old.manifest.artifacts if each.path in found]


def _same_path(old: Artifact, new: Artifact) -> bool:
    return old.path == new.path and _same_form(old, new)


def _same_form(old: Artifact, new: Artifact) -> bool:
    return (old.format, old.precision) == (new.format, new.precision)
