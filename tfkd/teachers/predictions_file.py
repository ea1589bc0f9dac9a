"""Teachers that are a file of predictions by file name, whoever made them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from tfkd.data.dataset import Dataset, Split
from tfkd.distill.measures import accuracy, softmax
from tfkd.errors import RequestError, counted, some
from tfkd.labels import composed, outputs_of
from tfkd.models.row_values import hold_percentages, hold_probabilities, logits_of_rows
from tfkd.processes import FORKSERVER
from tfkd.progress import Progress
from tfkd.recipe import Teacher
from tfkd.sandbox import Sandbox
from tfkd.store.layout import LOGITS, TeacherOutputs
from tfkd.teachers import tables
from tfkd.teachers.base import CheckedTeacher, PreparedTeacher, StoreSource, TeacherKind, ViewSet, batches_of
from tfkd.teachers.row_names import rows_by_image
from tfkd.training.job import TeacherJob, TeacherResult

ValueForm = Literal["logits", "probabilities", "percentages"]

MOST_MISSING = 0.05  # fraction of the transfer set; the others of their class stand in for them
BATCH = 1024


@dataclass(frozen=True)
class Predictions:
    """The predictions of a file.

    Attributes:
        file: its name, for messages.
        names: file names, each once.
        logits: float32 [names, classes], in the order of the classes of the data.
        form: what the file holds.
        doubles: number of rows that repeat the values of another row of the same name.
        others: columns that are none of the classes.
    """

    file: str
    names: tuple[str, ...]
    logits: np.ndarray
    form: ValueForm
    doubles: int = 0
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Matching:
    """The rows of a file for the images of some splits.

    Attributes:
        rows: number of the row of each image, -1 without one, by split.
        extra: number of rows that name no image of the sources, not even one that is left out.
    """

    rows: dict[str, np.ndarray]
    extra: int


def read(teacher: Teacher, classes: Sequence[str]) -> Predictions:
    """Reads the file of a teacher in a process apart.

    Raises:
        RequestError: the file cannot be read, lacks a class, holds NaN or rows that are no distribution, or names a
            file twice with different predictions.
    """
    path = Path(teacher.name)
    with Sandbox(RequestError, context=FORKSERVER) as sandbox:
        table: tables.PredictionTable = sandbox.call(path, tables.read, path)
    columns = table.columns or tuple(teacher.labels or classes)
    if table.columns and teacher.labels:
        raise RequestError(f"{path} names its columns itself; leave the teacher's labels out.")
    if len(columns) != table.values.shape[1]:
        raise RequestError(
            f"{path} has {table.values.shape[1]} columns of predictions, the classes are {len(columns)}."
        )
    _require_header(table, classes, path)
    order = outputs_of(classes, columns, f"the columns of {path}")
    names = tuple(_normal(name) for name in table.names)
    form = _form_of(table.values, order, str(path), names)
    first, doubles = _once(names, table.values, path)
    values = table.values[first][:, order] / (100 if form == "percentages" else 1)
    logits = logits_of_rows(values, form != "logits")
    others = tuple(columns[number] for number in sorted(set(range(len(columns))) - set(order)))
    return Predictions(str(path), tuple(names[row] for row in first), logits, form, doubles, others)


def _form_of(values: np.ndarray, order: Sequence[int], path: str, names: Sequence[str]) -> ValueForm:
    """Returns what the numbers of all columns are, or else those of the classes, as other columns may be no classes.

    Raises:
        RequestError: they are neither logits nor probabilities of one softmax.
    """
    columns = [values[:, order]]
    if len(order) < values.shape[1]:
        columns.insert(0, values)
    for number, part in enumerate(columns, 1):
        try:
            if hold_percentages(part, path, names):
                return "percentages"
            if hold_probabilities(part, path, "correct it or leave it out", names):
                return "probabilities"
        except RequestError:
            if number == len(columns):
                raise
    if (columns[-1] >= 0).all():
        raise RequestError(
            f"{path} has no negative number, so that it holds no logits, but its rows are no probabilities of one "
            "softmax; give logits, or divide each row by its sum."
        )
    return "logits"


def _require_header(table: tables.PredictionTable, classes: Sequence[str], path: Path) -> None:
    """Raises a RequestError if the names of the columns are numbers that are no classes: a row in their place."""
    if table.columns and not {*table.columns} & {*classes} and all(_is_number(name) for name in table.columns):
        raise RequestError(
            f"{path} names no class: its first line must be a header, as in file,{','.join(classes[:2])},…; "
            f"it holds {some(list(table.columns), ', ')}."
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def matched(predictions: Predictions, splits: dict[str, Split]) -> Matching:
    """Finds the row of every image: by its path in the source, or by its base name where that is unique there.

    Args:
        predictions: of a file.
        splits: the images, by name of the split.

    Raises:
        RequestError: two images have the same path, because they are of different sources.
    """
    names = {split: [_normal(images.name(i)) for i in range(len(images))] for split, images in splits.items()}
    times = Counter(_all_images(splits))
    rows = rows_by_image(predictions.names, times)
    if clash := [name for each in names.values() for name in each if times[name] > 1 and name in rows]:
        raise RequestError(
            f"{predictions.file} names {clash[0]!r}, as two images of different sources are called; rename a folder."
        )
    found = {split: np.array([rows.get(name, -1) for name in each], np.int64) for split, each in names.items()}
    return Matching(found, len(predictions.names) - len(set(rows.values())))


def splits_of(data: Dataset) -> dict[str, Split]:
    """Returns every split of the data that has images."""
    found = {"train": data.train, "unlabelled": data.unlabelled, "validation": data.validation, "test": data.test}
    return {name: split for name, split in found.items() if split is not None}


def require_complete(predictions: Predictions, matching: Matching, splits: dict[str, Split]) -> int:
    """Returns how many images of the transfer set have no prediction.

    Raises:
        RequestError: too many of them have none.
    """
    missing = [
        splits[name].name(int(i))
        for name in ("train", "unlabelled")
        if name in splits
        for i in np.flatnonzero(matching.rows[name] < 0)
    ]
    images = sum(len(splits[name]) for name in ("train", "unlabelled") if name in splits)
    if len(missing) > MOST_MISSING * images:
        raise RequestError(
            f"{predictions.file} has no prediction for {len(missing):,} of {images:,} images ({some(missing, ', ')}); "
            f"{_advice(predictions, matching)}."
        )
    return len(missing)


def _advice(predictions: Predictions, matching: Matching) -> str:
    if not matching.extra:
        return "add their rows"
    suffix = "" if any(PurePosixPath(name).suffix for name in predictions.names) else ", with the suffix, e.g. .jpg"
    return (
        f"it has {counted(matching.extra, 'name')} of no image. Name files by their path in the source, or by their "
        f"base name where it is unique{suffix}"
    )


def described(predictions: Predictions, matching: Matching, missing: int) -> str:
    """Returns what was found in a file, in one line."""
    form = "percentages (divided by 100)" if predictions.form == "percentages" else predictions.form
    found = [f"{form} of {counted(len(predictions.names), 'file')}"]
    if missing:
        found.append(f"{counted(missing, 'image')} without a prediction (the mean of their class stands in for it)")
    if matching.extra:
        found.append(f"{counted(matching.extra, 'name')} of no image")
    if predictions.doubles:
        found.append(f"{counted(predictions.doubles, 'row')} twice, with equal values")
    if predictions.others:
        found.append(f"columns of no class: {some(list(predictions.others), ', ')}")
    return f"{predictions.file}: {', '.join(found)}"


def of_split(predictions: Predictions, matching: Matching, split: str) -> np.ndarray | None:
    """Returns the logits of a split, float32 [n, classes]; None unless each of its images has a prediction."""
    rows = matching.rows[split]
    return predictions.logits[rows] if (rows >= 0).all() else None


def _prepare(job: TeacherJob, data: Dataset, progress: Progress) -> TeacherResult:
    from tfkd.teachers.measuring import result_of
    from tfkd.training.saving import save_array

    predictions, splits = read(job.teacher, data.classes), splits_of(data)
    matching = matched(predictions, splits)
    missing = require_complete(predictions, matching, splits)
    progress.say(f"  {described(predictions, matching, missing)}")
    for split in ("validation", "test"):
        absent = int((matching.rows[split] < 0).sum())
        if absent:
            progress.say(f"  not measured on {split} images: {absent:,} of {len(splits[split]):,} have no prediction")
    transfer = [
        _completed(predictions.logits, matching.rows[name], splits[name].labels)
        for name in ("train", "unlabelled")
        if name in splits
    ]
    save_array(np.concatenate(transfer), job.folder / PREDICTIONS.file)
    logits = {split: of_split(predictions, matching, split) for split in ("test", "validation")}
    return result_of(PREDICTIONS.name, job, data, logits, progress)


@contextmanager
def _check(teacher: Teacher, data: Dataset, seed: int, taps: Sequence[str]) -> Iterator[CheckedTeacher]:
    predictions, splits = read(teacher, data.classes), splits_of(data)
    matching = matched(predictions, splits)
    missing = require_complete(predictions, matching, splits)
    logits = of_split(predictions, matching, "validation")
    if logits is None:
        plan = "not measured on validation images, as not all of them have a prediction"
    else:
        plan = f"accuracy {accuracy(logits, data.validation.labels):.1%} on {len(logits):,} validation images"
    yield CheckedTeacher(
        f"teacher {teacher.name}: {predictions.form} of {counted(len(predictions.names), 'file')}",
        None,
        f"{teacher.name}: {plan}",
        warnings=_warnings(predictions, matching, missing),
    )


def _warnings(predictions: Predictions, matching: Matching, missing: int) -> tuple[str, ...]:
    is_unusual = (
        missing or matching.extra or predictions.doubles or predictions.others or predictions.form == "percentages"
    )
    return (described(predictions, matching, missing),) if is_unusual else ()


@contextmanager
def _source(teacher: PreparedTeacher, views: ViewSet) -> Iterator[StoreSource]:
    assert teacher.settings is not None
    logits = np.load(teacher.file, allow_pickle=False)
    if len(logits) != views.members.sum():
        raise RequestError(f"{teacher.file} is of other images; run the recipe again with --fresh.")
    row_of = np.cumsum(views.members) - 1

    def predict(positions: Any, view: int) -> Iterator[TeacherOutputs]:
        for part in batches_of(positions, BATCH):
            yield {LOGITS: logits[row_of[part]]}

    yield StoreSource({}, predict, f"predictions of {teacher.settings.name}")


def _completed(logits: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the logits of every image; one without a row gets the mean probabilities of its class."""
    found = logits[np.maximum(rows, 0)]
    if (rows < 0).all():
        return found
    for i in np.flatnonzero(rows < 0):
        same = (labels == labels[i]) & (rows >= 0)
        others = same if same.any() and labels[i] >= 0 else rows >= 0
        found[i] = logits_of_rows(softmax(found[others]).mean(axis=0, keepdims=True), probabilities=True)[0]
    return found


def _once(names: tuple[str, ...], values: np.ndarray, path: Path) -> tuple[np.ndarray, int]:
    """Returns the first row of every name, and the number of rows that repeat it."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        rows[name].append(row)
    for name, same in rows.items():
        if any(not np.array_equal(values[same[0]], values[other]) for other in same[1:]):
            raise RequestError(f"{path} names {name!r} twice, with different predictions; keep one of the rows.")
    return np.array([same[0] for same in rows.values()], np.int64), len(names) - len(rows)


def _all_images(splits: dict[str, Split]) -> Iterator[str]:
    """Yields the path of every image of the sources, also of those that data.fraction or a smoke run leaves out."""
    for examples in {id(split.examples): split.examples for split in splits.values()}.values():
        yield from (_normal(examples.name(number)) for number in range(len(examples)))


def _normal(name: str) -> str:
    """Returns a file name as it is compared: composed, with forward slashes, without a leading "./"."""
    return PurePosixPath(composed(name.strip()).replace("\\", "/")).as_posix()


PREDICTIONS = TeacherKind(
    name="predictions",
    file="predictions.npy",
    check=_check,
    prepare=_prepare,
    source=_source,
    classifier=None,
    without_file="The teacher is a file of predictions, which has no size and no latency.",
)
