"""Fine-tunes, freezes and measures the teacher."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfkd.data.batches import numbered_views, plain_batches
from tfkd.data.dataset import Dataset
from tfkd.distill.distiller import Distiller
from tfkd.distill.losses.label import LabelLoss
from tfkd.distill.measures import accuracy, calibration_error
from tfkd.distill.predict import predict, predictor
from tfkd.distill.taps import tapped
from tfkd.inputs.image.tensors import side_of
from tfkd.kernels.keras_private import layers_of
from tfkd.models import build_teacher
from tfkd.progress import Progress
from tfkd.recipe import Augment, FineTune, Teacher
from tfkd.training import loop
from tfkd.training.balance import class_weights
from tfkd.training.job import TeacherResult, TuningChoice
from tfkd.training.saving import load_arrays, load_model, save_array, save_arrays, save_model

BATCH = 64
BATCH_NORM_MOMENTUM = 0.9  # Keras's 0.99 needs longer runs to converge


def prepare_teacher(
    teacher: Teacher,
    data: Dataset,
    augment: Augment,
    seed: int,
    folder: Path,
    progress: Progress,
    taps: Sequence[str] = (),
) -> TeacherResult:
    """Builds, fine-tunes and measures a teacher, or continues from the checkpoint of an earlier call.

    The teacher must have the `taps`, whose features are stored with its predictions. Writes to `folder`:
    `teacher.keras`, `test_logits.npy` and `validation_logits.npy` (float32 [examples, classes]) and the learning curve.

    Raises:
        RequestError: the model, its weights, its taps or its number of classes do not fit, or the training diverged.
    """
    model = build_teacher(teacher, len(data.classes), seed, data.classes, data.columns)
    tapped(model, taps)
    signature = data.kind.signature_of(model)
    seconds, choice = (
        _fine_tune(model, teacher, data, augment, seed, folder, progress) if teacher.fine_tune else (0.0, None)
    )
    model.trainable = False
    run = predictor(model)
    logits = {}
    for name, split in (("test", data.test), ("validation", data.validation)):
        with progress.task(f"teacher predictions ({name})", len(split.labels), "examples") as advance:
            logits[name] = predict(run, plain_batches(split, signature, BATCH), advance)
    save_model(model, folder / "teacher.keras")
    for name, rows in logits.items():
        save_array(rows, folder / f"{name}_logits.npy")
    right = accuracy(logits["test"], data.test.labels)
    state = "" if teacher.fine_tune else " used unchanged,"
    progress.say(f"  teacher {teacher.model}:{state} accuracy {right:.1%} on {len(data.test):,} test {data.kind.noun}s")
    return TeacherResult(
        parameters=model.count_params(),
        image_size=side_of(signature) if signature.kind == "image" else None,
        accuracy=right,
        validation_accuracy=accuracy(logits["validation"], data.validation.labels),
        calibration_error=calibration_error(logits["test"], data.test.labels),
        seconds=seconds,
        tuning=choice,
    )


def _fine_tune(
    model: keras.Model,
    teacher: Teacher,
    data: Dataset,
    augment: Augment,
    seed: int,
    folder: Path,
    progress: Progress,
) -> tuple[float, TuningChoice | None]:
    """Trains the head, then the backbone; returns the seconds, and the comparison of both if the recipe asks for it."""
    tuning, seconds = teacher.fine_tune, 0.0
    assert tuning is not None
    pretrained = teacher.weights != "none"
    if pretrained and tuning.head_epochs and _has_head(model):
        seconds += _train_head(model, tuning, data, seed, folder, progress)
    if not (tuning.auto and tuning.epochs):
        return seconds + _train_thawed(model, tuning, pretrained, data, augment, seed, folder, progress), None
    weights, before = model.get_weights(), _validation_accuracy(model, data)
    seconds += _train_thawed(model, tuning, pretrained, data, augment, seed, folder, progress)
    choice = TuningChoice(before, _validation_accuracy(model, data))
    if not choice.gained:
        model.set_weights(weights)
    kept = "fine-tuned" if choice.gained else "as before"
    progress.say(
        f"  teacher {teacher.model}: validation accuracy {choice.before:.1%} before its backbone was fine-tuned, "
        f"{choice.after:.1%} after; {kept} it is the teacher"
    )
    return seconds, choice


def _validation_accuracy(model: keras.Model, data: Dataset) -> float:
    batches = plain_batches(data.validation, data.kind.signature_of(model), BATCH)
    return accuracy(predict(predictor(model), batches), data.validation.labels)


def load_teacher(path: Path) -> keras.Model:
    """Returns the frozen network of a `.keras` file of this run: a teacher or an assistant."""
    model = load_model(path)
    model.trainable = False
    return model


def _train_head(
    model: keras.Model, recipe: FineTune, data: Dataset, seed: int, folder: Path, progress: Progress
) -> float:
    """Trains the new head on features of the frozen backbone, which are computed once; returns the seconds."""
    path = folder / "head.npz"
    head = model.get_layer("head")
    if not path.is_file():
        start = time.perf_counter()
        _fit_head(model, _features(model, data, progress), data, recipe, seed)
        save_arrays([*[variable.numpy() for variable in head.variables], time.perf_counter() - start], path)
    *weights, seconds = load_arrays(path)
    for variable, value in zip(head.variables, weights, strict=True):
        variable.assign(value)
    return float(seconds)


def _fit_head(model: keras.Model, features: Any, data: Dataset, recipe: FineTune, seed: int) -> None:
    inputs = x = keras.Input(features.shape[1:])
    for layer in model.layers[model.layers.index(model.get_layer("head")) :]:
        x = layer(x)
    fit_head(keras.Model(inputs, x), features, data.train.labels, data.classes, recipe, seed)


def fit_head(
    head: keras.Model, features: Any, labels: Any, classes: Sequence[str], recipe: FineTune, seed: int
) -> None:
    """Trains a head on features, float32 [n, values], with labels, int64 [n], of the classes, for its own epochs."""
    tuning = recipe.model_copy(
        update={"epochs": recipe.head_epochs, "learning_rate": recipe.head_learning_rate, "warmup_epochs": 0.0}
    )
    steps = -(-len(features) // recipe.batch_size)
    head.compile(loop.adamw(tuning, steps), _label_loss(recipe, labels, classes), jit_compile=False)
    for epoch in range(recipe.head_epochs):
        order = loop.training_order(recipe, labels, seed, epoch, len(features))
        head.fit(features[order], labels[order], batch_size=recipe.batch_size, shuffle=False, verbose=0)


def _label_loss(recipe: FineTune, labels: Any, classes: Sequence[str]) -> LabelLoss:
    return LabelLoss(recipe.label_smoothing, class_weights=class_weights(recipe, labels, classes))


def _features(model: keras.Model, data: Dataset, progress: Progress) -> Any:
    run = predictor(keras.Model(model.input, model.get_layer("head").input))
    with progress.task("teacher features", len(data.train), "examples") as advance:
        return predict(run, plain_batches(data.train, data.kind.signature_of(model), BATCH), advance)


def _train_thawed(
    model: keras.Model,
    recipe: FineTune,
    pretrained: bool,
    data: Dataset,
    augment: Augment,
    seed: int,
    folder: Path,
    progress: Progress,
) -> float:
    """Trains the unfrozen layers on augmented views; returns the seconds."""
    if not recipe.epochs:
        return 0.0
    if pretrained:
        _thaw(model.get_layer("backbone") if _has_head(model) else model, recipe.thaw)
    else:
        _settle_batch_norm(model)
    examples = len(data.train)
    batch = min(recipe.batch_size, examples)
    steps = examples // batch
    learner = Distiller(model, losses=[], label_weight=1.0)
    learner.compile(loop.adamw(recipe, steps), _label_loss(recipe, data.train.labels, data.classes))
    signature = data.kind.signature_of(model)

    def batches(epoch: int) -> tf.data.Dataset:
        order = loop.training_order(recipe, data.train.labels, seed, epoch, steps * batch)
        views = numbered_views(data.train, augment.unmixed, seed, epoch, order, signature, batch)
        return views.map(lambda view: (view["inputs"], view["label"]))

    def report(point: loop.Point) -> None:
        progress.say(f"  teacher epoch {point.epoch} of {recipe.epochs}: {point}")

    held_out = plain_batches(data.validation, signature, BATCH)
    validation = loop.Validation(predictor(model), held_out, data.validation.labels)
    with progress.task("teacher training", recipe.epochs * steps, "steps") as advance:
        _, seconds = loop.fit(learner, model, batches, validation, recipe, folder, advance, report)
    return seconds


def _thaw(backbone: keras.Model, fraction: float) -> None:
    """Unfreezes the top fraction of the layers; BatchNorm keeps its pretrained statistics, as batches are small."""
    first = round(len(backbone.layers) * (1 - fraction))
    for number, layer in enumerate(backbone.layers):
        layer.trainable = number >= first and not isinstance(layer, keras.layers.BatchNormalization)


def _settle_batch_norm(model: keras.Model) -> None:
    """Lowers the BatchNorm momentum, so that the statistics converge in a training from scratch."""
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, BATCH_NORM_MOMENTUM)


def _has_head(model: keras.Model) -> bool:
    """Returns whether a model consists of a backbone and a head, as tfkd's own teachers do."""
    return {"backbone", "head"} <= {layer.name for layer in model.layers}
