"""The report stage: completes the bundle with manifest, golden examples, model card and report."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkd.bundle import assembly, predictions
from tfkd.bundle.evidence import Evidence, EvidencePoint, Flip, Trained
from tfkd.bundle.golden import Golden
from tfkd.bundle.layout import MONITOR, TEACHER_LOCK
from tfkd.bundle.manifest import (
    ChoiceEntry,
    ComparisonRow,
    CompressionEntry,
    DomainEntry,
    Manifest,
    StudentEntry,
    TeacherEntry,
    TuningEntry,
)
from tfkd.bundle.rules import Rules, rules_of
from tfkd.bundle.teacher_lock import write_lock
from tfkd.distill.measures import accuracy, calibration_error, softmax
from tfkd.formats import TIMED
from tfkd.inputs.image.tensors import side_if_image
from tfkd.pipeline import costs, pages
from tfkd.pipeline.causes.finding import causes_of, missed
from tfkd.pipeline.contents import weights_beside
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import BUNDLE, CURVE, STUDENT_MODEL, TEST_LOGITS, of_seed, teacher_file_name
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.resolving import Choice
from tfkd.pipeline.sources import Sources, settings
from tfkd.pipeline.stages import plausible
from tfkd.pipeline.stages.assistant_labels import ASSISTANT_LABELS
from tfkd.pipeline.stages.bench import BENCH
from tfkd.pipeline.stages.compress import COMPRESS, shipped_folder
from tfkd.pipeline.stages.control import CONTROL
from tfkd.pipeline.stages.export import EXPORT, bundle_files, teacher_files, temperature_of
from tfkd.pipeline.stages.folds import FOLDS, pooled_logits
from tfkd.pipeline.stages.soft_labels import SOFT_LABELS
from tfkd.pipeline.stages.student import STUDENT, best_folder
from tfkd.pipeline.stages.student_figures import figures_of
from tfkd.pipeline.stages.suspects import Suspects, write_suspects
from tfkd.pipeline.stages.teacher import (
    TEACHER,
    ensemble_accuracy,
    ensemble_agreement,
    ensemble_logits,
    membership_on_test,
)
from tfkd.pipeline.stages.trainings import TrainingsResult
from tfkd.pipeline.stages.verify import VERIFY, control_logits
from tfkd.pipeline.teacher_locks import lock_of
from tfkd.pipeline.uses_of_test import uses_of_test
from tfkd.recipe.networks import chain
from tfkd.signature import Signature
from tfkd.verification import thresholds, wrong_classes
from tfkd.verification.flips import flipped_images, negative_flips
from tfkd.verification.gates import TAUGHT
from tfkd.verification.records import Artifact, Diagnosis, NegativeFlips, PairedTest
from tfkd.verification.scores import by_class, scores
from tfkd.verification.truth import paired_test
from tfkd.verification.wrong_classes import order_agreement
from tfkd.version import __version__

_OF_TEACHER = ("parameters", "image_size", "accuracy", "calibration_error")  # of its result, as the manifest has them


@dataclass(frozen=True)
class ReportResult:
    """A finished bundle.

    Attributes:
        bundle: its name in the folder of the stage.
        student: path of the Keras student behind it, before compressions, in the folder of the run.
    """

    bundle: str
    student: str


def manifest_of(context: RunContext, suspects: Suspects | None) -> Manifest:
    """Returns the manifest with the verdicts of the gates."""
    teachers, student = range(len(context.recipe.teachers)), _student(context)
    found = [each for number in teachers for each in plausible.diagnosis_of_teacher(context, number)]
    environments = {name: stage.other_environment() for name, stage in context.stages.items()}
    manifest = assembly.judged_manifest(
        context.recipe,
        context.shipped,
        teachers=_teachers(context),
        student=student,
        thresholds=context.result(EXPORT).thresholds,
        artifacts=context.result(VERIFY).artifacts,
        missing=context.result(EXPORT).missing,
        comparison=_comparison(context, student),
        bench=context.result(BENCH).entries,
        diagnosis=found,
        environments={name: other for name, other in environments.items() if other},
        choices=_choices(context.choices),
    )
    causes = [*found, *_why_the_student_failed(context, manifest)]
    further = {
        "diagnosis": causes,
        "rescue": context.rescue,
        "test_uses": uses_of_test(context.folder, context.data),
        "suspected_labels": suspects.entry if suspects else None,
        "cost": costs.cost_of(context, manifest.teacher_ms, REPORT.name),
    }
    return manifest.model_copy(update=further)


def evidence_of(context: RunContext, suspects: Suspects | None) -> Evidence:
    """Returns the content of the report that is not in the manifest."""
    networks: dict[Trained, np.ndarray | None] = {
        "teacher": ensemble_logits(context),
        "control": _control_logits(context),
        "student": _student_logits(context),
    }
    logits = {name: each for name, each in networks.items() if each is not None}
    data, recipe = context.shipped, context.recipe
    signature = data.reading.signature(recipe.data)
    shown = predictions.evidence("the Keras student", data, signature, recipe.seed, logits)
    flips, orders = _flips(context, signature), _wrong_class_orders(context)
    suspected = predictions.suspects(suspects.examples, data.classes, signature, suspects.found) if suspects else []
    more = {"flips": flips, "wrong_class_orders": orders, "suspects": suspected}
    return shown.model_copy(update={"curves": _curves(context), "rules": _rules(context, signature), **more})


def _rules(context: RunContext, signature: Signature) -> Rules | None:
    from tfkd.models.trees import trees_of
    from tfkd.training.saving import load_model

    if not context.recipe.student.is_tree:
        return None
    trees = trees_of(load_model(shipped_folder(context) / STUDENT_MODEL))
    return None if trees is None else rules_of(trees, signature.columns, context.data.classes)


def _flips(context: RunContext, signature: Signature) -> list[Flip]:
    teacher = ensemble_logits(context)
    if teacher is None:
        return []
    data, taught = context.shipped, softmax(teacher)
    of_student = flipped_images(data.test.labels, softmax(_student_logits(context)), taught)
    return predictions.flips(data, signature, taught, {STUDENT.name: of_student, **context.result(VERIFY).flipped})


def _wrong_class_orders(context: RunContext) -> dict[str, list[int]]:
    return {name: wrong_classes.histogram(each) for name, each in _rank_correlations(context).items()}


def _rank_correlations(context: RunContext) -> dict[str, np.ndarray]:
    """Returns those of student and control with the teacher, each float64 [n]; empty where it was not measured."""
    teacher, labels = ensemble_logits(context), context.data.test.labels
    networks = {"student": _student_logits(context), "control": _control_logits(context)}
    return {
        name: wrong_classes.rank_correlations(labels, logits, teacher)
        for name, logits in networks.items()
        if teacher is not None and logits is not None
    }


def _choices(choices: Iterable[Choice]) -> list[ChoiceEntry]:
    return [ChoiceEntry(field=each.field, value=each.answer.summary, why=each.answer.why) for each in choices]


def _teachers(context: RunContext) -> list[TeacherEntry]:
    """Returns the teachers; if there are several, the ensemble comes first."""
    reasons = context.result(EXPORT).teachers_not_exported
    entries = []
    for number, teacher in enumerate(context.recipe.teachers):
        name, result = TEACHER.numbered(number), context.result(TEACHER, number)
        entries.append(
            TeacherEntry(
                model=teacher.name,
                weights=teacher.weights,
                fingerprint=context.stages[name].fingerprint,
                **{field: getattr(result, field) for field in _OF_TEACHER},
                chance=plausible.chance_test_of(context, name),
                domain=_domain(context, number),
                scores=plausible.scores_of(context, name),
                tuning=result.tuning and TuningEntry(before=result.tuning.before, after=result.tuning.after),
                not_exported=reasons.get(teacher_file_name(number)),
            )
        )
    return assembly.with_ensemble(entries, ensemble_logits(context), context.data.test.labels, context.data.classes)


def _domain(context: RunContext, number: int) -> DomainEntry | None:
    pattern = context.recipe.teachers[number].domain
    if pattern is None:
        return None
    return DomainEntry(pattern=pattern, images=int(membership_on_test(context, number).sum()))


def _student(context: RunContext) -> StudentEntry:
    best, logits, control = context.result(STUDENT).best, _student_logits(context), _control_logits(context)
    seeds, accuracies, control_accuracies = _every_seed(context)
    labels, signature = context.data.test.labels, context.shipped.reading.signature(context.recipe.data)
    compressed = context.result(COMPRESS).compressions if context.recipe.compress else ()
    classes = len(context.data.classes)
    orders = {name: order_agreement(each, classes) for name, each in _rank_correlations(context).items()}
    return StudentEntry(
        model=context.recipe.student.model,
        parameters=best.parameters,
        image_size=side_if_image(signature),
        signature=signature,
        accuracy=accuracy(logits, labels),
        control_accuracy=None if control is None else accuracy(control, labels),
        accuracies=accuracies,
        control_accuracies=control_accuracies,
        seeds=seeds,
        exported_seed=best.seed,
        folds=assembly.folds_entry(context.recipe.data.folds, logits, labels) if context.data.is_pooled else None,
        agreement_with_teacher=ensemble_agreement(context, logits.argmax(axis=1)),
        negative_flips=_negative_flips(context),
        wrong_classes=orders.get("student"),
        control_wrong_classes=orders.get("control"),
        against_control=_paired(context),
        **_by_class(context, logits),
        calibration_error=calibration_error(logits, labels),
        output_temperature=context.result(EXPORT).temperature,
        temperature=best.temperature,
        compressions=[CompressionEntry(**asdict(each)) for each in compressed],
        seconds_training=_seconds_of_student(context),
        teacher_seconds=_seconds_of_teachers(context) + _seconds_of_stores(context),
    )


def _every_seed(context: RunContext) -> tuple[list[int], list[float], list[float]]:
    """Returns the seeds, and the test accuracies of student and control of each; no accuracy of a control not run."""
    if context.data.is_pooled:
        folds = context.result(FOLDS)
        return list(folds.seeds), list(folds.accuracies), list(folds.control_accuracies)
    students, controls = context.result(STUDENT), context.result(CONTROL)
    return students.seeds, students.accuracies, controls.accuracies


def _by_class(context: RunContext, logits: np.ndarray) -> dict[str, Any]:
    """Returns what the manifest says of the exported network and of its control by class."""
    labels, classes = context.data.test.labels, context.data.classes
    limits = thresholds.values(context.result(EXPORT).thresholds, classes)
    taught, control = (
        None if each is None else each.argmax(axis=1) for each in (ensemble_logits(context), _control_logits(context))
    )
    probabilities = softmax(logits).astype(np.float32)
    return {
        **by_class(labels, logits.argmax(axis=1), probabilities, limits, classes, taught, control),
        "control_scores": None if control is None else scores(labels, control, classes),
    }


def _seconds_of_student(context: RunContext) -> float:
    """Returns the training time of the exported network, including compressions."""
    compressed = context.result(COMPRESS).compressions if context.recipe.compress else ()
    return float(context.result(STUDENT).best.seconds + sum(each.seconds for each in compressed))


def _seconds_of_teachers(context: RunContext) -> float:
    return sum(context.result(TEACHER, number).seconds for number in range(len(context.recipe.teachers)))


def _seconds_of_stores(context: RunContext) -> float:
    recipe = context.recipe
    stores = [context.result(SOFT_LABELS, number) for number in range(len(recipe.teachers))]
    stores += [context.result(ASSISTANT_LABELS, number) for number in range(len(chain(recipe)))]
    return sum(store.seconds for store in stores)


def _student_logits(context: RunContext) -> np.ndarray:
    """Returns the logits on the test split, float32 [n, classes], that the exported files give; of folds the pooled."""
    if context.data.is_pooled:
        return pooled_logits(context, "student", context.result(FOLDS).best_seed)
    logits: np.ndarray = np.load(shipped_folder(context) / TEST_LOGITS, allow_pickle=False)
    return logits / np.float32(temperature_of(context))


def _control_logits(context: RunContext) -> np.ndarray | None:
    """Returns the logits of the control with the same seed; None without a control."""
    if context.data.is_pooled:
        folds = context.result(FOLDS)
        return pooled_logits(context, "control", folds.best_seed) if folds.control_accuracies else None
    logits: np.ndarray | None = control_logits(context)
    return logits


def _paired(context: RunContext) -> PairedTest | None:
    """Tests the exported network against the control with the same seed; None without a control."""
    student, control = _student_logits(context), _control_logits(context)
    if control is None:
        return None
    return paired_test(context.data.test.labels, student.argmax(axis=1), control.argmax(axis=1))


def _negative_flips(context: RunContext) -> NegativeFlips | None:
    """Counts those of the exported network against the teacher; None where the teacher was not measured."""
    teacher = ensemble_logits(context)
    if teacher is None:
        return None
    return negative_flips(context.data.test.labels, _student_logits(context), teacher, context.data.classes)


def _comparison(context: RunContext, student: StudentEntry) -> list[ComparisonRow]:
    """Returns the rows of the teachers' fp32 files, with Keras accuracy, and of the student's files."""
    bench = context.result(BENCH).entries
    teacher = ensemble_accuracy(context)

    def student_row(artifact: Artifact) -> ComparisonRow:
        measured, agreement = artifact.accuracy, artifact.agreement
        if measured is None:  # of all images in folds, see `tfkd.pipeline.stages.verify`
            measured, agreement = student.accuracy, student.agreement_with_teacher
        files = {artifact.path: bundle_files(context) / artifact.path}
        variant, seconds = f"student {artifact.precision}", _seconds_of_student(context)
        return assembly.comparison_row(variant, files, bench, measured, teacher, agreement, seconds)

    rows = []
    if (files := teacher_files(context)) and teacher is not None:
        seconds = _seconds_of_teachers(context)
        beside = [path for file in files.values() for path in weights_beside(file)]
        rows.append(assembly.comparison_row(TAUGHT, files, bench, teacher, teacher, seconds=seconds, beside=beside))
    rows += [
        student_row(artifact)
        for artifact in context.result(VERIFY).artifacts
        if artifact.format in TIMED and not artifact.not_verified
    ]
    return rows


def _why_the_student_failed(context: RunContext, manifest: Manifest) -> list[Diagnosis]:
    """Looks for causes when the student itself misses a gate on accuracy or classes."""
    failed = [gate.name for gate in missed(manifest)]
    return causes_of(figures_of(context, failed)) if failed else []


def _golden(context: RunContext, bundle: Path) -> Golden:
    from tfkd.distill.predict import predictor
    from tfkd.training.saving import load_model

    run, temperature = predictor(load_model(shipped_folder(context) / STUDENT_MODEL)), temperature_of(context)

    def predict(images: np.ndarray) -> np.ndarray:
        return softmax(run(images).numpy() / temperature).astype(np.float32)

    recipe, artifacts = context.recipe, context.result(VERIFY).artifacts
    data, count = context.shipped, recipe.export.golden_images
    signature = data.reading.signature(recipe.data)
    return assembly.golden_examples(bundle, artifacts, data, signature, count, recipe.seed, predict)


def _curves(context: RunContext) -> dict[Trained, dict[int, list[EvidencePoint]]]:
    curves: dict[Trained, dict[int, list[EvidencePoint]]] = {}
    if context.data.is_pooled:
        return curves  # of images that the network has seen
    kinds: dict[Trained, StageKind[TrainingsResult]] = {"control": CONTROL, "student": STUDENT}
    for trained, kind in {} if context.recipe.student.is_tree else kinds.items():
        for seed in context.result(kind).seeds:
            curves.setdefault(trained, {})[seed] = _curve(of_seed(context.folder_of(kind), seed))
    if teacher := _curve(context.folder_of(TEACHER)):
        curves["teacher"] = {context.recipe.seed: teacher}
    return curves


def _curve(folder: Path) -> list[EvidencePoint]:
    path = folder / CURVE
    points = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return [EvidencePoint.model_validate(point) for point in points]


def _inputs(sources: Sources, number: int) -> Inputs:
    versions = {"version of tfkd": __version__, "version of the diagnosis": plausible.VERSION}
    before = (FOLDS if sources.recipe.data.is_pooled else CONTROL).name, VERIFY.name, BENCH.name
    prices = settings("cost", sources.recipe.cost.model_dump(mode="json"))  # which are in no other fingerprint
    return Inputs({**settings("", sources.recipe_json), **prices, **versions}, before)


def _work(context: RunContext, number: int) -> ReportResult:
    context.start_tensorflow()
    bundle = context.folder_of(REPORT) / BUNDLE
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(bundle_files(context), bundle)
    if (monitor := context.folder_of(VERIFY) / MONITOR).is_dir():
        shutil.copytree(monitor, bundle / MONITOR)
    suspects = write_suspects(context)
    manifest, evidence = manifest_of(context, suspects), evidence_of(context, suspects)
    write_lock(lock_of(context), bundle / TEACHER_LOCK)
    pages.complete(bundle, manifest, _golden(context, bundle), evidence)
    student = best_folder(context) / STUDENT_MODEL
    return ReportResult(BUNDLE, student.relative_to(context.folder.path).as_posix())


REPORT = StageKind(name="report", version=36, result=ReportResult, inputs=_inputs, work=_work)
