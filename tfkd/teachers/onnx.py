"""Teachers that are ONNX files: as they are, under a head that is trained here, or beside class embeddings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tfkd.data.dataset import Dataset
from tfkd.errors import RequestError
from tfkd.files import read_sealed, write_sealed
from tfkd.inputs.image import normalization
from tfkd.models.onnx_file import OnnxFile
from tfkd.progress import Progress, Silent
from tfkd.recipe import Teacher
from tfkd.store.layout import LOGITS, TeacherOutputs
from tfkd.teachers.base import CheckedTeacher, PreparedTeacher, RawClassifier, StoreSource, TeacherKind, ViewSet
from tfkd.teachers.ends import LinearHead, LogitMap, class_embeddings, fits_classes, own_outputs
from tfkd.training.job import TeacherJob, TeacherResult

EndName = Literal["outputs", "head", "embeddings"]
HEAD = "head.npz"


@dataclass(frozen=True)
class _Record:
    """What a preparation decided.

    Attributes:
        end: how rows become logits.
        output: the tensor that gives the rows; None for the file's only output.
        probabilities: whether the file's own outputs are probabilities.
    """

    end: EndName
    output: str | None
    probabilities: bool = False


@contextmanager
def _opened(teacher: Teacher, classes: Sequence[str], taps: Sequence[str]) -> Iterator[tuple[OnnxFile, _Record]]:
    """Opens a file and decides how its rows become logits."""
    if teacher.fine_tune and teacher.fine_tune.epochs:
        raise RequestError(
            f"{teacher.model} is an ONNX file, whose layers cannot be trained; set fine_tune.epochs=0, which trains a "
            "head on its features, or fine_tune=None."
        )
    stated = normalization.parse(teacher.normalization, "A teacher's normalization")
    with OnnxFile(Path(teacher.model), stated, teacher.output, taps, teacher.image_size) as file:
        end = _end_of(teacher, classes, file)
        output = teacher.output
        if end == "head" and output is None and file.description.penultimate:
            output = file.description.penultimate
            file.choose(output)
        yield file, _Record(end, output)


def _end_of(teacher: Teacher, classes: Sequence[str], file: OnnxFile) -> EndName:
    if teacher.class_embeddings is not None:
        return "embeddings"
    if teacher.fine_tune is None or teacher.labels or teacher.classes:
        return "outputs"
    if teacher.fine_tune.auto and fits_classes(teacher, classes, file.width):
        return "outputs"
    return "head"


def _prepare(job: TeacherJob, data: Dataset, progress: Progress) -> TeacherResult:
    from tfkd.teachers import head, measuring

    teacher, seconds = job.teacher, 0.0
    measuring.require_images(data, teacher.name)
    with _opened(teacher, data.classes, job.taps) as (file, record):
        if record.end == "head":
            assert teacher.fine_tune is not None
            progress.say(f"  {teacher.model}: a head is trained on {record.output or 'its output'} [{file.width}]")
            seconds = head.train(file.rows, file.signature, teacher.fine_tune, data, job.seed, job.folder, progress)
        elif record.end == "outputs":
            sample = measuring.sample_of(data)
            rows = measuring.predicted(file.rows, sample, file.signature, progress, "teacher outputs")
            own = own_outputs(teacher, data.classes, file.width, rows)
            record = _Record("outputs", record.output, own.probabilities)
        write_sealed(job.folder / ONNX.file, vars(record))
        end = _end(record, teacher, data.classes, file, job.folder)
        logits = measuring.measured(lambda raw: end(file.rows(raw)), data, file.signature, progress)
        description = file.description
    return measuring.result_of(
        ONNX.name, job, data, logits, progress, description.parameters, description.size, seconds
    )


def _end(record: _Record, teacher: Teacher, classes: Sequence[str], file: OnnxFile, folder: Path) -> LogitMap:
    """Returns what maps the rows of a file to logits, after its preparation."""
    if record.end == "embeddings":
        return class_embeddings(teacher, classes, file.width)
    if record.end == "outputs":
        return own_outputs(teacher, classes, file.width, probabilities=record.probabilities)
    from tfkd.training.saving import load_arrays

    kernel, bias, _ = load_arrays(folder / HEAD)
    return LinearHead(kernel, bias)


@contextmanager
def _reopened(teacher: PreparedTeacher, taps: Sequence[str] = ()) -> Iterator[tuple[OnnxFile, LogitMap]]:
    settings, stored = teacher.settings, read_sealed(teacher.file)
    assert settings is not None
    if stored is None:
        raise RequestError(f"{teacher.file} is damaged; run the recipe again.")
    record = _Record(**stored)
    stated = normalization.parse(settings.normalization, "A teacher's normalization")
    with OnnxFile(Path(settings.model), stated, record.output, taps, settings.image_size) as file:
        yield file, _end(record, settings, teacher.classes, file, teacher.file.parent)


@contextmanager
def _source(teacher: PreparedTeacher, views: ViewSet) -> Iterator[StoreSource]:
    from tfkd.teachers import measuring

    with _reopened(teacher, views.taps) as (file, end):

        def run(raw: np.ndarray) -> TeacherOutputs:
            found = file.run(raw)
            rows = found.pop("").reshape(len(raw), -1)
            return {LOGITS: end(rows), **found}

        shapes = {tap: file.description.shapes[tap] for tap in views.taps}
        batch = file.description.batch
        described = f"onnxruntime, {f'batches of {batch}' if batch else 'batches of any size'} in float32"
        yield measuring.source_of(run, views, file.signature, shapes, described)


@contextmanager
def _classifier(teacher: PreparedTeacher, data: Dataset) -> Iterator[RawClassifier]:
    with _reopened(teacher) as (file, end):
        yield RawClassifier(file.signature, lambda raw: end(file.rows(raw)), is_trained=isinstance(end, LinearHead))


@contextmanager
def _check(teacher: Teacher, data: Dataset, seed: int, taps: Sequence[str]) -> Iterator[CheckedTeacher]:
    from tfkd.teachers import measuring

    measuring.require_images(data, teacher.name)
    with _opened(teacher, data.classes, taps) as (file, record):
        size, parameters = file.description.size, file.description.parameters
        described = f"teacher {teacher.model}: {parameters:,} parameters, input {size} px, {file.description.order}"
        if record.end == "head":
            source = record.output or "its output"
            yield CheckedTeacher(
                described, None, f"a head will be trained on {source} [{file.width}] of {teacher.model}"
            )
            return
        if record.end == "outputs":
            sample = measuring.sample_of(data)
            rows = measuring.predicted(file.rows, sample, file.signature, Silent(), "")
            end: LogitMap = own_outputs(teacher, data.classes, file.width, rows)
        else:
            end = class_embeddings(teacher, data.classes, file.width)
        yield CheckedTeacher(described, RawClassifier(file.signature, lambda raw: end(file.rows(raw))))


ONNX = TeacherKind(
    name="onnx",
    file="teacher.json",
    check=_check,
    prepare=_prepare,
    source=_source,
    classifier=_classifier,
    timed_by="onnxruntime",
)
