"""`tfkd drift`: counts of phones, and examples that came back, which the bundle's file and the teacher predict."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from tfkd.bundle import source_images
from tfkd.bundle.manifest import Manifest, single
from tfkd.bundle.publishing import opened
from tfkd.errors import RequestError
from tfkd.labels import composed
from tfkd.monitor import comeback, drifting
from tfkd.monitor.comeback import ReturnedPredictions
from tfkd.monitor.drifting import DriftRequest
from tfkd.monitor.phones import artifact_of
from tfkd.monitor.records import Drift
from tfkd.pipeline.folders import RunFolder
from tfkd.progress import Progress
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import Recipe, Teacher
from tfkd.recipe.names import numbered
from tfkd.verification import VerifyError
from tfkd.verification.apart import Apart
from tfkd.verification.probabilities import no_probabilities
from tfkd.writers import Card

if TYPE_CHECKING:
    from tfkd.data.dataset import Dataset, Split
    from tfkd.teachers import RawClassifier


def drift(
    bundle: Path,
    places: Sequence[Path],
    request: DriftRequest,
    samples: str | None,
    teacher: Path | None,
    runs: Path,
    progress: Progress,
) -> Drift:
    """Compares counts of phones, and examples that came back, with the reference in a bundle.

    Args:
        bundle: its folder.
        places: files of counts, or folders of them; may be empty with `samples`.
        request: what is looked at.
        samples: examples that came back: folder:PATH of a folder or zip, whose folders may be named after classes, or
            texts:FILE; None for none.
        teacher: model file that predicts them too; None for the teacher of the bundle's run, if it is there.
        runs: folder of the runs.
        progress: shows what is being done.

    Raises:
        RequestError: there is nothing to compare, or something cannot be read or is of another bundle.
    """
    if not places and samples is None:
        raise RequestError("Nothing to compare: name files of counts, or examples that came back with --samples.")
    if teacher is not None and samples is None:
        raise RequestError(f"--teacher {teacher} predicts the examples of --samples; name them, or leave it out.")
    found = drifting.drift(bundle, places, request)
    if samples is None:
        return found
    with opened(bundle) as here:
        manifest, card = drifting.manifest_of(bundle, here)
        artifact = artifact_of(manifest, str(bundle), found.file)
        reference = drifting.reference_of(str(bundle), here, artifact)
        split = source_images.open_unlabelled(_source(samples), manifest)
        progress.say(f"{samples}: {len(split):,} examples that came back")
        student = _predicted(here, found.file, manifest, card, split)
    taught, note = _taught(manifest, split, teacher, runs, progress)
    labels = _labels(split, manifest.data.classes)
    judged = comeback.judged(
        ReturnedPredictions(labels, student, taught), reference, request.alarm_rate, request.drawings, request.seed
    )
    alarm = found.alarm or judged.alarm
    changes: dict[str, Any] = {"samples": judged, "notes": [*found.notes, *note]}
    if alarm or not places:
        changes["verdict"] = "alarm" if alarm else "no alarm"
    return found.model_copy(update=changes)


def _source(samples: str) -> str:
    return samples if ":" in samples else f"folder:{samples}"


def _labels(split: "Split", classes: Sequence[str]) -> np.ndarray:
    """Returns the class after which the folder of each example is named, int64 [n]; -1 where it is none."""
    numbers = {composed(name): number for number, name in enumerate(classes)}
    folders = (PurePosixPath(split.name(place)).parent.name for place in range(len(split)))
    return np.array([numbers.get(composed(folder), -1) for folder in folders], np.int64)


def _predicted(here: Path, file: str, manifest: Manifest, card: Card, split: "Split") -> np.ndarray:
    artifact = next(each for each in manifest.artifacts if each.path == file)
    batches = source_images.raw_batches(split, manifest.signature)
    card = card.with_score_threshold(artifact.least_probability)
    try:
        with Apart() as runner:
            found = runner.run(here / file, artifact.format, card, manifest.signature, batches).probabilities
        if fault := no_probabilities(found, artifact.io.output.scale):
            raise VerifyError(f"{file}: its predictions {fault}.")
    except VerifyError as error:
        raise RequestError(str(error).replace(f"{here}/", "")) from None
    return found


def _taught(
    manifest: Manifest, split: "Split", teacher: Path | None, runs: Path, progress: Progress
) -> tuple[np.ndarray | None, list[str]]:
    """Returns the teacher's probabilities, and a note where there are none."""
    with native_logs_silenced():  # TensorFlow is loaded here
        from tfkd.distill.ensemble import together
        from tfkd.distill.measures import softmax

    data = _dataset(manifest, split)
    if teacher is not None:
        if not teacher.exists():
            raise RequestError(f"There is no teacher {teacher}. Name its model file.")
        with _opened_file(teacher, data) as classifier:
            return softmax(_logits(classifier, data, progress)), []
    stored = list(_of_run(manifest, runs))
    if not stored:
        why = f"the teacher of {manifest.name} is not in {runs}; name its file with --teacher"
        return None, [f"{why}, and it tells whether the student or the world has changed"]
    logits, shares = [], []
    for prepared in stored:
        with _opened_prepared(prepared, data) as classifier:
            logits.append(_logits(classifier, data, progress))
        shares.append(prepared.settings.share)
    return softmax(together(logits, shares)), []


def _of_run(manifest: Manifest, runs: Path) -> Iterator[Any]:
    """Yields the prepared teachers of the bundle's run where all of them are there and predict every example."""
    from tfkd.teachers import KINDS, PreparedTeacher, kind_of

    try:
        recipe = Recipe.model_validate(manifest.recipe)
    except ValidationError:
        return
    found = []
    for number, entry in enumerate(single(manifest.teachers)):
        settings = recipe.teachers[number]
        folder = RunFolder(runs / manifest.name).path / numbered("teacher", number) / entry.fingerprint
        kind = kind_of(settings, len(manifest.data.classes))
        file = folder / kind.file
        if not file.is_file() or KINDS[kind.name].classifier is None or settings.domain is not None:
            return
        found.append(PreparedTeacher(kind.name, file, settings, tuple(manifest.data.classes)))
    yield from found


@contextlib.contextmanager
def _opened_prepared(prepared: Any, data: "Dataset") -> Iterator["RawClassifier"]:
    from tfkd.teachers import KINDS

    classifier = KINDS[prepared.kind].classifier
    assert classifier is not None
    with classifier(prepared, data) as found:
        yield found


@contextlib.contextmanager
def _opened_file(file: Path, data: "Dataset") -> Iterator["RawClassifier"]:
    from tfkd.teachers import kind_of

    try:
        settings = Teacher(model=str(file), fine_tune=None)
    except ValidationError:
        raise RequestError(f"{file} is no teacher: name a .keras, .h5 or .onnx file, or a SavedModel folder.") from None
    with kind_of(settings, len(data.classes)).check(settings, data, 1, ()) as checked:
        if checked.classifier is None:
            raise RequestError(f"{file} does not predict the {len(data.classes)} classes of the bundle.")
        yield checked.classifier


def _logits(classifier: "RawClassifier", data: "Dataset", progress: Progress) -> np.ndarray:
    from tfkd.teachers import measuring

    return measuring.predicted(classifier.predict, data.test, classifier.signature, progress, "teacher predictions")


def _dataset(manifest: Manifest, split: "Split") -> "Dataset":
    """Returns the examples as the data that teachers are opened for."""
    from tfkd.data import Dataset

    return Dataset(
        source="the examples that came back",
        classes=tuple(manifest.data.classes),
        fingerprint="",
        labelled="",
        train=split,
        validation=split,
        test=split,
        unlabelled=None,
        rejected=(),
        for_evaluation=True,
    )
