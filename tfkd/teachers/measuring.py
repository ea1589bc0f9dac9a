"""Measures a teacher that is no Keras network on the test and validation images."""

from collections.abc import Iterator, Mapping

import numpy as np

from tfkd.data.batches import example_errors, plain_batches
from tfkd.data.dataset import Dataset, Split
from tfkd.distill.measures import accuracy, calibration_error
from tfkd.errors import RequestError
from tfkd.progress import Progress
from tfkd.signature import Signature
from tfkd.store.inference import TransferViews
from tfkd.store.layout import TeacherOutputs
from tfkd.teachers.base import Predict, RunOutputs, StoreSource, ViewSet
from tfkd.training.job import TeacherJob, TeacherResult
from tfkd.training.saving import save_array

BATCH = 64
SAMPLE = 256  # examples whose values tell what a classifier gives
MEASURED = ("test", "validation")


def sample_of(data: Dataset) -> Split:
    """Returns training examples that are spread over the split."""
    positions = np.linspace(0, len(data.train) - 1, min(SAMPLE, len(data.train))).astype(np.int64)
    return data.train.take(positions)


def predicted(predict: Predict, split: Split, signature: Signature, progress: Progress, title: str) -> np.ndarray:
    """Returns what a function gives for the plain form of every example of a split, float32 [n, ...]."""
    rows = []
    with progress.task(title, len(split), "examples") as advance, example_errors():
        for inputs, _ in plain_batches(split, signature, BATCH):
            rows.append(predict(inputs.numpy()))
            advance(len(rows[-1]))
    return np.concatenate(rows)


def measured(predict: Predict, data: Dataset, signature: Signature, progress: Progress) -> dict[str, np.ndarray]:
    """Returns the logits of a classifier on the test and the validation images."""
    return {
        name: predicted(predict, getattr(data, name), signature, progress, f"teacher predictions ({name})")
        for name in MEASURED
    }


def result_of(
    kind: str,
    job: TeacherJob,
    data: Dataset,
    logits: Mapping[str, np.ndarray | None],
    progress: Progress,
    parameters: int | None = None,
    side: int | None = None,
    seconds: float = 0.0,
) -> TeacherResult:
    """Returns the result of a teacher, writes its logits and prints its accuracy.

    Args:
        kind: a name of `tfkd.teachers.KINDS`.
        job: the preparation.
        data: the images.
        logits: float32 [n, classes] of the test and the validation images; None where it was not measured.
        progress: shows the accuracy.
        parameters: number of its weights, if known.
        side: side of its input, if known.
        seconds: time of its training.
    """
    test, validation = (logits[name] for name in MEASURED)
    labels = data.test.labels
    right = None if test is None else accuracy(test, labels)
    for name, rows in logits.items():
        if rows is not None:
            save_array(rows, job.folder / f"{name}_logits.npy")
    if right is not None:
        progress.say(f"  teacher {job.teacher.name}: accuracy {right:.1%} on {len(data.test):,} test {data.kind.name}s")
    return TeacherResult(
        parameters=parameters,
        image_size=side,
        accuracy=right,
        validation_accuracy=None if validation is None else accuracy(validation, data.validation.labels),
        calibration_error=None if test is None else calibration_error(test, labels),
        seconds=seconds,
        kind=kind,
    )


def source_of(
    run: RunOutputs, views: ViewSet, signature: Signature, shapes: Mapping[str, tuple[int, ...]], described: str
) -> StoreSource:
    """Returns the predictions for a store of a teacher that maps arrays to arrays."""
    transfer = TransferViews(views.examples, views.augment, views.seed, signature)

    def predict(positions: np.ndarray, view: int) -> Iterator[TeacherOutputs]:
        for inputs in transfer.batches(positions, view, BATCH):
            yield run(inputs.numpy())

    return StoreSource(shapes, predict, described, {"batch": BATCH, "dtype": "float32"})


def require_images(data: Dataset, name: str) -> None:
    """Raises a RequestError unless the examples are images, which such a teacher takes."""
    if data.kind.name != "image":
        raise RequestError(f"{name} takes images, the data are of kind {data.kind.name!r}; use a Keras network.")
