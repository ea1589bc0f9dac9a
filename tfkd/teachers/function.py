"""Teachers that are a function from images to predictions, which a function of the user's returns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tfkd.data.dataset import Dataset
from tfkd.errors import RequestError
from tfkd.files import read_sealed, write_sealed
from tfkd.inputs.image.tensors import side_of
from tfkd.models.predicting_function import PredictingFunction
from tfkd.progress import Progress, Silent
from tfkd.recipe import Teacher
from tfkd.store.layout import LOGITS
from tfkd.teachers.base import CheckedTeacher, PreparedTeacher, RawClassifier, StoreSource, TeacherKind, ViewSet
from tfkd.teachers.ends import OwnOutputs, own_outputs
from tfkd.training.job import TeacherJob, TeacherResult


def _prepare(job: TeacherJob, data: Dataset, progress: Progress) -> TeacherResult:
    from tfkd.teachers import measuring

    function, end = _judged(job.teacher, data, job.taps, progress)
    write_sealed(job.folder / FUNCTION.file, {"width": end.width, "probabilities": end.probabilities})
    logits = measuring.measured(lambda raw: end(function(raw)), data, function.signature, progress)
    return measuring.result_of(FUNCTION.name, job, data, logits, progress, side=side_of(function.signature))


@contextmanager
def _check(teacher: Teacher, data: Dataset, seed: int, taps: Sequence[str]) -> Iterator[CheckedTeacher]:
    function, end = _judged(teacher, data, taps, Silent())
    described = f"teacher {teacher.name}: a function, input {side_of(function.signature)} px"
    yield CheckedTeacher(described, RawClassifier(function.signature, lambda raw: end(function(raw))))


def _judged(
    teacher: Teacher, data: Dataset, taps: Sequence[str], progress: Progress
) -> tuple[PredictingFunction, OwnOutputs]:
    """Returns the function, and what its values for training images are."""
    from tfkd.teachers import measuring

    measuring.require_images(data, teacher.name)
    if taps:
        raise RequestError(f"{teacher.name} gives predictions alone, no feature {taps[0]!r}; use losses on logits.")
    function = PredictingFunction(teacher, data.classes)
    rows = measuring.predicted(function, measuring.sample_of(data), function.signature, progress, "teacher outputs")
    return function, own_outputs(teacher, data.classes, rows.shape[1], rows)


def _opened(teacher: PreparedTeacher) -> tuple[PredictingFunction, OwnOutputs]:
    assert teacher.settings is not None
    record = read_sealed(teacher.file)
    if record is None:
        raise RequestError(f"{teacher.file} is damaged; run the recipe again.")
    end = own_outputs(teacher.settings, teacher.classes, record["width"], probabilities=record["probabilities"])
    return PredictingFunction(teacher.settings, teacher.classes), end


@contextmanager
def _source(teacher: PreparedTeacher, views: ViewSet) -> Iterator[StoreSource]:
    from tfkd.teachers import measuring

    function, end = _opened(teacher)
    described = f"{side_of(function.signature)} px images through a function"
    yield measuring.source_of(lambda raw: {LOGITS: end(function(raw))}, views, function.signature, {}, described)


@contextmanager
def _classifier(teacher: PreparedTeacher, data: Dataset) -> Iterator[RawClassifier]:
    function, end = _opened(teacher)
    yield RawClassifier(function.signature, lambda raw: end(function(raw)))


FUNCTION = TeacherKind(
    name="function",
    file="teacher.json",
    check=_check,
    prepare=_prepare,
    source=_source,
    classifier=_classifier,
    without_file="The teacher is a function, which has no file.",
)
