"""The student and its control: the same network, seed, steps and schedule, with and without a teacher."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfkd.data import open_source
from tfkd.data.batches import plain_batches, view_batches
from tfkd.data.dataset import ImageData, Split
from tfkd.data.joined import joined
from tfkd.data.views import view_seeds
from tfkd.distill import training
from tfkd.distill.distiller import Distiller
from tfkd.distill.job import Job, StudentResult
from tfkd.distill.losses import LOSSES
from tfkd.distill.losses.label import LabelLoss
from tfkd.distill.measures import accuracy
from tfkd.distill.predict import predict, predictor
from tfkd.distill.saving import save_array, save_model
from tfkd.distill.soft_labels import SoftLabels
from tfkd.models import build_student
from tfkd.progress import Advance
from tfkd.recipe import Recipe

BATCH = 64


def pool(data: ImageData) -> Split:
    """Returns the images that the teacher answers: those for training and, behind them, the unlabelled ones."""
    return joined(data.train, data.unlabelled) if data.unlabelled else data.train


def train_student(job: Job, advance: Advance, say: Callable[[str], None]) -> StudentResult:
    """Trains what the job asks for, or goes on from its checkpoint.

    Leaves in the job's folder: `student.keras`, `test_logits.npy` (float32 [test images, classes]), `curve.json`.

    Raises:
        RequestError: the student, the soft-label store or the data do not fit together, or the training diverged.
    """
    recipe = job.recipe
    data = open_source(recipe.data, recipe.seed, checked=job.checked)
    student = build_student(recipe.student, recipe.data.image_size, len(data.classes), job.seed)
    tuning = recipe.distill.training
    optimizer = training.adamw(tuning, job.steps_an_epoch)
    label_loss = LabelLoss(tuning.label_smoothing)
    if job.kind == "student":
        model = Distiller(student, losses=_losses(recipe), label_weight=recipe.distill.label_weight)
        model.compile(optimizer, label_loss, metrics=["accuracy"])
        batches = _distillation_batches(job, pool(data))
    else:
        model = student
        model.compile(optimizer, label_loss, metrics=["accuracy"], jit_compile=training.has_gpu())
        batches = _control_batches(job, data.train)

    def report(point: training.Point) -> None:
        say(
            f"  {job.kind} (seed {job.seed}) epoch {point.epoch} of {tuning.epochs}: loss {point.loss:.3f}, "
            f"validation {point.validation_accuracy:.1%}"
        )

    validation = plain_batches(data.validation, recipe.data.image_size, BATCH)
    _, seconds = training.fit(model, student, batches, validation, tuning.epochs, job.folder, advance, report)
    return _measure(job, data, student, seconds)


def _losses(recipe: Recipe) -> list[tuple[keras.losses.Loss, float]]:
    return [
        (LOSSES[loss.kind](**loss.model_dump(exclude={"kind", "weight"})), loss.weight)
        for loss in recipe.distill.losses
    ]


def _distillation_batches(job: Job, images: Split) -> Callable[[int], tf.data.Dataset]:
    """Views of the pool with the teacher's stored answers; view `epoch modulo views` of every image."""
    store = SoftLabels(job.soft_labels, job.soft_labels_header)

    def batches(epoch: int) -> tf.data.Dataset:
        view = epoch % store.views

        def with_answers(batch: dict[str, Any]) -> tuple[dict[str, Any], Any]:
            logits = tf.numpy_function(lambda images: store.logits(images, view), [batch["index"]], tf.float32)
            logits.set_shape((batch["index"].shape[0], store.classes))
            return {"image": batch["image"], "teacher_logits": logits}, batch["label"]

        return _views(job, images, epoch, view).map(with_answers, num_parallel_calls=1)

    return batches


def _control_batches(job: Job, train: Split) -> Callable[[int], tf.data.Dataset]:
    """Labelled views, new ones in every epoch: no store limits how many the control may see."""

    def batches(epoch: int) -> tf.data.Dataset:
        return _views(job, train, epoch, epoch).map(lambda batch: (batch["image"], batch["label"]))

    return batches


def _views(job: Job, split: Split, epoch: int, view: int) -> tf.data.Dataset:
    order = training.epoch_order(job.seed, epoch, len(split.labels), job.steps_an_epoch * job.batch)
    data = job.recipe.data
    return view_batches(
        split, data.augment, data.image_size, job.batch, order, view_seeds(job.recipe.seed, order, view)
    )


def _measure(job: Job, data: ImageData, student: keras.Model, seconds: float) -> StudentResult:
    run = predictor(student)
    size = job.recipe.data.image_size
    test = predict(run, plain_batches(data.test, size, BATCH))
    validation = predict(run, plain_batches(data.validation, size, BATCH))
    save_array(test, job.folder / "test_logits.npy")
    save_model(student, job.folder / "student.keras")
    return StudentResult(
        kind=job.kind,
        seed=job.seed,
        parameters=student.count_params(),
        accuracy=accuracy(test, data.test.labels),
        validation_accuracy=accuracy(validation, data.validation.labels),
        seconds=seconds,
    )
