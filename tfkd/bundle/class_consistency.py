"""What a manifest says of single classes must agree with its other numbers, and follow from its counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfkd.bundle.manifest import Manifest, single
from tfkd.labels import composed
from tfkd.verification.records import RecallChange, RecallChanges, Scores
from tfkd.verification.scores import from_counts

_WHOLE = 1e-3  # images


@dataclass(frozen=True)
class _StatedScores:
    """Scores and the accuracy of the same predictions; None where nothing states it."""

    name: str
    scores: Scores | None
    accuracy: float | None
    of_all_images: bool = True


def contradictions(manifest: Manifest) -> Iterator[str]:
    """Yields a sentence, without its full stop, for each contradiction; none for bundles of earlier versions."""
    stated = list(_stated(manifest))
    if _setting(manifest, "export", "thresholds") is None:
        if manifest.thresholds or any(each.scores for each in stated):
            yield "its recipe does not say whether thresholds are chosen (export.thresholds)"
        return
    for each in stated:
        if each.scores is None:
            if each.accuracy is not None:
                yield f"{each.name} are missing"
        else:
            yield from (f"{each.name}: {wrong}" for wrong in _wrong(each, each.scores, manifest))
    yield from _thresholds(manifest)
    yield from _with_thresholds(manifest)
    student = manifest.student
    compared = [("student", student.recall_changes, student.scores_with_thresholds or student.scores)]
    compared += [(each.path, each.recall_changes, each.shipped_scores) for each in manifest.artifacts]
    for name, changes, scores in compared:
        if scores is not None:
            yield from _changes(f"recall_changes of {name}", changes, scores, manifest)


def _setting(manifest: Manifest, block: str, field: str) -> Any:
    values = manifest.recipe.get(block)
    return values.get(field) if isinstance(values, dict) else None


def _stated(manifest: Manifest) -> Iterator[_StatedScores]:
    """Yields all scores of the most probable classes."""
    student, recipe = manifest.student, manifest.recipe.get("teachers") or []
    yield _StatedScores("student.scores", student.scores, student.accuracy)
    yield _StatedScores("student.control_scores", student.control_scores, student.control_accuracy)
    for artifact in manifest.artifacts:
        yield _StatedScores(f"scores of {artifact.path}", artifact.scores, artifact.accuracy)
    if len(manifest.teachers) > 1:
        yield _StatedScores(
            "scores of the teachers together", manifest.teachers[0].scores, manifest.teachers[0].accuracy
        )
    for teacher, settings in zip(single(manifest.teachers), recipe, strict=False):
        everything = teacher.domain is None and not (isinstance(settings, dict) and settings.get("classes"))
        accuracy = teacher.accuracy if everything else None
        yield _StatedScores(f"scores of the teacher {teacher.model}", teacher.scores, accuracy, everything)


def _wrong(stated: _StatedScores, scores: Scores, manifest: Manifest) -> Iterator[str]:
    counts = {name: (each.images, each.predicted, each.right) for name, each in scores.classes.items()}
    if list(counts) != manifest.data.classes:
        yield "they are of other classes than the data"
        return
    if any(right > min(images, predicted) for images, predicted, right in counts.values()):
        yield "more examples are right than there are"
        return
    images, predicted, right = (sum(column) for column in zip(*counts.values(), strict=True))
    if images != predicted or not images or (stated.of_all_images and images != manifest.images):
        yield f"they count {images:,} examples and {predicted:,} predictions, of {manifest.images:,} test examples"
        return
    if stated.accuracy is not None and abs(stated.accuracy * manifest.images - right) > _WHOLE:
        yield f"{right:,} examples are right, the accuracy is {stated.accuracy}"
    if scores != from_counts(counts):
        yield "a fraction or an interval does not follow from the counts"
    first = manifest.student.scores
    if stated.of_all_images and first and any(counts[name][0] != first.classes[name].images for name in counts):
        yield "they count other examples of a class than student.scores"


def _thresholds(manifest: Manifest) -> Iterator[str]:
    promised = _setting(manifest, "gates", "min_recall") or {}
    expected = {composed(str(name)): limit for name, limit in promised.items()}
    if not _setting(manifest, "export", "thresholds"):
        expected = {}
    stated = {composed(name): each.promise for name, each in manifest.thresholds.items()}
    if stated != expected:
        yield f"thresholds are stated for {stated}, its recipe promises {expected}"
    for name, each in manifest.thresholds.items():
        if (each.value is None) is not (each.recall is None) or (each.recall is None) is not (not each.images):
            yield f"the threshold of {name!r} is stated without its recall, or the other way round"
        elif each.recall is not None and abs(each.recall * each.images - round(each.recall * each.images)) > _WHOLE:
            yield f"the recall of the threshold of {name!r} is no whole number of {each.images:,} validation examples"


def _with_thresholds(manifest: Manifest) -> Iterator[str]:
    used = any(each.value is not None for each in manifest.thresholds.values())
    pairs = [("student", manifest.student.scores_with_thresholds, True)]
    pairs += [(each.path, each.scores_with_thresholds, each.scores is not None) for each in manifest.artifacts]
    for name, scores, is_run in pairs:
        if (scores is not None) is not (used and is_run):
            yield f"scores_with_thresholds of {name} are {'missing' if scores is None else 'stated without thresholds'}"
        elif scores is not None:
            stated = _StatedScores(name, scores, None)
            yield from (f"scores_with_thresholds of {name}: {wrong}" for wrong in _wrong(stated, scores, manifest))


def _changes(what: str, found: RecallChanges | None, scores: Scores, manifest: Manifest) -> Iterator[str]:
    """Compares the images that only the file or its reference predicts rightly with the scores of both."""
    student = manifest.student
    taught = manifest.teachers[0].scores if manifest.teachers and manifest.teachers[0].accuracy is not None else None
    name, reference = ("control", student.control_scores) if taught is None else ("teacher", taught)
    if (found is None) is not (reference is None) or (found is not None and found.reference != name):
        yield f"{what} have the reference {found and found.reference!r}, not {name!r}"
        return
    if found is None or reference is None or sum(each.images for each in reference.classes.values()) < manifest.images:
        return  # without a reference, or with a specialist, which was measured on the images of its classes
    if strangers := found.classes.keys() - scores.classes.keys():
        yield f"{what} name {min(strangers)!r}, which is no class"
        return
    for each, score in scores.classes.items():
        change = found.classes.get(each) or RecallChange(lost=0, gained=0)
        other = reference.classes.get(each)
        if other is None or change.gained > score.right or score.right - change.gained + change.lost != other.right:
            yield f"{what} contradict the examples of {each!r} that are right"
