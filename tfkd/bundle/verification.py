"""`tfkd verify`: proves a bundle from nothing but its folder, wherever it lies. Nothing in it is trusted."""

import contextlib
import datetime
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tfkd.bundle import (
    consistency,
    evidence,
    golden,
    golden_answers,
    golden_labels,
    monitoring,
    seal,
    teacher_lock,
    verdicts,
)
from tfkd.bundle.evidence import Evidence
from tfkd.bundle.golden import Golden
from tfkd.bundle.labelled_examples import OwnExamples, UnseenExamples
from tfkd.bundle.layout import CHECKSUMS, EVIDENCE, MANIFEST, RECIPE, TEACHER_LOCK
from tfkd.bundle.manifest import Manifest
from tfkd.bundle.publishing import opened
from tfkd.bundle.reading import checked_manifest
from tfkd.bundle.seal import few, text
from tfkd.bundle.taught_by import require_taught_by
from tfkd.errors import RequestError, first_fault, legible
from tfkd.files import compressed_size, content_digest, content_size
from tfkd.formats import TIMED
from tfkd.formats.families import FAMILIES
from tfkd.labels import LABELS, labels_text
from tfkd.progress import Progress
from tfkd.verification import NotVerifiedError, VerifyError
from tfkd.verification.apart import Answered, Apart
from tfkd.verification.gates import unjudged
from tfkd.verification.records import Artifact, Verdict
from tfkd.writers import Card

_DEFLATED = 0.05
_CLOCKS = datetime.timedelta(days=1)  # that those of two machines may be apart

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
    folder: Path,
    data: str | None = None,
    progress: Progress | None = None,
    apart: Apart | None = None,
    unseen: str | None = None,
    teacher: Path | None = None,
) -> list[Check]:
    """Checks a bundle: its checksums, its manifest, its verdicts, and every file by running it on the golden images.

    A damaged file fails its own check and does not end the others. Links, a manifest that cannot be read, or one that
    names other files do.

    Args:
        folder: of the bundle.
        data: examples on whose test split the accuracies are measured again, as `data.source` in a recipe.
        progress: shows what is being done.
        apart: the process that runs the files; default: one for this call.
        unseen: examples that no network of the bundle has seen, and that are compared with its accuracies.
        teacher: a lock, or the model, the weights or the predictions of a teacher, which must have taught the bundle.

    Raises:
        RequestError: the folder is no bundle, the images are not of its classes, or the teacher is not readable.
    """
    with opened(folder) as here, contextlib.nullcontext(apart) if apart else Apart() as runner:
        if not any((here / name).is_file() for name in (MANIFEST, CHECKSUMS)):
            raise RequestError(
                f"{folder} is no bundle: it holds neither {MANIFEST} nor {CHECKSUMS}. Name a bundle's folder."
            )
        found = _Bundle(here, progress, runner)
        with contextlib.suppress(_StoppedError):
            found.check({OwnExamples: data, UnseenExamples: unseen}, teacher)
    return found.checks


class _Bundle:
    """One call of `verify`: what was found so far."""

    def __init__(self, folder: Path, progress: Progress | None, apart: Apart) -> None:
        self.checks: list[Check] = []
        self._folder = folder
        self._progress = progress
        self._apart = apart

    def check(self, sources: dict[type[OwnExamples | UnseenExamples], str | None], teacher: Path | None) -> None:
        listed = self._needed("files", lambda: seal.listing(self._folder))
        if alike := seal.colliding_names(listed):
            found = f"{', '.join(alike)}: differ in capitals or Unicode form alone; macOS and Windows keep one of them."
            self.checks.append(Check("names", "failed", legible(found)))
        self._run_check("checksums", lambda: seal.checked(self._folder, listed))
        manifest, card = self._needed("manifest", lambda: checked_manifest(self._folder, listed))
        measured = [kind(source, manifest) for kind, source in sources.items() if source is not None]
        self._run_check("labels", lambda: _labels(self._folder, manifest))
        stored = self._run_check("golden examples", lambda: _golden(self._folder, manifest))
        self._run_check("numbers", lambda: _numbers(self._folder, manifest, listed, stored))
        self.checks.append(_gates(manifest))
        if teacher is not None:
            self._run_check("teacher", lambda: require_taught_by(self._folder, manifest, teacher))
        for artifact in manifest.artifacts:
            self._run_check(artifact.path, partial(self._golden_answers, artifact, card, manifest, stored))
        for examples in measured:
            self._run_check(examples.name, examples.compared)
            for artifact in manifest.artifacts:
                title = f"accuracy of {artifact.path}{examples.where}"
                self._run_check(title, partial(self._accuracy, artifact, card, manifest, examples))
                self._run_check_of_classes(artifact, examples)

    def _golden_answers(
        self, artifact: Artifact, card: Card, manifest: Manifest, stored: Golden | None
    ) -> tuple[None, str]:
        """Runs a file as every family that the bundle has golden predictions of and that can be run here."""
        self._require_described(artifact)
        if stored is None:
            raise NotVerifiedError(Path(artifact.path), "there are no golden examples to run it on")
        if artifact.path not in stored.expected and artifact.not_verified:
            self._without_answers(artifact, card, manifest, stored)
        right_answers = golden_answers.of_file(stored, artifact)
        found = [f"description, labels and {len(stored.images)} golden examples"]
        for family, right in right_answers.items():
            title = FAMILIES[family].title
            if FAMILIES[family].options is None:
                found.append(f"not run as {title}")
                continue
            answered = self._run(artifact, card, manifest, [stored.images], family)
            predictions = answered.probabilities
            allowed = golden_answers.tolerance(artifact, family, answered.requirements.precision)
            compared = golden_answers.compare(predictions, {family: right}, {family: allowed}, artifact.io.output.scale)
            wrong = compared.fault or golden_answers.impossible(predictions, stored, artifact)
            if wrong is not None:
                raise VerifyError(f"{artifact.path}: its predictions {wrong} ({title}); export it again.")
            if not compared.passed:
                raise VerifyError(
                    f"{artifact.path}: its predictions for the golden examples are {compared.error:.2g} off; "
                    f"{allowed:.2g} is allowed ({title})."
                )
            found.append(f"{title} {compared.error:.1e} off (allowed {allowed:.1e})")
        self._require_deflated(artifact, manifest)
        found += [f"no golden predictions of {title}" for title in golden_answers.missing(artifact, right_answers)]
        return None, ", ".join(found)

    def _require_described(self, artifact: Artifact) -> None:
        """Refuses what is another file than the manifest's, before it is run."""
        path = self._folder / artifact.path
        if (content_size(path), content_digest(path)) != (artifact.bytes, artifact.sha256):
            raise VerifyError(f"{artifact.path}: is not the file that {MANIFEST} describes (its SHA-256 differs).")

    def _require_deflated(self, artifact: Artifact, manifest: Manifest) -> None:
        row = next((row for row in manifest.comparison if row.variant == consistency.variant(manifest, artifact)), None)
        if artifact.format not in TIMED or row is None or row.compressed_bytes is None:
            return
        deflated = compressed_size(self._folder / artifact.path)
        if abs(row.compressed_bytes - deflated) > _DEFLATED * deflated:  # zlib's versions differ a little
            raise VerifyError(f"{artifact.path}: takes {deflated:,} bytes deflated, not {row.compressed_bytes:,}.")

    def _without_answers(self, artifact: Artifact, card: Card, manifest: Manifest, stored: Golden) -> None:
        """Runs a file that could not be run when the bundle was written; the manifest is not trusted on that.

        Raises:
            NotVerifiedError: it cannot be run here either, or its predictions are possible.
            VerifyError: its predictions cannot be right.
        """
        predictions = self._run(artifact, card, manifest, [stored.images]).probabilities
        if wrong := golden_answers.impossible(predictions, stored, artifact):
            raise VerifyError(f"{artifact.path}: its predictions {wrong}; export it again.")
        raise NotVerifiedError(Path(artifact.path), f"{artifact.not_verified}, when the bundle was made")

    def _accuracy(
        self, artifact: Artifact, card: Card, manifest: Manifest, test: OwnExamples | UnseenExamples
    ) -> tuple[float, str]:
        if artifact.not_verified:
            raise NotVerifiedError(Path(artifact.path), f"{artifact.not_verified}, when the bundle was made")
        if (seen := test.seen()) is not None:
            raise NotVerifiedError(Path(artifact.path), seen)
        probabilities = self._run(artifact, card, manifest, test.batches()).probabilities
        test.probabilities[artifact.path] = probabilities
        return test.judged(artifact)

    def _run_check_of_classes(self, artifact: Artifact, test: OwnExamples | UnseenExamples) -> None:
        """Judges the bundle's gates on classes by the predictions for the test images, where the file was run."""
        if artifact.path not in test.probabilities:
            return
        try:
            gates = test.gates_on_classes(artifact)
        except VerifyError as error:
            self.checks.append(Check(legible(f"classes of {artifact.path}"), "failed", legible(str(error))))
            return
        self.checks += [
            Check(legible(f"{gate.name}{test.where or ' on these examples'}"), gate.verdict, legible(gate.reason))
            for gate in gates
        ]

    def _run(
        self, artifact: Artifact, card: Card, manifest: Manifest, batches: Iterable[Any], family: str | None = None
    ) -> Answered:
        if self._progress:
            self._progress.say(f"  {artifact.path}{f', {FAMILIES[family].title}' if family else ''}")
        path, signature = self._folder / artifact.path, manifest.signature
        card = card.with_score_threshold(artifact.least_probability)
        answered = self._apart.run(path, artifact.format, card, signature, batches, family)
        if answered.io != artifact.io:
            raise VerifyError(f"{artifact.path}: takes or gives something else than {MANIFEST} says.")
        for wrong in answered.requirements.contradictions(artifact, manifest.environment):
            raise VerifyError(f"{artifact.path}: {wrong}.")
        return answered

    def _run_check(self, name: str, work: Callable[[], tuple[T, str]]) -> T | None:
        """Adds a check; the others go on where it fails."""
        try:
            value, found = work()
        except VerifyError as error:
            verdict: Verdict = "not judged" if isinstance(error, NotVerifiedError) else "failed"
            self.checks.append(Check(legible(name), verdict, legible(str(error).replace(f"{self._folder}/", ""))))
            return None
        self.checks.append(Check(legible(name), "passed", legible(found)))
        return value

    def _needed(self, name: str, work: Callable[[], tuple[T, str]]) -> T:
        """Adds a check whose outcome the others need."""
        value = self._run_check(name, work)
        if value is None:
            raise _StoppedError
        return value


def _labels(folder: Path, manifest: Manifest) -> tuple[int, str]:
    """Compares labels.txt with the manifest."""
    classes = manifest.data.classes
    try:
        right = labels_text(classes)
    except RequestError as error:
        raise VerifyError(f"{MANIFEST}: {error}") from None
    found = text(folder / LABELS)
    if found != right and found.replace("\r\n", "\n") == right:
        raise VerifyError(f"{LABELS}: {seal.WINDOWS_LINE_ENDS}; programs that split it at line feeds get other names.")
    if found != right:
        raise VerifyError(f"{LABELS}: does not hold the classes of {MANIFEST}, one a line, in order.")
    return len(classes), f"{len(classes)} classes in {LABELS} as in {MANIFEST}"


def _numbers(folder: Path, manifest: Manifest, listed: dict[str, Path], stored: Golden | None) -> tuple[bool, str]:
    """Compares what the manifest says in several places, in recipe.json, and of the golden images."""
    wrong = [*consistency.contradictions(manifest), *_other_recipe(folder, manifest, listed)]
    wrong += [*_other_evidence(folder, manifest, listed), *_future(manifest)]
    wrong += [*monitoring.contradictions(folder, manifest, listed), *_other_lock(folder, manifest, listed)]
    _require_none([*wrong, *(golden_labels.contradictions(stored, manifest) if stored else [])])
    return True, f"the numbers and names of {MANIFEST} agree with each other and with its recipe"


def _require_none(wrong: list[str]) -> None:
    if wrong:
        more = f" (and {len(wrong) - 1} more contradictions)" if wrong[1:] else ""
        raise VerifyError(f"{MANIFEST}: {wrong[0]}{more}.")


def _other_recipe(folder: Path, manifest: Manifest, listed: dict[str, Path]) -> Iterator[str]:
    if RECIPE not in listed:
        return
    try:
        same = json.loads(text(folder / RECIPE)) == manifest.recipe
    except (ValueError, RecursionError):
        same = False
    if not same:
        yield f"its recipe is another one than {RECIPE}"


def _other_evidence(folder: Path, manifest: Manifest, listed: dict[str, Path]) -> Iterator[str]:
    if EVIDENCE not in listed:
        return  # a bundle of an earlier version
    try:
        found = Evidence.model_validate_json(text(folder / EVIDENCE))
    except ValidationError as error:
        yield f"{EVIDENCE} cannot be read: {first_fault(error)}"
    else:
        yield from evidence.contradictions(found, manifest)


def _other_lock(folder: Path, manifest: Manifest, listed: dict[str, Path]) -> Iterator[str]:
    if TEACHER_LOCK not in listed:
        return  # a bundle of an earlier version, or of a model without a teacher
    try:
        lock = teacher_lock.read_lock(folder / TEACHER_LOCK)
    except RequestError as error:
        yield str(error).replace(f"{folder}/", "").rstrip(".")
    else:
        yield from (f"{TEACHER_LOCK}: {wrong}" for wrong in teacher_lock.contradictions(lock, manifest))


def _future(manifest: Manifest) -> Iterator[str]:
    now = datetime.datetime.now(datetime.UTC)
    if datetime.datetime.fromisoformat(manifest.created) > now + _CLOCKS:
        yield f"it was created at {manifest.created}, and this machine's clock says {now:%Y-%m-%d %H:%M}"


def _golden(folder: Path, manifest: Manifest) -> tuple[Golden, str]:
    stored = golden.read(folder, manifest.data.classes, manifest.signature)
    golden_answers.check(stored, manifest)
    ignored = (
        f"; ignored: predictions of {few(map(repr, stored.unknown))}, unknown to this version" if stored.unknown else ""
    )
    return stored, f"{len(stored.images)} examples with the predictions of {len(stored.expected)} models{ignored}"


def _gates(manifest: Manifest) -> Check:
    """Gives the verdicts again, by the code that gave them; a gate that was not judged is not called passed."""
    try:
        _require_none(sorted(verdicts.contradictions(manifest)))
    except VerifyError as error:
        return Check("gates", "failed", legible(str(error)))
    if failed := [gate.name for gate in manifest.gates if gate.verdict == "failed"]:
        return Check("gates", "failed", f"{MANIFEST}: these failed when the bundle was made: {few(failed)}.")
    if not manifest.gates:
        return Check("gates", "not judged", "no gates were set when the bundle was made")
    if why := unjudged(manifest.gates):
        passed = sum(gate.passed for gate in manifest.gates)
        return Check("gates", "not judged", legible(f"not judged when the bundle was made: {why}; {passed} passed"))
    unknown = verdicts.unknown(manifest)
    later = f"; the version that made it did not have {', '.join(unknown)}" if unknown else ""
    return Check("gates", "passed", f"all {len(manifest.gates)} pass by the bundle's numbers and limits{later}")
