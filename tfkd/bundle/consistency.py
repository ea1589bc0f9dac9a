"""What a manifest says in several places, or what follows from its other numbers, must agree.

Whoever changes one number of a bundle and seals it again has to change every number that depends on it. No file is
opened here.
"""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from tfkd.bundle import class_consistency, costs, paired, rejection_consistency
from tfkd.bundle.layout import MANIFEST
from tfkd.bundle.manifest import ComparisonRow, Manifest, TeacherEntry, latency, peak_memory, single, total
from tfkd.bundle.verdicts import has_gate
from tfkd.errors import first_fault
from tfkd.formats import TIMED
from tfkd.inputs.image.tensors import signature
from tfkd.recipe import Export
from tfkd.recipe.names import numbered
from tfkd.verification import VerifyError
from tfkd.verification.gates import BETTER_THAN_CHANCE, TAUGHT
from tfkd.verification.intervals import proportion
from tfkd.verification.records import Artifact, ChanceTest
from tfkd.verification.truth import significant
from tfkd.writers import exported_files
from tfkd.writers.records import MissingFile

_ROUNDING = 1e-6  # of float32 sums
_WHOLE = 1e-3  # images
_LEAST_P_VALUE = 1e-4  # of drawn permutations
_OF_UNSEEN_IMAGES = (
    *("accuracy", "chance", "agreement", "scores", "scores_with_thresholds", "recall_changes"),
    *("calibration_error", "rejection"),
)


def contradictions(manifest: Manifest) -> Iterator[str]:
    """Yields a sentence, without its full stop, for each contradiction.

    Raises:
        VerifyError: the recipe does not say which files were to be made.
    """
    yield from _recipe(manifest)
    yield from _input(manifest)
    yield from _files(manifest)
    yield from _fractions(manifest)
    yield from _trainings(manifest) if manifest.teachers else _untrained(manifest)
    yield from _teachers(manifest)
    yield from _folds(manifest)
    yield from _suspects(manifest)
    yield from _cost(manifest)
    yield from paired.contradictions(manifest)
    yield from _chance(manifest)
    yield from class_consistency.contradictions(manifest)
    yield from rejection_consistency.contradictions(manifest)
    for artifact in manifest.artifacts:
        yield from _measured(artifact, manifest)
    yield from _comparison(manifest)
    yield from _bench(manifest)


def variant(manifest: Manifest, artifact: Artifact) -> str:
    """Returns the name of a file's row in the comparison."""
    return f"student {artifact.precision}" if manifest.teachers else artifact.precision


def _recipe(manifest: Manifest) -> Iterator[str]:
    """Yields where the manifest says something else than its recipe."""
    student, recipe = manifest.student, manifest.recipe
    pairs: list[tuple[str, Any, Any]] = [
        ("name", manifest.name, recipe.get("name")),
        ("seed", manifest.seed, recipe.get("seed")),
    ]
    if manifest.teachers:
        pairs += [
            ("data.source", manifest.data.source, _part(recipe, "data", "source")),
            ("student.model", student.model, _part(recipe, "student", "model")),
            ("the kind of input", manifest.signature.kind, _part(recipe, "data", "kind") or "image"),
            *_size(manifest),
            ("teachers", _stated_teachers(manifest), _teachers_in(recipe)),
        ]
    else:
        pairs += [
            ("data.source", manifest.data.source, recipe.get("data")),
            ("student.model", student.model, PurePosixPath(str(recipe.get("model"))).name),
        ]
    for name, stated, asked_for in pairs:
        if stated != asked_for:
            yield f"{name} is {stated!r}, its recipe has {asked_for!r}"


def _teachers_in(recipe: dict[str, Any]) -> list[tuple[Any, ...]]:
    taught = _part(recipe, "teachers")
    if not isinstance(taught, list):
        return []
    return [
        _named(_part(each, "predictions") or _part(each, "model"), _part(each, "weights"), _part(each, "domain"))
        for each in taught
    ]


def _stated_teachers(manifest: Manifest) -> list[tuple[Any, ...]]:
    teachers = single(manifest.teachers)
    return [_named(each.model, each.weights, each.domain and each.domain.pattern) for each in teachers]


def _named(model: Any, weights: Any, domain: Any) -> tuple[Any, ...]:
    return (model, weights) if domain is None else (model, weights, domain)


def _size(manifest: Manifest) -> list[tuple[str, Any, Any]]:
    """Returns the name of the input's size, what the manifest states and what its recipe has; nothing for tables."""
    side = manifest.student.image_size
    if manifest.signature.kind == "table":
        return []
    if side is None:
        length = manifest.signature.single.shape[0]
        return [("the length of student.signature", length, _part(manifest.recipe, "data", "tokens"))]
    return [("student.image_size", side, _part(manifest.recipe, "data", "image_size"))]


def _input(manifest: Manifest) -> Iterator[str]:
    stated, side = manifest.signature, manifest.student.image_size
    if side is None:
        if stated.kind == "image":
            yield "student.image_size is not stated"
    elif stated != signature(side):
        yield f"student.signature is {stated}, not {signature(side)}"


def _part(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _files(manifest: Manifest) -> Iterator[str]:
    """Yields the files that the recipe does not request, and the requested ones that are not listed."""
    try:
        export = Export.model_validate(manifest.recipe.get("export"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("recipe", "export", *first["loc"])))
        raise VerifyError(f"{MANIFEST}: {place}: {first['msg']}.") from None
    in_recipe = {file.path: file for file in exported_files(export, manifest.name)}
    listed: list[Artifact | MissingFile] = [*manifest.artifacts, *manifest.missing]
    for path, times in Counter(each.path for each in listed).items():
        if times > 1:
            yield f"{path} is listed {times} times"
    for path in sorted(in_recipe.keys() - {each.path for each in listed}):
        yield f"{path} is not listed, which its recipe requests"
    for each in listed:
        file = in_recipe.get(each.path)
        if file is None:
            yield f"{each.path} is listed, which its recipe does not request"
        elif (each.format, each.precision) != (file.format, file.precision):
            yield f"{each.path} is said to be {each.format} {each.precision}, not {file.format} {file.precision}"
    for lost in manifest.missing:
        if lost.path in in_recipe and lost.required is not (in_recipe[lost.path].form in export.require):
            yield f"{lost.path} is required by its recipe or as a missing file, not as both"


def _fractions(manifest: Manifest) -> Iterator[str]:
    """Yields the fractions of the test images that are no whole number of images."""
    student, images = manifest.student, manifest.images
    fractions = [("student.accuracy", student.accuracy), ("student.control_accuracy", student.control_accuracy)]
    fractions += [("student.agreement_with_teacher", student.agreement_with_teacher)]
    fractions += [("student.accuracies", each) for each in student.accuracies]
    fractions += [("student.control_accuracies", each) for each in student.control_accuracies]
    fractions += [(f"the accuracy after {each.kind}", each.accuracy) for each in student.compressions]
    for artifact in manifest.artifacts:
        for field in ("accuracy", "agreement", "top1_vs_keras"):
            fractions.append((f"{field} of {artifact.path}", getattr(artifact, field)))
    counts = [(name, fraction, images) for name, fraction in fractions]
    counts += [
        (f"the accuracy of the teacher {each.model}", each.accuracy, each.domain.images if each.domain else images)
        for each in manifest.teachers
    ]
    for name, fraction, number in counts:
        if fraction is not None and abs(fraction * number - round(fraction * number)) > _WHOLE:
            yield f"{name} is {fraction}, which is no whole number of {number:,} test examples"


def _untrained(manifest: Manifest) -> Iterator[str]:
    """Yields training fields that are stated of a model trained outside tfkd."""
    student = manifest.student
    if student.accuracies != [student.accuracy]:
        yield f"student.accuracies are {student.accuracies}, its accuracy is {student.accuracy}"
    for name in ("control_accuracies", "seeds", "compressions"):
        if getattr(student, name):
            yield f"student.{name} is stated without a teacher"
    for name in (
        "control_accuracy",
        "exported_seed",
        "agreement_with_teacher",
        "negative_flips",
        "wrong_classes",
        "control_wrong_classes",
        "against_control",
        "seconds_training",
        "teacher_seconds",
    ):
        if getattr(student, name) is not None:
            yield f"student.{name} is stated without a teacher"


def _trainings(manifest: Manifest) -> Iterator[str]:
    """Yields contradictions among the students of several seeds and their controls."""
    student, recipe = manifest.student, manifest.recipe
    repeats = _part(recipe, "distill", "repeats")
    seeds = [manifest.seed + number for number in range(len(student.seeds))]
    if student.seeds != seeds or len(student.seeds) != repeats:
        yield f"student.seeds are {student.seeds}; its recipe has {repeats} repeats from the seed {manifest.seed}"
    kinds = [_part(each, "kind") for each in recipe.get("compress") or []]
    if [each.kind for each in student.compressions] != kinds:
        yield f"student.compressions are {[each.kind for each in student.compressions]}, its recipe has {kinds}"
    for name, accuracies, of_exported_seed, expected in (
        ("accuracies", student.accuracies, None if student.compressions else student.accuracy, True),
        (
            "control_accuracies",
            student.control_accuracies,
            student.control_accuracy,
            _part(recipe, "distill", "control"),
        ),
    ):
        if len(accuracies) != (len(student.seeds) if expected else 0):
            yield f"student.{name} are {len(accuracies)}, its seeds {len(student.seeds)}"
        elif student.exported_seed not in student.seeds:
            yield f"student.exported_seed is {student.exported_seed}, which is none of its seeds"
        elif (
            of_exported_seed is not None
            and [of_exported_seed] != accuracies[student.seeds.index(student.exported_seed) :][:1]
        ):
            yield f"student.{name} are {accuracies}, that of the exported seed is {of_exported_seed}"
    if (student.control_accuracy is None) is not (not student.control_accuracies):
        yield f"student.control_accuracy is {student.control_accuracy}, control_accuracies {student.control_accuracies}"
    if (student.agreement_with_teacher is None) is not (manifest.teachers[0].accuracy is None):
        yield "student.agreement_with_teacher and the accuracy of the teacher are not both measured"


def _teachers(manifest: Manifest) -> Iterator[str]:
    if not manifest.teachers:
        return
    first, student = manifest.teachers[0], manifest.student
    if len(manifest.teachers) > 1:
        yield from _together(first, manifest.teachers[1:])
    agreement = student.agreement_with_teacher
    if agreement is None or first.accuracy is None:
        return
    if abs(student.accuracy - first.accuracy) > 1 - agreement + _ROUNDING:
        yield (
            f"the accuracies {student.accuracy} and {first.accuracy} of student and teacher are further apart than "
            f"their agreement {agreement} allows"
        )


def _together(first: TeacherEntry, teachers: list[TeacherEntry]) -> Iterator[str]:
    if first.parameters != total([each.parameters for each in teachers]):
        yield "the teachers together have another number of parameters than one by one"
    if first.model != " + ".join(each.model for each in teachers):
        yield f"the teachers together are called {first.model!r}"


def _folds(manifest: Manifest) -> Iterator[str]:
    """Yields what is said of folds otherwise than the recipe and the accuracy say."""
    data, entry, student = manifest.recipe.get("data"), manifest.student.folds, manifest.student
    in_recipe = None if _part(data, "held_out") else _part(data, "folds")
    if manifest.folds != in_recipe:
        yield f"student.folds are {manifest.folds}, its recipe has {in_recipe}"
    if entry is None:
        return
    splits = {name: manifest.data.splits.get(name) for name in ("train", "validation", "test")}
    if splits != {"train": manifest.images, "validation": 0, "test": manifest.images}:
        yield f"the splits are {splits}, though all examples are in a fold and trained the student"
    expected = proportion(round(student.accuracy * manifest.images), manifest.images)
    if not all(map(_close, entry.interval, expected)):
        yield f"the interval of the accuracy {student.accuracy} is {entry.interval}; its counts give {expected}"
    yield from (f"{wrong} of the student" for wrong in _impossible(student.accuracy, entry.chance, manifest))


def _suspects(manifest: Manifest) -> Iterator[str]:
    """Yields where more labels were judged than there are."""
    entry = manifest.suspected_labels
    if entry is None:
        return
    if ("folds" in entry.parts) is not (manifest.folds is not None):
        yield f"suspected_labels judges {', '.join(entry.parts)}, student.folds are {manifest.folds}"
    splits = manifest.data.splits
    images = sum(manifest.images if part == "folds" else splits.get(part, 0) for part in entry.parts)
    if entry.examples > images:
        yield f"suspected_labels judges {entry.examples} examples of {images}"


def _cost(manifest: Manifest) -> Iterator[str]:
    """Yields what does not follow from the times in the account of the run and its prices."""
    if manifest.cost is None:
        return
    if not manifest.teachers:
        yield "cost is stated without a run"
        return
    try:
        yield from costs.contradictions(manifest.cost, manifest.recipe, manifest.teacher_ms)
    except ValidationError as error:
        yield f"recipe.cost: {first_fault(error)}"


def _chance(manifest: Manifest) -> Iterator[str]:
    """Yields contradictions among the tests of predictions against chance, which are all on the same images."""
    tests = [(each.path, each.accuracy, each.chance) for each in manifest.artifacts]
    specialists = [_part(each, "classes") for each in manifest.recipe.get("teachers") or []]
    tests += [
        (f"the teacher {each.model}", each.accuracy, each.chance)
        for each, classes in zip(single(manifest.teachers), specialists, strict=False)
        if not classes and each.domain is None
    ]
    found = [(name, accuracy, test) for name, accuracy, test in tests if accuracy is not None and test is not None]
    for name, accuracy, test in found:
        yield from (f"{wrong} of {name}" for wrong in _impossible(accuracy, test, manifest))
        first = found[0][2]
        if (test.chance_level, test.perfect_p_value) != (first.chance_level, first.perfect_p_value):
            yield f"{name} and {found[0][0]} were tested against chance on other examples"


def _impossible(accuracy: float, test: ChanceTest, manifest: Manifest) -> Iterator[str]:
    classes = round(1 / test.chance_level)
    if not _close(1 / classes, test.chance_level) or classes > min(len(manifest.data.classes), manifest.images):
        yield f"{test.chance_level} is no level of chance"
    for extreme in (0.0, 1.0):
        if (accuracy == extreme) is not _close(test.balanced_accuracy, extreme):
            yield f"the accuracy {accuracy} contradicts the balanced accuracy {test.balanced_accuracy}"
    if significant(test.p_value) and test.balanced_accuracy <= test.chance_level:
        yield f"p = {test.p_value:.2g} contradicts the balanced accuracy {test.balanced_accuracy}"
    if test.p_value < min(test.perfect_p_value, _LEAST_P_VALUE) * (1 - _ROUNDING):
        yield f"p = {test.p_value:.2g} is less than the test split allows"


def _measured(artifact: Artifact, manifest: Manifest) -> Iterator[str]:
    """Yields contradictions among what was measured of a file on the test images."""
    path, student = artifact.path, manifest.student
    of_truth = {} if manifest.folds else {"accuracy": artifact.accuracy}
    needed = {**of_truth, **{name: getattr(artifact, name) for name in ("max_abs_error", "top1_vs_keras")}}
    if has_gate(manifest, BETTER_THAN_CHANCE):
        needed["mean_total_variation"] = artifact.mean_total_variation
    if has_gate(manifest, BETTER_THAN_CHANCE) and not manifest.folds:
        needed["chance"] = artifact.chance
    if manifest.teachers and manifest.teachers[0].accuracy is not None and not manifest.folds:
        needed["agreement"] = artifact.agreement
    for name, value in needed.items():
        if (value is None) is not bool(artifact.not_verified):
            yield f"{name} of {path} is {'missing' if value is None else 'stated although it was not run'}"
    for name in _OF_UNSEEN_IMAGES if manifest.folds else ():
        if getattr(artifact, name) is not None:
            yield f"{name} of {path} is stated although the examples of its folds trained it"
    same, error, moved = artifact.top1_vs_keras, artifact.max_abs_error, artifact.mean_total_variation
    if same is None or error is None:
        return
    for name, value, of_student in (
        ("accuracy", artifact.accuracy, student.accuracy),
        ("agreement", artifact.agreement, student.agreement_with_teacher),
    ):
        if value is not None and of_student is not None and abs(value - of_student) > 1 - same + _ROUNDING:
            yield f"{name} of {path} is {value}, of the student {of_student}, though {same} of their classes are equal"
    if error == 0 and same < 1:
        yield f"{path} is said to predict the Keras student's probabilities, but other classes"
    most, least = error * len(manifest.data.classes) / 2, error / (2 * manifest.images)
    if moved is not None and not least - _ROUNDING <= moved <= most + _ROUNDING:
        yield f"mean_total_variation of {path} is {moved}, which its max_abs_error {error} does not allow"


def _comparison(manifest: Manifest) -> Iterator[str]:
    """Yields where a row of the comparison contradicts other parts of the manifest."""
    rows = {row.variant: row for row in manifest.comparison}
    files = {variant(manifest, each): each for each in manifest.artifacts if each.format in TIMED}
    files = {name: each for name, each in files.items() if not each.not_verified}
    taught = manifest.teachers[0] if manifest.teachers else None
    expected = [*([TAUGHT] if taught and taught.not_exported is None else []), *files]
    if sorted(row.variant for row in manifest.comparison) != sorted(expected):
        yield f"the comparison has the rows {', '.join(rows) or 'none'}, the files are {', '.join(expected) or 'none'}"
        return
    reference = taught.accuracy if taught else manifest.student.accuracy
    for name, row in rows.items():
        file = files.get(name)
        yield from _row(row, [file.path] if file else _teacher_files(manifest), manifest)
        drop = None if reference is None else reference - row.accuracy
        if ((drop is None or row.drop is None) and drop is not row.drop) or not _close(row.drop or 0.0, drop or 0.0):
            yield f"the drop of {name} is {row.drop}; the accuracies give {drop}"
        if file is None:
            if row.accuracy != reference:
                yield f"the accuracy of {name} is {row.accuracy}, of the teacher {reference}"
            continue
        for field, stated in _stated(file, manifest).items():
            if getattr(row, field) != stated:
                yield f"{field} of {name} is {getattr(row, field)}, of {file.path} {stated}"
        if row.seconds != manifest.student.seconds_training:
            yield f"the seconds of {name} are {row.seconds}, of the student {manifest.student.seconds_training}"


def _stated(file: Artifact, manifest: Manifest) -> dict[str, Any]:
    """Returns what the row of a file must have; accuracies of folds are the student's."""
    student = manifest.student
    accuracy, agreement = file.accuracy, file.agreement
    if manifest.folds:
        accuracy, agreement = student.accuracy, student.agreement_with_teacher
    return {"bytes": file.bytes, "accuracy": accuracy, "agreement": agreement}


def _row(row: ComparisonRow, files: list[str], manifest: Manifest) -> Iterator[str]:
    for stated, single_thread in ((row.latency_ms, True), (row.latency_all_ms, False)):
        timed = latency(manifest.bench, files, single_thread)
        if (stated is None) is not (timed is None) or (stated and timed and not _close(stated, timed)):
            yield f"the latency of {row.variant} is {stated} ms, its measurements give {timed} ms"
    stated, measured = row.peak_memory_mb, peak_memory(manifest.bench, files)
    # Earlier bundles state none.
    if stated is not None and (measured is None or not _close(stated, measured)):
        yield f"the peak memory of {row.variant} is {stated} MB, its measurements give {measured} MB"


def _teacher_files(manifest: Manifest) -> list[str]:
    return [numbered("teacher_fp32", number) for number in range(len(single(manifest.teachers)))]


def _bench(manifest: Manifest) -> Iterator[str]:
    known = {each.path for each in manifest.artifacts if each.format in TIMED} | set(_teacher_files(manifest))
    for entry in manifest.bench:
        if entry.artifact not in known:
            yield f"the latency of {entry.artifact} is stated, which is none of the files"
    for (name, threads), times in Counter((entry.artifact, entry.threads) for entry in manifest.bench).items():
        if times > 1:
            yield f"the latency of {name} with {threads} threads is stated {times} times"


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
