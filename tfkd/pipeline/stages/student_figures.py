"""The figures that tell the causes of a poor student apart; what its run has not stored is predicted once."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tfkd.files import fingerprint, read_sealed, write_sealed
from tfkd.pipeline.causes import class_limits
from tfkd.pipeline.causes.class_limits import SplitPredictions, keys_on_classes, worst_class
from tfkd.pipeline.causes.figures import ClassFigures, StudentFigures, TrainingFigures
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.filling import images_in_transfer_set
from tfkd.pipeline.folders import CURVE, STUDENT_MODEL, of_seed
from tfkd.pipeline.stages.control import CONTROL
from tfkd.pipeline.stages.on_validation import predictions_of, probabilities_of
from tfkd.pipeline.stages.student import STUDENT, best_folder
from tfkd.pipeline.stages.teacher import ensemble_logits, validation_accuracy
from tfkd.pipeline.stages.trainings import stores_behind
from tfkd.recipe.networks import chain
from tfkd.training.job import Store
from tfkd.verification.class_gates import promises
from tfkd.verification.diagnosis import temperatures
from tfkd.verification.truth import paired_test

VERSION = 2  # of what is measured
MOST_IMAGES = 400
BATCH = 64


def figures_of(context: RunContext, missed: Sequence[str] | None) -> StudentFigures:
    """Returns the figures of the best student of a run whose students are finished.

    With folds the student that ships has seen all labelled images; the figures are those without the first fold.

    Args:
        context: of the run.
        missed: names of the missed gates; None where none was judged, so that the validation images decide.
    """
    if context.data.is_pooled:
        return figures_of(context.part([0]), missed)
    result, recipe, data = context.result(STUDENT).best, context.recipe, context.data
    control = context.result(CONTROL).of(result.seed)
    points = json.loads((best_folder(context) / CURVE).read_text(encoding="utf-8"))
    softened = temperatures(recipe.distill, result.temperature)
    images = len(data.validation)
    training, only_right = _kept(context, [temperature for _, temperature in softened] or [1.0])
    return StudentFigures(
        recipe=recipe,
        labelled=len(data.train),
        transfer=images_in_transfer_set(data),
        losses=tuple(point["loss"] for point in points),
        curve=tuple(point["validation_accuracy"] for point in points),
        validation=(images, round(result.validation_accuracy * images)),
        teacher=validation_accuracy(context),
        control=control.validation_accuracy if control else None,
        temperatures=tuple(softened),
        training=training,
        only_right=only_right,
        at_stake=_at_stake(context, missed),
    )


def _at_stake(context: RunContext, missed: Sequence[str] | None) -> tuple[ClassFigures, ...]:
    """Returns the classes on which missed gates depend; of a gate on all classes the one by which it is missed most."""
    gates, classes = context.recipe.gates, context.data.classes
    if not class_limits.limits(gates, classes) or not (missed is None or keys_on_classes(missed)):
        return ()
    found = predictions_of(context, best_folder(context))
    if missed is None:
        keys = list(class_limits.shortfalls(gates, class_limits.measured(gates, found, classes), classes))
    else:
        keys = keys_on_classes(missed)
    by_number: dict[int, str] = {}
    for kind, *name in keys:
        by_number.setdefault(list(classes).index(name[0]) if name else worst_class(kind, found), kind)
    return tuple(_class_figures(context, found, number, kind) for number, kind in by_number.items())


def _class_figures(context: RunContext, found: SplitPredictions, number: int, kind: str) -> ClassFigures:
    """Returns the figures of a class on which a gate of some kind depends."""
    data, members = context.data, found.labels == number
    train = np.bincount(data.train.labels, minlength=len(data.classes))
    return ClassFigures(
        name=data.classes[number],
        train=int(train[number]),
        most=int(train.max()),
        validation=int(members.sum()),
        right=int((found.judged_by(kind)[members] == number).sum()),
        teacher_right=None if found.teacher is None else int((found.teacher[members] == number).sum()),
        promise=promises(context.recipe.gates, data.classes).get(data.classes[number]),
    )


def _kept(context: RunContext, softened: Sequence[float]) -> tuple[TrainingFigures, tuple[int, int] | None]:
    """Returns the figures on training images, and `only_right`, which the folder of the run keeps."""
    trainings = [context.stages[kind.name].fingerprint for kind in (STUDENT, CONTROL)]
    key = fingerprint(VERSION, trainings, context.result(STUDENT).best.seed, [*softened])
    record = read_sealed(context.folder.causes) or {}
    if record.get("key") != key:
        figures, only_right = asdict(_measured(context, softened)), _only_right(context)
        record = {"key": key, "figures": figures, "only_right": only_right}
        write_sealed(context.folder.causes, record)
    only_right = record["only_right"]
    return TrainingFigures(**record["figures"]), None if only_right is None else (only_right[0], only_right[1])


def _only_right(context: RunContext) -> tuple[int, int] | None:
    """Counts the validation images that only the teacher, and that only the control predicts correctly."""
    control = of_seed(context.folder_of(CONTROL), context.result(STUDENT).best.seed)
    teacher, labels = ensemble_logits(context, "validation"), context.data.validation.labels
    if teacher is None or not (control / STUDENT_MODEL).is_file():
        return None
    test = paired_test(labels, teacher.argmax(axis=1), probabilities_of(context, control).argmax(axis=1))
    return test.gained, test.lost


def _measured(context: RunContext, softened: Sequence[float]) -> TrainingFigures:
    """Predicts training images with the student, and reads what its teacher predicted for the same views."""
    context.start_tensorflow()
    from tfkd.data.batches import plain_batches
    from tfkd.distill.measures import confidence, flatness
    from tfkd.distill.predict import predict, predictor
    from tfkd.training.saving import load_model

    data, recipe = context.shipped, context.recipe
    signature = data.reading.signature(recipe.data)
    positions = np.unique(np.linspace(0, len(data.train) - 1, min(len(data.train), MOST_IMAGES)).astype(np.int64))
    images = data.train.take(positions)
    run = predictor(load_model(best_folder(context) / STUDENT_MODEL))
    plain = predict(run, plain_batches(images, signature, BATCH)).argmax(axis=1)
    of_views = predict(run, _views(context, positions)).argmax(axis=1)
    taught = _taught(stores_behind(recipe, context.data, context.stages, len(chain(recipe))), positions)
    is_mixed = recipe.teacher_views.mix != "none"
    return TrainingFigures(
        images=len(positions),
        disagreeing=int((of_views != taught.argmax(axis=1)).sum()),
        student_right=int((plain == images.labels).sum()),
        teacher_right=None if is_mixed else int((taught.argmax(axis=1) == images.labels).sum()),
        most_frequent=int(np.bincount(plain).max()),
        most_labelled=int(np.bincount(images.labels).max()),
        confidence=confidence(taught, min(softened)),
        flatness=flatness(taught, max(softened)),
    )


def _views(context: RunContext, positions: np.ndarray) -> Any:
    """Returns the first stored view of training images in the student's rendering, with labels."""
    from tfkd.data.batches import numbered_views
    from tfkd.training.student import transfer_set

    data, recipe = context.shipped, context.recipe
    split, signature = transfer_set(data), data.reading.signature(recipe.data)
    views = numbered_views(split, recipe.teacher_views, recipe.seed, 0, positions, signature, BATCH)
    return views.map(lambda batch: (batch["inputs"], batch["label"]))


def _taught(stores: Sequence[Store], positions: np.ndarray) -> Any:
    """Returns the stored predictions of these views, of all teachers together, float32 [n, classes]."""
    from tfkd.distill.ensemble import together
    from tfkd.training.teaching import open_stores

    found, weights = open_stores(stores)
    return together([store.read(positions, 0)["logits"] for store in found], weights)
