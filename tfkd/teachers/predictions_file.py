"""Teachers that are a file of predictions by the names or the contents of examples, whoever made them."""

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfkd.data.dataset import Dataset, Split
from tfkd.distill.measures import accuracy, softmax
from tfkd.errors import RequestError, counted, some
from tfkd.inputs.kind import ExampleError, InputKind
from tfkd.labels import outputs_of
from tfkd.models.row_values import hold_percentages, hold_probabilities, logits_of_rows
from tfkd.processes import FORKSERVER
from tfkd.progress import Progress
from tfkd.recipe import Teacher
from tfkd.sandbox import Sandbox
from tfkd.store.layout import LOGITS, TeacherOutputs
from tfkd.teachers import tables
from tfkd.teachers.base import CheckedTeacher, PreparedTeacher, StoreSource, TeacherKind, ViewSet, batches_of
from tfkd.teachers.row_names import rows_by_content, rows_by_image
from tfkd.training.job import TeacherJob, TeacherResult

ValueForm = Literal["logits", "probabilities", "percentages"]

MOST_MISSING = 0.05  # fraction of the transfer set; the others of their class stand in for them
BATCH = 1024
_LONGEST_NAME = 120  # characters of a name in a message; a name may be a whole text


@dataclass(frozen=True)
class Predictions:
    """The predictions of a file.

    Attributes:
        file: its name, for messages.
        names: names of the rows, each once.
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
    """The rows of a file for the examples of some splits.

    Attributes:
        rows: number of the row of each example, -1 without one, by split.
        extra: names of the rows of no example of the sources, not even of one that is left out.
    """

    rows: dict[str, np.ndarray]
    extra: tuple[str, ...]


def read(teacher: Teacher, classes: Sequence[str], kind: InputKind) -> Predictions:
    """Reads the file of a teacher in a process apart.

    Args:
        teacher: block of the recipe.
        classes: names of the classes of the data, in order.
        kind: of the examples.

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
    names = tuple(map(kind.row_names.normal, table.names))
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


def matched(predictions: Predictions, splits: dict[str, Split], kind: InputKind) -> Matching:
    """Finds the row of every example.

    A row has the path of its example in the source, or the base name where that is unique there; of kinds that allow
    it, the content.

    Args:
        predictions: of a file.
        splits: the examples, by name of the split.
        kind: of the examples.

    Raises:
        RequestError: two examples have the same name, because they are of different sources.
    """
    sources = {id(split.examples): split for split in splits.values()}
    names = {source: _names(split, kind) for source, split in sources.items()}
    times = Counter(name for each in names.values() for name in each)
    by_name = rows_by_image(predictions.names, times)
    for split in splits.values():
        _require_one_meaning(predictions, [names[id(split.examples)][n] for n in split.numbers], times, by_name, kind)
    rows = {source: np.array([by_name.get(name, -1) for name in each], np.int64) for source, each in names.items()}
    for source, split in sources.items():
        _match_contents(predictions, split, rows[source], kind)
    used = {row for each in rows.values() for row in each.tolist()}
    extra = tuple(name for row, name in enumerate(predictions.names) if row not in used)
    return Matching({name: rows[id(split.examples)][split.numbers] for name, split in splits.items()}, extra)


def _names(split: Split, kind: InputKind) -> list[str]:
    """Returns the name of every example of a source, also of those that data.fraction or a smoke run leaves out."""
    return [kind.row_names.normal(split.examples.name(number)) for number in range(len(split.examples))]


def _require_one_meaning(
    predictions: Predictions, names: Sequence[str], times: Counter[str], rows: Mapping[str, int], kind: InputKind
) -> None:
    if clash := [name for name in names if times[name] > 1 and name in rows]:
        raise RequestError(
            f"{predictions.file} names {clash[0]!r}, as two {kind.name}s of different sources are called; rename a "
            "folder."
        )


def _match_contents(predictions: Predictions, split: Split, rows: np.ndarray, kind: InputKind) -> None:
    """Finds rows by content, in place, for the examples of a source that have none by name."""
    content = kind.row_names.content
    if content is None:
        return
    by_text = {name: row for row, name in enumerate(predictions.names)}
    by_content = rows_by_content(predictions.names, predictions.logits, content)
    for number in np.flatnonzero(rows < 0).tolist():
        try:
            example = split.reading.decode(split.examples.read(number))
        except ExampleError:
            continue  # it is in no split
        rows[number] = by_text.get(kind.row_names.normal(example), by_content.get(content(example), -1))


def splits_of(data: Dataset) -> dict[str, Split]:
    """Returns every split of the data that has images."""
    found = {"train": data.train, "unlabelled": data.unlabelled, "validation": data.validation, "test": data.test}
    return {name: split for name, split in found.items() if split is not None}


def require_complete(predictions: Predictions, matching: Matching, splits: dict[str, Split], kind: InputKind) -> int:
    """Returns how many examples of the transfer set have no prediction.

    Raises:
        RequestError: too many of them have none.
    """
    missing = [
        splits[name].name(int(i))
        for name in ("train", "unlabelled")
        if name in splits
        for i in np.flatnonzero(matching.rows[name] < 0)
    ]
    count = sum(len(splits[name]) for name in ("train", "unlabelled") if name in splits)
    if len(missing) > MOST_MISSING * count:
        advice = "add their rows"
        if matching.extra:
            advice = f"it has {_extra(matching, kind)}. {kind.row_names.advice(predictions.names)}"
        raise RequestError(
            f"{predictions.file} has no prediction for {len(missing):,} of {count:,} {kind.name}s ({some(missing)}); "
            f"{advice}."
        )
    return len(missing)


def _extra(matching: Matching, kind: InputKind) -> str:
    shown = [textwrap.shorten(name, _LONGEST_NAME, placeholder=" …") for name in matching.extra]
    return f"{counted(len(shown), 'name')} of no {kind.name} ({some(shown)})"


def described(predictions: Predictions, matching: Matching, missing: int, kind: InputKind) -> str:
    """Returns what was found in a file, in one line."""
    form = "percentages (divided by 100)" if predictions.form == "percentages" else predictions.form
    found = [f"{form} of {counted(len(predictions.names), 'name')}"]
    if missing:
        found.append(f"{counted(missing, kind.name)} without a prediction (the mean prediction of the class is used)")
    if matching.extra:
        found.append(_extra(matching, kind))
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

    kind, splits = data.kind, splits_of(data)
    predictions = read(job.teacher, data.classes, kind)
    matching = matched(predictions, splits, kind)
    missing = require_complete(predictions, matching, splits, kind)
    progress.say(f"  {described(predictions, matching, missing, kind)}")
    for split in ("validation", "test"):
        absent = int((matching.rows[split] < 0).sum())
        if absent:
            progress.say(
                f"  not measured on {split} {kind.name}s: {absent:,} of {len(splits[split]):,} have no prediction"
            )
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
    kind, splits = data.kind, splits_of(data)
    predictions = read(teacher, data.classes, kind)
    matching = matched(predictions, splits, kind)
    missing = require_complete(predictions, matching, splits, kind)
    logits = of_split(predictions, matching, "validation")
    if logits is None:
        plan = f"not measured on validation {kind.name}s, as not all of them have a prediction"
    else:
        plan = f"accuracy {accuracy(logits, data.validation.labels):.1%} on {len(logits):,} validation {kind.name}s"
    yield CheckedTeacher(
        f"teacher {teacher.name}: {predictions.form} of {counted(len(predictions.names), 'name')}",
        None,
        f"{teacher.name}: {plan}",
        warnings=_warnings(predictions, matching, missing, kind),
    )


def _warnings(predictions: Predictions, matching: Matching, missing: int, kind: InputKind) -> tuple[str, ...]:
    is_unusual = (
        missing or matching.extra or predictions.doubles or predictions.others or predictions.form == "percentages"
    )
    return (described(predictions, matching, missing, kind),) if is_unusual else ()


@contextmanager
def _source(teacher: PreparedTeacher, views: ViewSet) -> Iterator[StoreSource]:
    assert teacher.settings is not None
    logits = np.load(teacher.file, allow_pickle=False)
    if len(logits) != views.members.sum():
        raise RequestError(f"{teacher.file} is of other examples; run the recipe again with --fresh.")
    row_of = np.cumsum(views.members) - 1

    def predict(positions: Any, view: int) -> Iterator[TeacherOutputs]:
        for part in batches_of(positions, BATCH):
            yield {LOGITS: logits[row_of[part]]}

    yield StoreSource({}, predict, f"predictions of {teacher.settings.name}")


def _completed(logits: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the logits of every example; one without a row gets the mean probabilities of its class."""
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


PREDICTIONS = TeacherKind(
    name="predictions",
    file="predictions.npy",
    check=_check,
    prepare=_prepare,
    source=_source,
    classifier=None,
    without_file="The teacher is a file of predictions, which has no size and no latency.",
)
