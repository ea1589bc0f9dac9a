"""Runs the compressions of a recipe one after another, each trained on the stored teacher predictions."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfkd.compress import KINDS, QUANTIZED, qat
from tfkd.compress.prepared import Prepared, compressible
from tfkd.compress.results import CompressionResult, CompressResult
from tfkd.compress.tf_keras_copy import pass_weights, student_copy
from tfkd.compress.trainee import trainee
from tfkd.data import open_same
from tfkd.data.batches import plain_batches
from tfkd.data.dataset import Dataset
from tfkd.data.renderings import rendered
from tfkd.distill.losses.base import LOGITS
from tfkd.distill.measures import accuracy
from tfkd.distill.predict import predict, predictor
from tfkd.progress import Advance
from tfkd.recipe import AnyCompression, Distill, Recipe, SoftTargets, Training
from tfkd.training import loop
from tfkd.training.job import Job, Lesson
from tfkd.training.saving import load_model, save_array, save_model
from tfkd.training.student import BATCH, distilled


def steps(lesson: Lesson, blocks: Sequence[AnyCompression]) -> int:
    """Returns the number of steps of all trainings, for the progress of `compress_student`."""
    return sum(_as_training(lesson, block, lesson.folder).steps for block in blocks)


def compress_student(
    job: Job,
    trained: Path,
    blocks: Sequence[AnyCompression],
    folder: Path,
    advance: Advance,
    say: Callable[[str], None],
) -> CompressResult:
    """Compresses a trained student, continuing from checkpoints in its folder.

    Each compression trains on the stored predictions with the student's losses on logits and its label weight. Losses
    on features are left out; without other losses, `SoftTargets()` is used. Writes to the folder: `student.keras` with
    the new float weights; `test_logits.npy`, float32 [test examples, classes]; and, if the last block is "qat", the
    SavedModel `quantized/` of `tfkd.compress.qat.save`.

    Args:
        job: the student's training; its stores must be finished.
        trained: the student's `.keras` file.
        blocks: the compressions, in the order of `tfkd.compress.KINDS`.
        folder: folder of results and checkpoints.
        advance: called with the number of steps done.
        say: prints a line.

    Raises:
        RequestError: a compression does not support a layer of the student, the tf_keras copy differs, the store does
            not fit, or a training diverged.
    """

    def copy(model: keras.Model) -> Any:
        return student_copy(job.student, model)

    return compress_network(job, load_model(trained), copy, blocks, folder, advance, say)


def compress_network(
    lesson: Lesson,
    model: keras.Model,
    copy: Callable[[keras.Model], Any],
    blocks: Sequence[AnyCompression],
    folder: Path,
    advance: Advance,
    say: Callable[[str], None],
) -> CompressResult:
    """Compresses any trained network as `compress_student` does.

    Args:
        lesson: the examples and the stores to learn from.
        model: a batch of raw inputs to logits [B, classes]; receives the new weights.
        copy: builds the tf_keras copy of the network, with the same weights.
        blocks: the compressions, in the order of `tfkd.compress.KINDS`.
        folder: folder of results and checkpoints.
        advance: called with the number of steps done.
        say: prints a line.

    Raises:
        RequestError: as `compress_student`.
    """
    recipe = lesson.recipe
    data = rendered(lesson.rendering, open_same(recipe.data, recipe.seed, lesson.checked, lesson.data))
    if any(_is_on_features(loss) for loss in recipe.distill.losses):
        say("  compress: losses on features are left out, because compression trains on logits only")
    results = []
    for number, block in enumerate(blocks):
        before = tuple(earlier.kind for earlier in blocks[:number])
        part = _as_training(lesson, block, folder / f"{number}-{block.kind}")
        prepared = importlib.import_module(KINDS[block.kind]).prepare(copy(model), block, part.steps, before)
        results.append(_trained(part, block.kind, prepared, model, data, advance, say))
        if block.kind == "qat":
            qat.save(prepared.network, folder / QUANTIZED)
    logits = predict(predictor(model), plain_batches(data.test, data.kind.signature_of(model), BATCH))
    save_array(logits, folder / "test_logits.npy")
    save_model(model, folder / "student.keras")
    return CompressResult(
        compressions=tuple(results),
        accuracy=accuracy(logits, data.test.labels),
        quantized=bool(blocks) and blocks[-1].kind == "qat",
        seconds=sum(result.seconds for result in results),
    )


def _trained(
    lesson: Lesson,
    kind: str,
    prepared: Prepared,
    model: keras.Model,
    data: Dataset,
    advance: Advance,
    say: Callable[[str], None],
) -> CompressionResult:
    """Trains a prepared network and copies its weights to the model."""
    network = trainee(prepared)
    signature, tuning = data.kind.signature_of(model), lesson.recipe.distill.training
    distiller, batches, begin = distilled(lesson, network, data, signature)

    def report(point: loop.Point) -> None:
        say(
            f"  {kind} epoch {point.epoch} of {tuning.epochs}: loss {point.loss:.3f}, "
            f"validation {point.validation_accuracy:.1%}"
        )

    run = predictor(network)
    held_out = plain_batches(data.validation, signature, BATCH)
    validation = loop.Validation(run, held_out, data.validation.labels)
    lesson.folder.mkdir(parents=True, exist_ok=True)
    points, seconds = loop.fit(distiller, network, batches, validation, tuning, lesson.folder, advance, report, begin)
    pass_weights(prepared.weights(), model)
    kernels = [np.asarray(layer.kernel) for layer in compressible(model)]
    return CompressionResult(
        kind=kind,
        epochs=len(points),
        seconds=seconds,
        validation_accuracy=validation.accuracy(),
        accuracy=accuracy(predict(run, plain_batches(data.test, signature, BATCH)), data.test.labels),
        sparsity=sum(int((kernel == 0).sum()) for kernel in kernels) / max(1, sum(kernel.size for kernel in kernels)),
        clusters=max((len(np.unique(kernel)) for kernel in kernels), default=0),
    )


def _as_training(lesson: Lesson, block: AnyCompression, folder: Path) -> Lesson:
    """Returns the lesson of one compression: the student's, with the block's training and losses on logits."""
    distill = lesson.recipe.distill
    losses = [loss for loss in distill.losses if not _is_on_features(loss)] or [SoftTargets()]
    own = {
        "losses": losses,
        "training": _balanced_as(distill.training, block.training),
        "label_head": None,
        "finish": None,
    }
    changed = Distill.model_validate({**dict(distill), **own})
    recipe = Recipe.model_validate({**dict(lesson.recipe), "distill": changed})
    return replace(lesson, recipe=recipe, folder=folder)


def _balanced_as(student: Training, own: Training) -> Training:
    """Returns the training of a compression, with the balance of the student's classes unless it has one of its own."""
    if own.class_weight is not None or own.sampling != "natural":
        return own
    return own.model_copy(update={"class_weight": student.class_weight, "sampling": student.sampling})


def _is_on_features(loss: Any) -> bool:
    return getattr(loss, "student_tap", LOGITS) != LOGITS
