"""Checks a recipe before a long run: what would fail, and what usually gives poor results."""

import functools
import importlib.metadata
import math
import re
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfkd import machine
from tfkd.data import Dataset
from tfkd.data.domains import require_domains, splits_of, within
from tfkd.errors import RequestError, TfkdError, counted, some
from tfkd.inputs import signature_of
from tfkd.models import STUDENTS, build_student, is_own
from tfkd.models.imports import import_modules
from tfkd.pipeline.causes.teacher_too_sure import ONE_HOT
from tfkd.pipeline.fold_runs import parts_of
from tfkd.pipeline.folders import RunFolder
from tfkd.pipeline.gains import expected_gain, setting_of
from tfkd.pipeline.imbalance import examine_balance
from tfkd.pipeline.promises import examine_promises
from tfkd.pipeline.rejections import require_validation
from tfkd.pipeline.resolving import resolve
from tfkd.pipeline.stages.checks import teacher_is_left_out
from tfkd.pipeline.trained_weights import FEW_IMAGES, trained_weights
from tfkd.quiet import native_logs_silenced
from tfkd.recipe import AUTO, FeatureLoss, LogitLoss, Recipe
from tfkd.teachers.network import UNITS
from tfkd.training.balance import require_known_classes
from tfkd.writers import card_of, check_installed

if TYPE_CHECKING:
    from tfkd.teachers import CheckedTeacher, RawClassifier
    from tfkd.verification.diagnosis import DiagnosisSubject
    from tfkd.verification.records import Diagnosis

FREE_BYTES = 2 * 1024**3
MAX_REPEATS = 5  # how often a student may see a view
EXPECTED_ACCURACY = 0.8  # assumed before anything is measured
FOLDS = 5  # as most cross-validations have
TOLD = 0.9  # accuracy whose interval shows what a test split can tell
NARROW = 0.02  # a smaller distance from TOLD is not worth a line
COARSE = 0.1  # smallest difference between two networks that a test split should resolve
BATCH = 64

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class DoctorFinding:
    """One result of the check; an error would stop the run, a warning would degrade it."""

    level: Level
    text: str


def examine(recipe: Recipe, data: Dataset, runs: Path) -> Iterator[DoctorFinding]:
    """Yields findings about the machine, the data, the models and the settings, in this order, each once."""
    earlier = set[DoctorFinding]()
    for finding in _findings(recipe, data, runs):
        if finding not in earlier:
            earlier.add(finding)
            yield finding


def _findings(recipe: Recipe, data: Dataset, runs: Path) -> Iterator[DoctorFinding]:
    yield from _machine(runs)
    yield from _packages(recipe)
    yield from _data(data)
    yield from _folds(recipe, data)
    try:
        require_domains(data.source, data.classes, recipe.teachers, splits_of(data))
        require_known_classes(recipe, data)
        require_validation(recipe.export, data)
    except RequestError as error:
        yield DoctorFinding("error", str(error))
    notes = list[str]()
    resolved = resolve(recipe, data, RunFolder(runs / recipe.name), notes.append)
    yield from (DoctorFinding("warning", note) for note in notes)
    yield from (DoctorFinding("ok", str(choice)) for choice in resolved.choices)
    yield from (DoctorFinding(*finding) for finding in examine_balance(resolved.recipe, data))
    yield from (DoctorFinding(*finding) for finding in examine_promises(resolved.recipe, data))
    yield DoctorFinding("ok", expected_gain(setting_of(resolved.recipe, data)))
    yield from _models(resolved.recipe, data, runs)
    was_tried = any(choice.field == "student.weights" and not choice.is_kept for choice in resolved.choices)
    yield from _settings(resolved.recipe, data, was_tried)


def _machine(runs: Path) -> Iterator[DoctorFinding]:
    yield DoctorFinding("ok", f"{machine.cores()} cores of {machine.processor()}")
    existing = next(folder for folder in (runs.absolute(), *runs.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    yield DoctorFinding("ok" if free > FREE_BYTES else "warning", f"{free / 1024**3:.1f} GiB free for {runs}")


def _packages(recipe: Recipe) -> Iterator[DoctorFinding]:
    for requirement in importlib.metadata.requires("tfkd") or []:
        name = re.split(r"[^A-Za-z0-9._-]", requirement)[0]
        if "extra ==" not in requirement and not _is_installed(name):
            yield DoctorFinding("error", f'the package {name} is not installed: pip install "{requirement}"')
    try:
        check_installed(recipe.export)
    except TfkdError as error:
        yield DoctorFinding("error", str(error))


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _data(data: Dataset) -> Iterator[DoctorFinding]:
    counts = np.bincount(data.train.labels, minlength=len(data.classes))
    yield DoctorFinding(
        "ok",
        f"{data.source}: {len(data.train):,} training examples of {len(data.classes)} classes ({data.named()}), "
        f"{counts.min():,} to {counts.max():,} per class",
    )
    if data.rejected:
        yield DoctorFinding("warning", f"{counted(len(data.rejected), 'file')} left out: {some(list(data.rejected))}")
    yield from (DoctorFinding("ok", note) for note in data.notes)
    yield from (DoctorFinding("warning", warning) for warning in data.warnings)


def _folds(recipe: Recipe, data: Dataset) -> Iterator[DoctorFinding]:
    """Yields whether the folds leave enough images to every training, and what the test images can show."""
    from tfkd.data.folds import held_out

    for numbers in parts_of(recipe):
        settings = recipe.data.model_copy(update={"held_out": list(numbers)})
        try:
            splits = held_out(data.source, data.classes, data.train, settings, recipe.seed)
            named = dict(zip(("training", "validation", "test"), splits, strict=True))
            without = " and ".join(str(number + 1) for number in numbers)
            require_domains(f"{data.source} without fold {without}", data.classes, recipe.teachers, named)
        except RequestError as error:
            yield DoctorFinding("error", str(error))
            break
    told = _told(len(data.test))
    text = f"{len(data.test):,} test examples tell an accuracy of {TOLD:.0%} from {told:.0%} at best"
    if data.is_pooled:
        text = f"{recipe.data.folds} folds: all {text.replace('test', 'labelled')}"
    elif (folds := _possible_folds(data)) >= 3:  # fewer leave nothing to a teacher without two folds
        labelled = sum(len(split) for split in (data.train, data.validation, data.test))
        text += f"; with data.folds={folds}, all {labelled:,} labelled examples tell it from {_told(labelled):.0%}"
    if TOLD - told >= NARROW:
        yield DoctorFinding("ok" if TOLD - told <= COARSE else "warning", text)


def _told(images: int) -> float:
    """Returns the lower end of the 95 % interval of an accuracy of TOLD on so many images."""
    from tfkd.verification.intervals import proportion

    return proportion(round(TOLD * images), images)[0]


def _possible_folds(data: Dataset) -> int:
    """Returns the usual number of folds, or what the rarest class, or its groups, allow."""
    counts = np.zeros(len(data.classes), np.int64)
    for split in (data.train, data.validation, data.test):
        units = np.arange(len(split)) if split.groups is None else split.groups
        for label, _ in {*zip(split.labels.tolist(), units.tolist(), strict=True)}:
            counts[label] += 1
    return min(FOLDS, int(counts.min()))


def _resolution(data: Dataset, expected: float) -> DoctorFinding:
    """Returns the resolution of the test split; differences are between two independent networks."""
    from tfkd.verification.truth import chance_test, significant

    images, labels = len(data.test), data.test.labels
    error = math.sqrt(expected * (1 - expected) / images)
    difference = 2 * math.sqrt(2) * error
    text = (
        f"{images:,} test examples: an accuracy of {expected:.0%} is known to ±{100 * error:.1f} points (one standard "
        f"error); two networks must differ by {100 * difference:.1f} points for a significant difference"
    )
    if not significant(chance_test(labels, labels).perfect_p_value):
        text += "; too few to judge better_than_chance"
    return DoctorFinding("ok" if difference <= COARSE else "warning", text)


def _models(recipe: Recipe, data: Dataset, runs: Path) -> Iterator[DoctorFinding]:
    with native_logs_silenced():
        import tensorflow as tf  # noqa: F401  (building models would load it with its messages)
    try:
        import_modules(recipe.imports)
    except TfkdError as error:
        yield DoctorFinding("error", str(error))
    names, seed, taps = data.classes, recipe.seed, recipe.distill.teacher_taps
    networks, is_measured = [], False
    for number in range(len(recipe.teachers)):
        checked = yield from _teacher(recipe, number, data, runs)
        is_measured |= checked is not None and checked.classifier is not None
        if checked is not None and checked.model is not None:
            networks.append(checked.model)
    if not is_measured:
        yield _resolution(data, EXPECTED_ACCURACY)
    own = [loss.student_tap for loss in recipe.distill.losses if isinstance(loss, FeatureLoss)]
    signature = data.reading.signature(recipe.data)
    for assistant in recipe.distill.assistants:
        build = functools.partial(build_student, assistant, signature, len(names), seed)
        yield from _built("assistant", build, [*own, *taps])
    build = functools.partial(build_student, recipe.student, signature, len(names), seed)
    student = yield from _built("student", build, own)
    if student is not None and ":" in recipe.student.model:
        yield from _converted(student, recipe.student.model, recipe, data, is_teacher=False)
    if student is not None and networks and recipe.distill.generations == 1:
        yield from _compared(student, networks)


def _teacher(
    recipe: Recipe, number: int, data: Dataset, runs: Path
) -> Generator[DoctorFinding, None, "CheckedTeacher | None"]:
    """Yields findings about a teacher; returns it as it is before its preparation, or None if it cannot be opened."""
    from tfkd.data.renderings import rendered
    from tfkd.teachers import kind_of

    teacher = recipe.teachers[number]
    try:
        kind = kind_of(teacher, len(data.classes))
        images = within(rendered(teacher.rendering, data), data, teacher.domain)
        if not len(images.train):  # its domain is refused
            return None
        with kind.check(teacher, images, recipe.seed, recipe.distill.teacher_taps) as checked:
            yield DoctorFinding("ok", checked.described)
            yield from (DoctorFinding("warning", text) for text in checked.warnings)
            if checked.classifier is None:
                yield DoctorFinding("ok", checked.plan)
            else:
                yield from _measured(recipe, number, checked.classifier, images, runs)
    except TfkdError as error:
        yield DoctorFinding("error", str(error))
        return None
    if checked.model is not None and is_own(teacher.model):
        yield from _converted(checked.model, teacher.model, recipe, data, is_teacher=True)
    elif kind.without_file:
        finding = _without_file(RequestError(kind.without_file), recipe)
        yield finding if finding.level == "error" else DoctorFinding("ok", finding.text)
    return checked


def _built(what: str, make: Callable[[], Any], taps: Sequence[str]) -> Generator[DoctorFinding, None, Any]:
    """Yields a finding about a network; returns the network, or None if it cannot be built."""
    from tfkd.distill.taps import tapped

    try:
        model = make()
        tapped(model, list(taps))
    except TfkdError as error:
        yield DoctorFinding("error", str(error))
        return None
    unit = UNITS[signature_of(model).kind]
    found = f"{model.count_params():,} parameters, input {model.input_shape[1]} {unit}"
    yield DoctorFinding("ok", f"{what} {model.name}: {found}")
    return model


def _converted(model: Any, name: str, recipe: Recipe, data: Dataset, is_teacher: bool) -> Iterator[DoctorFinding]:
    """Converts a network of the user's own: a run needs the student's file, but not a teacher's."""
    from tfkd.writers.tflite import check_convertible

    card = card_of(recipe.model_dump(mode="json"), data.classes, data.fingerprint)
    try:
        check_convertible(model, card, name)
    except RequestError as error:
        yield _without_file(error, recipe) if is_teacher else DoctorFinding("error", str(error))


def _without_file(error: RequestError, recipe: Recipe) -> DoctorFinding:
    try:
        return DoctorFinding("warning", teacher_is_left_out(error, recipe.gates))
    except RequestError as needed:
        return DoctorFinding("error", str(needed))


def _compared(student: Any, teachers: Sequence[Any]) -> Iterator[DoctorFinding]:
    """Compares the student with its teachers by their layers and connections, and by their sizes."""
    from tfkd.distill.taps import structure

    size, mine = student.count_params(), structure(student)
    for teacher in teachers:
        if structure(teacher) != mine:
            continue
        fraction = size / teacher.count_params()
        text = f"the student has the architecture of {teacher.name} ({len(mine)} layers), {fraction:.0%} of its weights"
        if fraction < 1:
            yield DoctorFinding("ok", text)
        else:
            yield DoctorFinding(
                "warning", f"{text}: a copy learns little; for self-distillation set distill.generations=2"
            )
            return
    if size >= max(teacher.count_params() for teacher in teachers):
        yield DoctorFinding("warning", "the student is not smaller than its teacher")


def _measured(
    recipe: Recipe, number: int, classifier: "RawClassifier", data: Dataset, runs: Path
) -> Iterator[DoctorFinding]:
    """Measures a teacher that is not fine-tuned on a few hundred images that it knows, in its rendering."""
    from tfkd.distill.measures import confidence, flatness
    from tfkd.training.temperature import temperature_for
    from tfkd.verification import diagnosis

    teacher = recipe.teachers[number]
    images, labels = diagnosis.probe_images(data, classifier.signature, recipe.seed, ("validation", "train"))
    batches = [images[start : start + BATCH].astype(np.float32) for start in range(0, len(images), BATCH)]
    logits = np.concatenate([classifier.predict(batch) for batch in batches])
    accuracy = float(np.mean(logits.argmax(axis=1) == labels))
    yield DoctorFinding("ok", f"{teacher.model} is used unchanged: accuracy {accuracy:.1%} on {len(labels)} examples")
    if not teacher.classes:
        proposed = RunFolder(runs / recipe.name).proposed_labels
        subject = diagnosis.subject_of(teacher, number, classifier, data, proposed)
        for found in _causes(subject, images, labels, logits):
            yield DoctorFinding("error" if recipe.gates.diagnosis else "warning", str(found))
    yield _resolution(data, min(max(accuracy, 1 / len(data.classes)), 1 - 1 / len(labels)))
    softened = diagnosis.temperatures(recipe.distill)
    for place, temperature in softened:
        if (flat := flatness(logits, temperature)) >= diagnosis.FLAT:
            yield DoctorFinding(
                "warning",
                f"distill.losses.{place}.temperature={temperature:g} flattens {teacher.model}: its soft labels have "
                f"{flat:.1%} of the entropy of a uniform guess; lower it",
            )
    if any(isinstance(loss, LogitLoss) and loss.temperature == AUTO for loss in recipe.distill.losses):
        chosen = temperature_for([logits], [1.0])
        yield DoctorFinding(
            "ok", f"temperature auto: {chosen:g} by the predictions of {teacher.model} on these examples"
        )
    sure = [confidence(logits, temperature) for _, temperature in softened]
    if sure and min(sure) >= ONE_HOT:
        yield DoctorFinding(
            "warning",
            f"{teacher.model} is so confident on these examples (mean softened probability {min(sure):.3f}) that its "
            "soft labels are one-hot: raise the temperature, or add data.unlabelled examples it was not trained on",
        )


def _causes(
    subject: "DiagnosisSubject", images: np.ndarray, labels: np.ndarray, logits: np.ndarray
) -> "list[Diagnosis]":
    from tfkd.verification import diagnosis

    if diagnosis.is_suspicious(labels, logits.argmax(axis=1)):
        return diagnosis.diagnose(subject, images, labels)
    return diagnosis.order_of_labels(subject, logits, labels)


def _steps(recipe: Recipe, steps: int, per_epoch: int) -> DoctorFinding:
    """Returns a finding about the number of training steps; too few hardly change the weights of a large student."""
    from tfkd.verification.diagnosis import FEW_STEPS, FEW_STEPS_OF_TRAINED

    student, is_fresh = recipe.student, recipe.student.is_random
    text = f"training: {steps:,} steps ({counted(recipe.distill.training.epochs, 'epoch')} of {per_epoch:,})"
    least = FEW_STEPS if is_fresh else FEW_STEPS_OF_TRAINED
    if student.model not in STUDENTS or steps >= least:
        return DoctorFinding("ok", text)
    start = "random" if is_fresh else "trained"
    return DoctorFinding(
        "warning",
        f"{text}; from {start} weights {student.model} needs about {least:,}: increase distill.training.epochs, or "
        "lower distill.training.batch_size",
    )


def _trained_weights(recipe: Recipe, was_tried: bool) -> str:
    found = trained_weights(recipe.student, recipe.teachers[0], was_tried)
    return ", or ".join(f"set {' '.join(each.overrides)} ({each.source})" for each in found)


def _settings(recipe: Recipe, data: Dataset, was_tried: bool) -> Iterator[DoctorFinding]:
    """Yields findings about the settings; `was_tried` says whether the initial weights were chosen just now."""
    distill, student = recipe.distill, recipe.student
    transfer = len(data.train) + len(data.unlabelled or ())
    if student.is_random and not student.is_tree and student.model in STUDENTS and transfer < FEW_IMAGES:
        yield DoctorFinding(
            "warning",
            f"{student.model} starts from random weights with {transfer:,} examples, which is usually too few; "
            f"{_trained_weights(recipe, was_tried)}, or add data.unlabelled",
        )
    if student.is_tree:
        yield DoctorFinding("ok", f"{student.model} is fitted at once to {distill.views * transfer:,} rows")
        yield from _control(recipe)
        return
    times = distill.training.epochs / distill.views
    if distill.targets == "view" and times > MAX_REPEATS:
        yield DoctorFinding(
            "warning",
            f"every stored view is shown {times:.0f} times: the student memorises the views, its control does not; "
            f"set distill.views={math.ceil(distill.training.epochs / MAX_REPEATS)} or "
            "distill.targets=image",
        )
    per_epoch = transfer // min(distill.training.batch_size, transfer)
    steps = distill.training.epochs * per_epoch
    yield _steps(recipe, steps, per_epoch)
    if recipe.data.kind == "image" and steps * (1 - student.batch_norm_momentum) < 5:
        yield DoctorFinding(
            "warning",
            f"student.batch_norm_momentum = {student.batch_norm_momentum} needs more than {steps} steps; lower it",
        )
    yield from _control(recipe)


def _control(recipe: Recipe) -> Iterator[DoctorFinding]:
    if not recipe.distill.control:
        yield DoctorFinding("warning", "without distill.control the effect of the teacher cannot be measured")
