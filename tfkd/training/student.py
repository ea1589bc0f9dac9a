"""The student and its control: the same network, seed, steps and schedule, with and without a teacher."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from tfkd.data import open_same
from tfkd.data.batches import LIMIT, numbered_views, plain_batches
from tfkd.data.cache import ViewCache
from tfkd.data.dataset import Dataset, Split
from tfkd.data.joined import joined
from tfkd.data.renderings import rendered
from tfkd.distill.distiller import Distiller
from tfkd.distill.losses.base import LOGITS
from tfkd.distill.losses.label import LabelLoss
from tfkd.distill.measures import accuracy
from tfkd.distill.predict import predict, predictor
from tfkd.distill.predictions import TeacherPredictions
from tfkd.distill.schedules import losses_of
from tfkd.distill.taps import tapped
from tfkd.errors import RequestError
from tfkd.models import build_student
from tfkd.models.imports import import_modules
from tfkd.models.precision import in_float32
from tfkd.progress import Advance
from tfkd.recipe import FeatureLoss, Recipe, Student
from tfkd.signature import Signature
from tfkd.training import loop
from tfkd.training.balance import class_weights
from tfkd.training.heads import LABEL_HEAD, TEACHER_HEAD, teacher_head_of, two_heads
from tfkd.training.job import Job, Lesson, StudentResult
from tfkd.training.saving import save_array, save_model
from tfkd.training.teaching import StoredPredictions, open_stores
from tfkd.training.temperature import with_temperatures
from tfkd.training.trees import require_scikit_learn, train_trees

BATCH = 64

Batches = Callable[[int], tf.data.Dataset]


def transfer_set(data: Dataset) -> Split:
    """Returns the transfer set: the training examples, followed by the unlabelled ones."""
    return joined(data.train, data.unlabelled) if data.unlabelled else data.train


def check(networks: Sequence[Student], recipe: Recipe, signature: Signature, classes: int) -> None:
    """Builds the networks to train, so that errors appear before a teacher is trained.

    Raises:
        RequestError: weights or a tap of a network do not exist, or a loss does not support the recipe's targets.
    """
    losses = [loss for loss in recipe.distill.losses if isinstance(loss, FeatureLoss)]
    for network in networks:
        if network.is_tree:
            require_scikit_learn()
        model = build_student(network, signature, classes, recipe.seed)
        if recipe.distill.label_head is not None:
            teacher_head_of(model)
        outputs = tapped(model, [loss.student_tap for loss in losses]).output if losses else {}
        for loss in losses:
            if recipe.distill.targets == "image" and len(outputs[loss.student_tap].shape) > 2:
                raise RequestError(
                    f"distill.targets='image' averages over views, but the loss {loss.kind!r} uses the spatial map "
                    f"{loss.student_tap!r}, which differs between views; use 'pooled', or targets='view'."
                )


def train_student(job: Job, advance: Advance, say: Callable[[str], None]) -> StudentResult:
    """Trains the network of a job, or continues from its checkpoint.

    Writes to the job's folder: `student.keras`, `test_logits.npy` (float32 [test examples, classes]), `curve.json`.

    Raises:
        RequestError: the student, the soft-label store or the data do not fit together, or the training diverged.
    """
    import_modules(job.recipe.imports)
    data = rendered(job.rendering, open_same(job.recipe.data, job.recipe.seed, job.checked, job.data))
    if job.student.is_tree:
        return train_trees(job, data, say)
    student = _build(job, data, job.recipe.distill.precision)
    signature, temperature = data.reading.signature(job.recipe.data), None
    if job.kind == "student":
        job, temperature = with_temperatures(job)
    if temperature is not None:
        say(f"  {job.kind} (seed {job.seed}): temperature {temperature:g}, chosen from the stored predictions")
    run = predictor(student)
    held_out = plain_batches(data.validation, signature, BATCH)
    validation = loop.Validation(run, held_out, data.validation.labels)
    points, seconds = _learnt(job, student, data, validation, advance, say)
    finish, more = _finished(job, student, data, validation, advance, say)
    test = predict(run, plain_batches(data.test, signature, BATCH))
    save_array(test, job.folder / "test_logits.npy")
    save_model(_in_float32(job, student, data), job.folder / "student.keras")
    return StudentResult(
        kind=job.kind,
        seed=job.seed,
        parameters=student.count_params(),
        accuracy=accuracy(test, data.test.labels),
        validation_accuracy=validation.accuracy(),
        epochs=len(points),
        seconds=seconds + more,
        temperature=temperature,
        finish=finish,
    )


def _learnt(
    job: Job,
    student: keras.Model,
    data: Dataset,
    validation: loop.Validation,
    advance: Advance,
    say: Callable[[str], None],
) -> tuple[list[loop.Point], float]:
    """Trains the student with or without a teacher; returns the learning curve and the seconds."""
    distill, signature = job.recipe.distill, data.reading.signature(job.recipe.data)
    heads = None
    if job.kind == "student" and distill.label_head is not None:
        heads = two_heads(student, distill.label_head, job.seed)
        validation = replace(validation, run=predictor(heads.network))
    network = heads.network if heads else student
    model, batches, begin = (distilled if job.kind == "student" else _alone)(job, network, data, signature)

    def report(point: loop.Point) -> None:
        say(f"  {job.kind} (seed {job.seed}) epoch {point.epoch} of {distill.training.epochs}: {point}")

    learnt = loop.fit(model, network, batches, validation, distill.training, job.folder, advance, report, begin)
    if heads:
        heads.merge()
    return learnt


def _finished(
    job: Job,
    student: keras.Model,
    data: Dataset,
    validation: loop.Validation,
    advance: Advance,
    say: Callable[[str], None],
) -> tuple[tuple[float, float] | None, float]:
    """Trains on the labels alone, if the recipe says so, and takes the weights back where validation gets worse.

    Student and control do so alike, so that they are compared after equal steps.

    Returns:
        The validation accuracy before and after, and the seconds.
    """
    lesson = job.on_labels_alone
    if lesson is None:
        return None, 0.0
    before, weights, tuning = validation.accuracy(), student.get_weights(), lesson.recipe.distill.training
    model, batches, begin = _alone(lesson, student, data, data.reading.signature(job.recipe.data), job.views_seen)
    lesson.folder.mkdir(parents=True, exist_ok=True)
    points, seconds = loop.fit(
        model, student, batches, validation, tuning, lesson.folder, advance, lambda point: None, begin
    )
    after = points[-1].validation_accuracy
    if after < before:
        student.set_weights(weights)
    outcome = "dropped" if after < before else "kept"
    say(f"  {job.kind} (seed {job.seed}) on labels alone: validation {before:.1%}, then {after:.1%}: {outcome}")
    return (before, after), seconds


def _build(job: Job, data: Dataset, precision: str) -> keras.Model:
    signature = data.reading.signature(job.recipe.data)
    return build_student(job.student, signature, len(data.classes), job.seed, precision)


def _in_float32(job: Job, student: keras.Model, data: Dataset) -> keras.Model:
    """Returns the student in float32, whatever the precision of its training."""
    if job.recipe.distill.precision == "float32":
        return in_float32(student)  # a user's function may set a policy of its own
    shipped = _build(job, data, "float32")
    shipped.set_weights(student.get_weights())
    return in_float32(shipped)


def distilled(
    job: Lesson, student: keras.Model, data: Dataset, signature: Signature
) -> tuple[keras.Model, Batches, Callable[[int], None]]:
    """Returns the model that learns from the stores, the batches by epoch, and the function that begins an epoch."""
    distill = job.recipe.distill
    stores, weights = open_stores(job.stores, distill.loss_taps)
    losses, begin = losses_of(distill)
    if distill.label_head is not None:
        for loss, _ in losses:
            loss.student_tap = TEACHER_HEAD if loss.student_tap == LOGITS else loss.student_tap
    model = Distiller(
        student,
        losses=losses,
        label_weight=distill.label_weight,
        teacher_shares=weights,
        answers=[store.shapes for store in stores],
        images=job.images,
        label_tap=LOGITS if distill.label_head is None else LABEL_HEAD,
        predictions_are="logits",
    )
    model.compile(_optimizer(job), _label_loss(job, data))
    examples, finished = transfer_set(data), ViewCache(LIMIT)

    def batches(epoch: int) -> tf.data.Dataset:
        if distill.targets == "image":
            views, predictions = _views(job, signature, examples, epoch, epoch), with_mean_predictions
        else:
            view = epoch % distill.views
            views = _views(job, signature, examples, epoch, view, finished)
            predictions = functools.partial(with_predictions, view=view)
        return views.map(
            lambda batch: (predictions(batch, stores), label(batch, len(data.classes))), num_parallel_calls=1
        )

    return model, batches, begin


def _alone(
    job: Lesson, student: keras.Model, data: Dataset, signature: Signature, seen: int = 0
) -> tuple[keras.Model, Batches, Callable[[int], None]]:
    """Returns what learns from labels alone, with new views in every epoch, because it needs no stored predictions.

    Args:
        job: the lesson.
        student: raw inputs to logits.
        data: its examples.
        signature: input of the student.
        seen: number of views of every example that the student has seen already.
    """
    model = Distiller(student, losses=[], label_weight=1.0)
    model.compile(_optimizer(job), _label_loss(job, data))

    def batches(epoch: int) -> tf.data.Dataset:
        return _views(job, signature, data.train, seen + epoch, seen + epoch).map(
            lambda batch: (batch["inputs"], label(batch, len(data.classes)))
        )

    return model, batches, lambda epoch: None


def _optimizer(job: Lesson) -> keras.optimizers.Optimizer:
    return loop.adamw(job.recipe.distill.training, job.steps_an_epoch)


def _label_loss(job: Lesson, data: Dataset) -> LabelLoss:
    """Returns the loss with the labels, which alone is weighted by class: the teachers' predictions are not."""
    training = job.recipe.distill.training
    return LabelLoss(training.label_smoothing, class_weights=class_weights(training, data.train.labels, data.classes))


def _views(
    job: Lesson, signature: Signature, split: Split, epoch: int, view: int, finished: ViewCache | None = None
) -> tf.data.Dataset:
    training, length = job.recipe.distill.training, job.steps_an_epoch * job.batch
    order = loop.training_order(training, split.labels, job.seed, epoch, length)
    augment, seed = job.recipe.data.augment, job.recipe.seed
    return numbered_views(split, augment, seed, view, order, signature, job.batch, finished)


def with_predictions(batch: dict[str, Any], stores: list[StoredPredictions], view: int) -> TeacherPredictions:
    """Adds the teachers' predictions of these views to them, as the `x` of a Distiller.

    Args:
        batch: a batch of `tfkd.data.batches.view_batches`.
        stores: one per teacher, or their combination, of the transfer set that `index` refers to.
        view: number of the views.
    """
    predictions = _predictions(batch["index"], stores, lambda store, positions: store.read(positions, view))
    return TeacherPredictions(batch["inputs"], predictions, batch["index"])


def with_mean_predictions(batch: dict[str, Any], stores: list[StoredPredictions]) -> TeacherPredictions:
    """Adds the mean of the stored predictions of an example to views without predictions.

    The predictions of a mixed view are mixed like its labels. For CutMix this approximates the prediction of a teacher
    that ends in global pooling and one dense layer, because both are linear.
    """
    predictions = _predictions(batch["index"], stores, _mean)
    if "share" in batch:
        partners = _predictions(batch["partner"], stores, _mean)
        weight = batch["share"][:, None]
        predictions = tf.nest.map_structure(
            lambda own, other: weight * own + (1.0 - weight) * other, predictions, partners
        )
    return TeacherPredictions(batch["inputs"], predictions, batch["index"])


def _mean(store: StoredPredictions, positions: Any) -> dict[str, Any]:
    return store.mean(positions)


def _predictions(
    positions: Any, stores: list[StoredPredictions], read: Callable[[StoredPredictions, Any], dict[str, Any]]
) -> tuple[dict[str, Any], ...]:
    taps = [(number, tap, shape) for number, store in enumerate(stores) for tap, shape in store.shapes.items()]

    def values_of(positions: Any) -> list[Any]:
        found = [read(store, positions) for store in stores]
        return [found[number][tap] for number, tap, _ in taps]

    values = tf.numpy_function(values_of, [positions], [tf.float32] * len(taps), stateful=False)
    predictions: tuple[dict[str, Any], ...] = tuple({} for _ in stores)
    for value, (number, tap, shape) in zip(values, taps, strict=True):
        value.set_shape((positions.shape[0], *shape))
        predictions[number][tap] = value
    return predictions


def label(batch: dict[str, Any], classes: int) -> Any:
    """Returns a view's label, int64 [b], or that of a mixed view, float32 [b, classes]."""
    if "share" not in batch:
        return batch["label"]
    weight = batch["share"][:, None]
    return weight * tf.one_hot(batch["label"], classes) + (1.0 - weight) * tf.one_hot(batch["partner_label"], classes)
