"""Teachers that are Keras networks: named ones, model files, and what a function of the user's builds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from tfkd.data.dataset import Dataset
from tfkd.progress import Progress
from tfkd.recipe import Teacher
from tfkd.teachers.base import CheckedTeacher, PreparedTeacher, RawClassifier, StoreSource, TeacherKind, ViewSet
from tfkd.training.job import TeacherJob, TeacherResult

UNITS = {"image": "px", "text": "pieces", "table": "columns"}  # of the size of an input, by its kind


def load(teacher: PreparedTeacher) -> Any:
    """Returns the frozen keras.Model of a prepared network, with the BatchNorm statistics that it is to use."""
    from tfkd.training.teacher import load_teacher

    model = load_teacher(teacher.file)
    if teacher.settings is not None and teacher.settings.batch_norm == "batch":
        from tfkd.models.batch_statistics import with_batch_statistics

        return with_batch_statistics(model)
    return model


def _prepare(job: TeacherJob, data: Dataset, progress: Progress) -> TeacherResult:
    from tfkd.training.teacher import prepare_teacher

    return prepare_teacher(job.teacher, data, job.augment, job.seed, job.folder, progress, job.taps)


@contextmanager
def _source(teacher: PreparedTeacher, views: ViewSet) -> Iterator[StoreSource]:
    from tfkd.store import inference

    model = load(teacher)
    shapes = inference.feature_shapes(model, views.taps)
    predict = inference.view_predictor(
        model,
        views.taps,
        views.examples,
        views.augment,
        views.seed,
        len(teacher.classes),
        views.views,
        views.folder,
    )
    yield StoreSource(shapes, predict, str(predict.inference), asdict(predict.inference))


@contextmanager
def _classifier(teacher: PreparedTeacher, data: Dataset) -> Iterator[RawClassifier]:
    from tfkd.training.teacher import load_teacher

    is_trained = bool(teacher.settings and teacher.settings.fine_tune)
    yield _raw(load_teacher(teacher.file), data, is_trained)


def _raw(model: Any, data: Dataset, is_trained: bool) -> RawClassifier:
    from tfkd.distill.predict import predictor

    run = predictor(model)
    return RawClassifier(data.kind.signature_of(model), lambda raw: run(raw).numpy(), model, is_trained)


@contextmanager
def _check(teacher: Teacher, data: Dataset, seed: int, taps: Sequence[str]) -> Iterator[CheckedTeacher]:
    from tfkd.distill.taps import tapped
    from tfkd.models import build_teacher
    from tfkd.models.bert import padding
    from tfkd.models.token_ids import vocabulary_warnings

    model = build_teacher(teacher, len(data.classes), seed, data.classes, data.columns)
    tapped(model, list(taps))
    size = f"input {model.input_shape[1]} {UNITS[data.kind.name]}"
    described = f"teacher {model.name}: {model.count_params():,} parameters, {size}"
    if teacher.is_bert:
        described += padding(model)
    warnings = vocabulary_warnings(model, teacher.model)
    if teacher.fine_tune:
        plan = "will be fine-tuned" if teacher.fine_tune.epochs else "stays frozen, a head on it is trained"
        yield CheckedTeacher(described, None, f"{teacher.model} {plan}; the run measures its accuracy", model, warnings)
    else:
        yield CheckedTeacher(described, _raw(model, data, is_trained=False), "", model, warnings)


NETWORK = TeacherKind(
    name="network",
    file="teacher.keras",
    check=_check,
    prepare=_prepare,
    source=_source,
    classifier=_classifier,
    is_network=True,
)
