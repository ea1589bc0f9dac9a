"""`tfkd verify`: proves a bundle from nothing but its folder, wherever it lies. Nothing in it is trusted."""

import contextlib
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from tfkd import files
from tfkd.errors import RequestError, legible
from tfkd.export import Card, bundle, card_of
from tfkd.export.bundle import CHECKSUMS, LABELS, MANIFEST, MEASUREMENTS, Golden
from tfkd.export.manifest import SCHEMA, Artifact, Manifest, Verdict
from tfkd.export.publishing import opened
from tfkd.labels import outputs_of
from tfkd.progress import Progress
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import Data
from tfkd.verify import NotVerifiedError, VerifyError, golden, stored_answers
from tfkd.verify.apart import Answered, Apart
from tfkd.verify.artifacts import RUNTIMES
from tfkd.verify.families import FAMILIES
from tfkd.verify.gates import unjudged

_MOST_FILES = 10_000
_LARGEST_FILE = 1 << 31  # bytes; neither TFLite nor protobuf can hold more
_LARGEST_TEXT = 1 << 26
_UNSEALED = re.compile(rf"{MEASUREMENTS}/(?:\.[^/]+\.partial/)?(?:[^/]+\.json|index\.html|index\.md)")
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_ACCURACY = 0.005  # another CPU may decide an image otherwise whose two best classes are level
_BATCH = 64

T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    Attributes:
        name: what it is, or the path of a file in the bundle.
        verdict: whether it is right.
        found: what was found, or what is wrong; one line.
    """

    name: str
    verdict: Verdict
    found: str

    @property
    def passed(self) -> bool:
        """True where it was judged and is right."""
        return self.verdict == "passed"


class _StoppedError(Exception):
    """A check failed without which the others mean nothing."""


def verify(
    folder: Path, source: str | None = None, progress: Progress | None = None, apart: Apart | None = None
) -> list[Check]:
    """Checks a bundle: its checksums, its manifest, and every file by running it on the golden images.

    Whatever is changed, missing or added ends the checks, because nothing more is to be learnt from such a folder.

    Args:
        folder: of the bundle.
        source: images on whose test split the accuracies are measured again, as `data.source` in a recipe.
        progress: shows what is being done.
        apart: the process that runs the files; default: one for this call.

    Raises:
        RequestError: the folder is no bundle, or the images are not of the bundle's classes.
    """
    with opened(folder) as here, contextlib.nullcontext(apart) if apart else Apart() as runner:
        if not any((here / name).is_file() for name in (MANIFEST, CHECKSUMS)):
            raise RequestError(
                f"{folder} is no bundle: it holds neither {MANIFEST} nor {CHECKSUMS}. Name a bundle's folder."
            )
        found = _Bundle(here, progress, runner)
        with contextlib.suppress(_StoppedError):
            found.check(source)
    return found.checks


class _Bundle:
    """One call of `verify`: what was found so far."""

    def __init__(self, folder: Path, progress: Progress | None, apart: Apart) -> None:
        self.checks: list[Check] = []
        self._folder = folder
        self._progress = progress
        self._apart = apart

    def check(self, source: str | None) -> None:
        listed = self._needed("files", lambda: _files(self._folder))
        self._needed("checksums", lambda: _checksums(self._folder, listed))
        manifest = self._needed("manifest", lambda: _manifest(self._folder, listed))
        card = self._needed("labels", lambda: _card(self._folder, manifest))
        stored = self._needed("golden images", lambda: _golden(self._folder, manifest))
        self.checks.append(_gates(manifest))
        for artifact in manifest.artifacts:
            self._tried(artifact.path, partial(self._golden_answers, artifact, card, manifest, stored))
        if source is not None:
            test = _TestImages(source, manifest)
            self._tried("data", test.compared)
            for artifact in manifest.artifacts:
                self._tried(f"accuracy of {artifact.path}", partial(self._accuracy, artifact, card, manifest, test))

    def _golden_answers(self, artifact: Artifact, card: Card, manifest: Manifest, stored: Golden) -> tuple[None, str]:
        """Runs a file as every family whose golden answers the bundle holds, and that can be run here."""
        if artifact.path not in stored.expected and artifact.not_verified:
            self._without_answers(artifact, card, manifest, stored)
        right_answers = stored_answers.of_file(stored, artifact)
        found = [f"description, labels and {len(stored.images)} golden images"]
        for family, right in right_answers.items():
            title = FAMILIES[family].title
            if FAMILIES[family].options is None:
                found.append(f"not run as {title}")
                continue
            answered = self._run(artifact, card, manifest, [stored.images], family)
            answers = answered.probabilities
            allowed = golden.tolerance(artifact, family, answered.requirements.precision)
            compared = golden.compare(answers, {family: right}, {family: allowed}, artifact.io.output.scale)
            wrong = compared.fault or stored_answers.impossible(answers, stored, artifact)
            if wrong is not None:
                raise VerifyError(f"{artifact.path}: its answers {wrong} ({title}); export it again.")
            if not compared.passed:
                raise VerifyError(
                    f"{artifact.path}: its answers to the golden images are {compared.error:.2g} off; {allowed:.2g} is "
                    f"allowed ({title})."
                )
            found.append(f"{title} {compared.error:.1e} off (allowed {allowed:.1e})")
        found += [f"no golden answers of {title}" for title in stored_answers.missing(artifact, right_answers)]
        return None, ", ".join(found)

    def _without_answers(self, artifact: Artifact, card: Card, manifest: Manifest, stored: Golden) -> None:
        """Runs a file that could not be run when the bundle was made: what the manifest says of that is not trusted.

        Raises:
            NotVerifiedError: it cannot be run here either, or its answers are possible.
            VerifyError: its answers cannot be right.
        """
        answers = self._run(artifact, card, manifest, [stored.images]).probabilities
        if wrong := stored_answers.impossible(answers, stored, artifact):
            raise VerifyError(f"{artifact.path}: its answers {wrong}; export it again.")
        raise NotVerifiedError(Path(artifact.path), f"{artifact.not_verified}, when the bundle was made")

    def _accuracy(self, artifact: Artifact, card: Card, manifest: Manifest, test: "_TestImages") -> tuple[float, str]:
        if artifact.not_verified:
            raise NotVerifiedError(Path(artifact.path), f"{artifact.not_verified}, when the bundle was made")
        return test.judged(artifact, self._run(artifact, card, manifest, test.batches()).probabilities)

    def _run(
        self, artifact: Artifact, card: Card, manifest: Manifest, batches: Iterable[Any], family: str | None = None
    ) -> Answered:
        if self._progress:
            self._progress.say(f"  {artifact.path}")
        size = manifest.student.image_size
        answered = self._apart.run(self._folder / artifact.path, artifact.format, card, size, batches, family)
        if answered.io != artifact.io:
            raise VerifyError(f"{artifact.path}: takes or gives something else than {MANIFEST} says.")
        for wrong in answered.requirements.contradictions(artifact):
            raise VerifyError(f"{artifact.path}: {wrong}.")
        return answered

    def _tried(self, name: str, work: Callable[[], tuple[T, str]]) -> T | None:
        """Adds a check; the others go on where it fails."""
        try:
            value, found = work()
        except VerifyError as error:
            verdict: Verdict = "not judged" if isinstance(error, NotVerifiedError) else "failed"
            self.checks.append(Check(name, verdict, legible(str(error).replace(f"{self._folder}/", ""))))
            return None
        self.checks.append(Check(name, "passed", found))
        return value

    def _needed(self, name: str, work: Callable[[], tuple[T, str]]) -> T:
        """Adds a check whose outcome the others need."""
        value = self._tried(name, work)
        if value is None:
            raise _StoppedError
        return value


def _files(folder: Path) -> tuple[dict[str, Path], str]:
    """Lists a bundle's files; links, devices and pipes are none, and are not followed or opened."""
    listed: dict[str, Path] = {}
    try:
        for path in folder.rglob("*"):
            kind, name = path.lstat(), path.relative_to(folder).as_posix()
            if not (stat.S_ISREG(kind.st_mode) or stat.S_ISDIR(kind.st_mode)):
                raise VerifyError(f"{name}: is a link or a device; a bundle holds files and folders alone.")
            if stat.S_ISREG(kind.st_mode):
                listed[name] = path
            if kind.st_size > _LARGEST_FILE or len(listed) > _MOST_FILES:
                raise VerifyError(f"{name}: is too large, or one of too many files; no bundle is like that.")
    except OSError as error:
        raise VerifyError(f"the folder cannot be read: {error.strerror}.") from None
    return listed, f"{len(listed)} files, no links"


def _checksums(folder: Path, listed: dict[str, Path]) -> tuple[int, str]:
    """Compares the files with SHA256SUMS; raises VerifyError where one is changed, missing or not listed."""
    sums: dict[str, str] = {}
    for number, line in enumerate(_text(folder / CHECKSUMS).removesuffix("\n").split("\n"), 1):
        fields = _LINE.fullmatch(line)
        if fields is None or fields[2] in sums:
            raise VerifyError(f"{CHECKSUMS}, line {number}: is no checksum of one more file.")
        sums[fields[2]] = fields[1]
    wanted, found = set(sums), {name for name in listed if not _UNSEALED.fullmatch(name)} - {CHECKSUMS}
    for names, wrong in ((wanted - found, "is missing"), (found - wanted, f"does not stand in {CHECKSUMS}")):
        if names:
            raise VerifyError(f"{_few(names)}: {wrong}.")
    changed = {name for name, digest in sums.items() if files.sha256(listed[name]) != digest}
    if changed:
        raise VerifyError(f"{_few(changed)}: not as it was when the bundle was sealed (its SHA-256 differs).")
    measurements = f"; {MEASUREMENTS}/ is outside of the seal" if any(map(_UNSEALED.fullmatch, listed)) else ""
    others = f"and no others are there{measurements}"
    return len(sums), f"{len(sums)} files are as they were when the bundle was sealed, {others}"


def _manifest(folder: Path, listed: dict[str, Path]) -> tuple[Manifest, str]:
    try:
        manifest = Manifest.model_validate_json(_text(folder / MANIFEST), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise VerifyError(f"{MANIFEST}: {'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}.") from None
    if manifest.schema_ != SCHEMA:
        raise VerifyError(f"{MANIFEST}: has the schema {manifest.schema_!r}, this is {SCHEMA!r}.")
    known = {artifact.path for artifact in manifest.artifacts}
    if not known or len(known) != len(manifest.artifacts):
        raise VerifyError(f"{MANIFEST}: names no file, or one twice.")
    for artifact in manifest.artifacts:
        _check_artifact(folder, artifact, listed)
    strangers = {name for name in map(_model_of, listed) if name} - known
    if strangers:
        raise VerifyError(f"{_few(strangers)}: {MANIFEST} does not know that model.")
    return manifest, f"{manifest.name}, made by tfkd {manifest.tfkd_version}; {len(known)} models"


def _check_artifact(folder: Path, artifact: Artifact, listed: dict[str, Path]) -> None:
    """Refuses a path that is not exactly that of a model among the listed files, before anything opens it."""
    if artifact.format not in RUNTIMES:
        raise VerifyError(f"{MANIFEST}: {artifact.path!r} has the format {artifact.format!r}, which nothing here runs.")
    if artifact.path not in {_model_of(name) for name in listed} or not artifact.path.endswith(f".{artifact.format}"):
        raise VerifyError(f"{MANIFEST}: {artifact.path!r} is no {artifact.format} file of the bundle.")
    path = folder / artifact.path
    if (bundle.size(path), bundle.digest(path)) != (artifact.bytes, artifact.sha256):
        raise VerifyError(f"{artifact.path}: is not the file that {MANIFEST} describes (its SHA-256 differs).")


def _model_of(name: str) -> str | None:
    """Returns the model that a file of the bundle is, or is a part of: an .mlpackage is a folder with a model in it."""
    path = PurePosixPath(name)
    for part in (*reversed(path.parents), path):
        if part.suffix[1:] in RUNTIMES and (part.suffix == ".mlpackage") == (part != path):
            return part.as_posix()
    return None


def _card(folder: Path, manifest: Manifest) -> tuple[Card, str]:
    """Compares labels.txt with the manifest; returns what must stand in every model."""
    classes = manifest.data.classes
    try:
        card = card_of(manifest.recipe, classes, manifest.data.fingerprint)
        text = bundle.labels_text(classes)
    except RequestError as error:
        raise VerifyError(f"{MANIFEST}: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError):
        raise VerifyError(
            f"{MANIFEST}: its recipe does not tell name, author, license, version and description."
        ) from None
    if _text(folder / LABELS) != text:
        raise VerifyError(f"{LABELS}: does not hold the classes of {MANIFEST}, one a line, in order.")
    return card, f"{len(classes)} classes in {LABELS} as in {MANIFEST}"


def _golden(folder: Path, manifest: Manifest) -> tuple[Golden, str]:
    stored = golden.read(folder, manifest.data.classes, manifest.student.image_size)
    stored_answers.check(stored, manifest)
    ignored = (
        f"; ignored: answers of {_few(map(repr, stored.unknown))}, unknown to this version" if stored.unknown else ""
    )
    return stored, f"{len(stored.images)} images with the answers of {len(stored.expected)} models{ignored}"


def _gates(manifest: Manifest) -> Check:
    """Returns what the gates said when the bundle was made; a gate that was not judged is not called passed."""
    if failed := [gate.name for gate in manifest.gates if gate.verdict == "failed"]:
        return Check("gates", "failed", f"{MANIFEST}: these failed when the bundle was made: {_few(failed)}.")
    if not manifest.gates:
        return Check("gates", "not judged", "no gates were set when the bundle was made")
    if why := unjudged(manifest.gates):
        passed = sum(gate.passed for gate in manifest.gates)
        return Check("gates", "not judged", f"not judged when the bundle was made: {why}; {passed} passed")
    return Check("gates", "passed", f"all {len(manifest.gates)} passed when the bundle was made")


class _TestImages:
    """The test images of a source, in the classes of a bundle.

    Raises:
        RequestError: the source cannot be opened, or has a class that the bundle does not know.
    """

    def __init__(self, source: str, manifest: Manifest) -> None:
        with native_logs_silenced():  # TensorFlow is loaded here
            from tfkd.data import REST, open_evaluation, open_source
            from tfkd.data.modality import all_seen

        self._manifest = manifest
        asked = _data(source, manifest)
        # A path in a manifest is nothing to open.
        self._complete = asked.unlabelled in (None, REST)
        opened = open_evaluation if manifest.data.for_evaluation else open_source
        wanted = asked if self._complete else asked.model_copy(update={"unlabelled": None})
        found = opened(wanted, manifest.seed, ranges=manifest.data.pixel_ranges)
        outputs = np.array(outputs_of(found.classes, manifest.data.classes, "the bundle's labels"))
        self._fingerprint = found.fingerprint
        self._images = all_seen(_modality(manifest), found).test
        self._labels = outputs[found.test.labels]

    def batches(self) -> Iterable[Any]:
        """Returns float32 [b, S, S, 3], the images in order."""
        from tfkd.data.batches import plain_batches

        size = self._manifest.student.image_size
        return plain_batches(self._images, size, _BATCH).map(lambda images, _: images)

    def compared(self) -> tuple[int, str]:
        """Tells whether these are the images that the bundle was measured on."""
        if not self._complete:
            return len(
                self._labels
            ), f"{len(self._labels):,} test images; the bundle's fingerprint is of more than these"
        if self._fingerprint != self._manifest.data.fingerprint:
            raise VerifyError(
                f"other images or another division than the bundle's: their fingerprint is {self._fingerprint}, "
                f"{MANIFEST} has {self._manifest.data.fingerprint}."
            )
        return len(self._labels), f"the {len(self._labels):,} test images that the bundle was measured on"

    def judged(self, artifact: Artifact, probabilities: np.ndarray) -> tuple[float, str]:
        accuracy = float(np.mean(probabilities.argmax(axis=1) == self._labels))
        stated = artifact.accuracy
        allowed = max(_ACCURACY, 2 / len(self._labels))
        told = f"{accuracy:.4f} on {len(self._labels):,} images, {MANIFEST} says {stated}"
        if stated is None or not abs(accuracy - stated) <= allowed:
            raise VerifyError(f"{told} ({allowed:.4f} apart is allowed).")
        return accuracy, told


def _data(source: str, manifest: Manifest) -> Data:
    """Returns the part of the bundle's recipe that divides the images, with another source."""
    asked = manifest.recipe.get("data")
    try:
        return Data.model_validate({**(asked if isinstance(asked, dict) else {}), "source": source})
    except ValidationError:
        raise RequestError(
            f"{MANIFEST}: its recipe does not say how the images are divided; leave --data out."
        ) from None


def _modality(manifest: Manifest) -> str:
    from tfkd.data.modality import TRANSFORMS

    student = manifest.recipe.get("student")
    modality = student.get("modality", "rgb") if isinstance(student, dict) else "rgb"
    if modality not in TRANSFORMS:
        raise RequestError(f"The student sees {modality!r}, which cannot be made of other images; leave --data out.")
    return str(modality)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_TEXT:
            raise VerifyError(f"{path.name}: is larger than {_LARGEST_TEXT:,} bytes, which none is.")
        return path.read_bytes().decode()
    except OSError as error:
        raise VerifyError(f"{path.name}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise VerifyError(f"{path.name}: is no text in UTF-8.") from None


def _few(names: Iterable[str]) -> str:
    first, *others = sorted(names)
    return f"{first} and {len(others)} more" if others else first
