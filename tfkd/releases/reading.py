"""Reads a bundle that is compared with another one. Nothing in it is trusted."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tfkd.bundle import golden, golden_answers, measurements, seal, source_images
from tfkd.bundle.evidence import Evidence, contradictions
from tfkd.bundle.golden import Golden
from tfkd.bundle.layout import EVIDENCE, MANIFEST
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.reading import checked_manifest
from tfkd.bundle.results import Result
from tfkd.errors import RequestError, first_fault
from tfkd.files import content_digest, content_size
from tfkd.labels import LABELS, labels_text
from tfkd.verification import VerifyError
from tfkd.verification.records import Artifact
from tfkd.writers import Card


@dataclass(frozen=True)
class Release:
    """A bundle as it was read.

    Attributes:
        title: its folder, as the user wrote it.
        folder: leads to it while it is open.
        manifest: its manifest.
        card: what every file of it says of itself.
        labels: lines of labels.txt, which apps read.
        golden: its golden examples.
        evidence: what its report shows; None in bundles of earlier versions.
        results: what was measured of its files on devices, the oldest first.
    """

    title: str
    folder: Path
    manifest: Manifest
    card: Card
    labels: tuple[str, ...]
    golden: Golden
    evidence: Evidence | None
    results: tuple[Result, ...]

    @property
    def rendering(self) -> str:
        """What the student sees of an image: rgb, grey, edges, or a folder of other images."""
        return source_images.rendering(self.manifest)


def read_release(title: str, folder: Path) -> Release:
    """Reads a bundle.

    Args:
        title: its folder, as the user wrote it.
        folder: its folder, open.

    Raises:
        RequestError: it is no bundle, or a damaged one.
    """
    if not (folder / MANIFEST).is_file():
        raise RequestError(f"{title} is no bundle: it holds no {MANIFEST}. Name a bundle's folder.")
    try:
        return _read(title, folder)
    except VerifyError as error:
        reason = str(error).replace(f"{folder}/", "")
        raise RequestError(f"{title}: {reason} Run tfkd verify {title}, or make the bundle again.") from None


def _read(title: str, folder: Path) -> Release:
    listed, _ = seal.listing(folder)
    (manifest, card), _ = checked_manifest(folder, listed)
    for artifact in manifest.artifacts:
        _require_described(folder, artifact)
    stored = golden.read(folder, manifest.data.classes, manifest.signature)
    golden_answers.check(stored, manifest)
    for artifact in manifest.artifacts:
        if artifact.path in stored.expected:
            golden_answers.of_file(stored, artifact)
    return Release(
        title=title,
        folder=folder,
        manifest=manifest,
        card=card,
        labels=_labels(folder, manifest),
        golden=stored,
        evidence=_evidence(folder, manifest) if EVIDENCE in listed else None,
        results=tuple(_results(folder, manifest)),
    )


def _require_described(folder: Path, artifact: Artifact) -> None:
    path = folder / artifact.path
    if (content_size(path), content_digest(path)) != (artifact.bytes, artifact.sha256):
        raise VerifyError(f"{artifact.path}: is not the file that {MANIFEST} describes (its SHA-256 differs).")


def _labels(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """Returns the lines of labels.txt, which may be others than the manifest's."""
    content = seal.text(folder / LABELS).replace("\r\n", "\n")
    names = content.removesuffix("\n").split("\n")
    try:
        right = labels_text(names)
    except RequestError as error:
        raise VerifyError(f"{LABELS}: {error}") from None
    if right.removesuffix("\n") != content.removesuffix("\n") or len(names) != len(manifest.data.classes):
        raise VerifyError(f"{LABELS}: has {len(names)} labels, {MANIFEST} {len(manifest.data.classes)} classes.")
    return tuple(names)


def _evidence(folder: Path, manifest: Manifest) -> Evidence:
    try:
        found = Evidence.model_validate_json(seal.text(folder / EVIDENCE))
    except ValidationError as error:
        raise VerifyError(f"{EVIDENCE} cannot be read: {first_fault(error)}.") from None
    for wrong in contradictions(found, manifest):
        raise VerifyError(f"{EVIDENCE}: {wrong}.")
    return found


def _results(folder: Path, manifest: Manifest) -> Iterator[Result]:
    """Yields the results of files that the bundle still holds; a record that cannot be read is left out."""
    digests = {artifact.path: artifact.sha256 for artifact in manifest.artifacts}
    for record in measurements.read(folder):
        for result in record.content.results if record.content else ():
            if digests.get(result.artifact.path) == result.artifact.sha256:
                yield result
