"""Measures how fast this machine does each part of the work of a recipe, in about a minute."""

import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd import machine
from tfkd.data.batches import view_batches
from tfkd.data.check import check
from tfkd.data.dataset import Split
from tfkd.distill.distiller import Distiller
from tfkd.distill.losses.label import LabelLoss
from tfkd.distill.predict import predictor
from tfkd.distill.predictions import TeacherPredictions
from tfkd.distill.schedules import losses_of
from tfkd.errors import RequestError
from tfkd.inputs import kind_of as input_kind
from tfkd.inputs.seeds import view_seeds
from tfkd.models import build_student, build_teacher
from tfkd.pipeline.scale.rates import RATES_SCHEMA, MeasuredRate, Rates, TeacherRates
from tfkd.pipeline.scale.subject import ProbeSubject, shape_of
from tfkd.progress import Progress
from tfkd.recipe import Recipe, Teacher
from tfkd.signature import Signature
from tfkd.store.inference import feature_shapes
from tfkd.store.layout import LOGITS, Layout
from tfkd.training.loop import adamw
from tfkd.training.temperature import with_temperature

ROUNDS = 3
_EXAMPLES = 256
_WARM_STEPS, _STEPS = 2, 4
_SECONDS = 0.3  # of a turn, at least
_BLOCK = 64 << 20  # bytes that are hashed, written and read

Turn = Callable[[], float]  # measures once, and returns a number per second


def measure(subject: ProbeSubject, folder: Path, progress: Progress, rounds: int = ROUNDS) -> Rates:
    """Measures this machine, with the first GPU if there is one; the parts take turns in rounds, after a warm-up.

    Args:
        subject: networks and examples; the networks have random weights.
        folder: on the disk that is measured; nothing stays there.
        progress: shows the rounds.
        rounds: turns of each part.

    Raises:
        RequestError: a network cannot be built, a teacher is no network, or an example is gone.
    """
    recipe, examples, signature = subject.recipe, _sampled(subject.examples), subject.signature
    teachers = [_teacher(subject, teacher) for teacher in recipe.teachers]
    layouts = [
        Layout.for_classes(subject.classes, feature_shapes(teacher, recipe.distill.teacher_taps))
        for teacher in teachers
    ]
    student = build_student(
        recipe.student.model_copy(update={"weights": "none"}),
        signature,
        subject.classes,
        recipe.seed,
        recipe.distill.precision,
    )
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        turns = {
            **_on_cores(examples, recipe, signature),
            **_on_disk(Path(scratch) / "block"),
            "training": _training(_student_model(subject, student, layouts), _batch(subject, layouts)),
        }
        for number, teacher in enumerate(teachers):
            turns |= _of_teacher(subject, teacher, number)
        rates = in_turns(turns, rounds, progress)
    gpus = tf.config.list_physical_devices("GPU")
    return Rates(
        schema=RATES_SCHEMA,
        student=recipe.student.model,
        input=shape_of(signature),
        classes=subject.classes,
        processor=machine.processor(),
        cores=machine.cores(),
        gpu=tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else None,
        teachers=[
            TeacherRates(name=teacher.name, predicting=rates[f"predicting {k}"], training=rates[f"teaching {k}"])
            for k, teacher in enumerate(recipe.teachers)
        ],
        example_bytes=float(np.mean([len(examples.encoded(position)) for position in range(len(examples))])),
        view_bytes=sum(layout.bytes_per_view for layout in layouts),
        views_per_shard=min(layout.rows_per_shard for layout in layouts),
        **{name: rates[name] for name in ("checking", "viewing", "training", "hashing", "reading", "writing")},
    )


def in_turns(turns: Mapping[str, Turn], rounds: int, progress: Progress) -> dict[str, MeasuredRate]:
    """Returns what each turn measured, after a round that does not count."""
    found: dict[str, list[float]] = {name: [] for name in turns}
    with progress.task("measuring this machine", (rounds + 1) * len(turns), "turns") as advance:
        for number in range(rounds + 1):
            for name, turn in turns.items():
                rate = turn()
                advance(1)
                if number:
                    found[name].append(rate)
    return {
        name: MeasuredRate(median=statistics.median(values), min=min(values), max=max(values))
        for name, values in found.items()
    }


def _sampled(examples: Split) -> Split:
    positions = np.linspace(0, len(examples) - 1, min(_EXAMPLES, len(examples))).astype(np.int64)
    return examples.take(np.unique(positions))


def _teacher(subject: ProbeSubject, teacher: Teacher) -> keras.Model:
    from tfkd.teachers import kind_of

    if not kind_of(teacher, subject.classes).is_network:
        raise RequestError(
            f"The teacher {teacher.name} is no Keras network, so its speed is not measured; leave out --machines and "
            "the other options of the size to see the stages of this recipe."
        )
    plain = teacher.model_copy(update={"weights": "none"})
    return build_teacher(plain, subject.classes, subject.recipe.seed, subject.names, subject.columns)


def _on_cores(examples: Split, recipe: Recipe, signature: Signature) -> dict[str, Turn]:
    """Returns the turns whose rates are those of one core: they count processor time."""
    positions = np.arange(len(examples))
    seeds = view_seeds(recipe.seed, positions, 0)

    def views() -> None:
        uncached = replace(examples)  # decoded examples are kept by split
        for _ in view_batches(uncached, recipe.data.augment, signature, 64, positions, seeds, threads=1):
            pass

    block = bytes(_BLOCK)
    return {
        "checking": _turn(len(examples), lambda: check({"train": examples}, 1.0), time.process_time),
        "viewing": _turn(len(examples), views, time.process_time),
        "hashing": _turn(_BLOCK, lambda: hashlib.sha256(block).digest(), time.process_time),
    }


def _on_disk(path: Path) -> dict[str, Turn]:
    block = np.random.default_rng(1).bytes(_BLOCK)

    def write() -> None:
        with path.open("wb") as file:
            file.write(block)
            file.flush()
            os.fsync(file.fileno())

    def read() -> None:
        with path.open("rb") as file:
            file.read()

    def forget() -> None:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    return {
        "writing": _turn(_BLOCK, write, time.perf_counter),
        "reading": _turn(_BLOCK, read, time.perf_counter, forget),
    }


def _of_teacher(subject: ProbeSubject, teacher: keras.Model, number: int) -> dict[str, Turn]:
    tuning = subject.recipe.teachers[number].fine_tune or subject.recipe.distill.training
    learner = Distiller(teacher, losses=[], label_weight=1.0)
    learner.compile(adamw(tuning, _STEPS), LabelLoss())
    signature = input_kind(subject.examples.reading.kind_name).signature_of(teacher)
    inputs, labels = _inputs(subject, signature, tuning.batch_size)
    run, batch = predictor(teacher), _inputs(subject, signature, 64)[0]
    return {
        f"predicting {number}": _turn(64, lambda: keras.tree.map_structure(np.asarray, run(batch)), time.perf_counter),
        f"teaching {number}": _training(learner, (inputs, labels)),
    }


def _student_model(subject: ProbeSubject, student: keras.Model, layouts: list[Layout]) -> keras.Model:
    distill = with_temperature(subject.recipe, 1.0).distill  # no temperature takes longer than another
    model = Distiller(
        student,
        losses=losses_of(distill)[0],
        label_weight=distill.label_weight,
        teacher_shares=[teacher.share for teacher in subject.recipe.teachers],
        answers=[_shapes(layout) for layout in layouts],
        images=len(subject.examples),
        predictions_are="logits",
    )
    model.compile(adamw(distill.training, _STEPS), LabelLoss())
    return model


def _shapes(layout: Layout) -> dict[str, tuple[int, ...]]:
    return {LOGITS: (layout.classes,), **layout.features}


def _batch(subject: ProbeSubject, layouts: list[Layout]) -> tuple[Any, Any]:
    """Returns one batch with predictions, as a student reads it from the stores."""
    size, random = subject.recipe.distill.training.batch_size, np.random.default_rng(1)
    inputs, labels = _inputs(subject, subject.signature, size)
    predictions = tuple(
        {name: random.normal(size=(size, *shape)).astype(np.float32) for name, shape in _shapes(layout).items()}
        for layout in layouts
    )
    return TeacherPredictions(inputs, predictions, np.arange(size) % len(subject.examples)), labels


def _inputs(subject: ProbeSubject, signature: Signature, size: int) -> tuple[Any, np.ndarray]:
    """Returns a batch of views and random labels."""
    positions = np.arange(size) % len(subject.examples)
    seeds = view_seeds(subject.recipe.seed, positions, 0)
    (batch,) = view_batches(subject.examples, subject.recipe.data.augment, signature, size, positions, seeds)
    return batch["inputs"], np.random.default_rng(1).integers(0, subject.classes, size)


def _training(model: keras.Model, batch: tuple[Any, Any]) -> Turn:
    """Returns the turn that trains on one batch in memory, and measures the steps after the first ones."""
    size = len(batch[1])
    data = tf.data.Dataset.from_tensors(batch).cache().repeat(_WARM_STEPS + _STEPS).prefetch(2)
    clock = _StepClock()

    def turn() -> float:
        model.fit(data, shuffle=False, verbose=0, callbacks=[clock])
        return size * _STEPS / (clock.end - clock.start)

    return turn


class _StepClock(keras.callbacks.Callback):
    start = end = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch in (_WARM_STEPS - 1, _WARM_STEPS + _STEPS - 1):
            self.model.trainable_variables[-1].numpy()  # a GPU works on after the step has returned
            self.start, self.end = self.end, time.perf_counter()


def _turn(
    amount: int, work: Callable[[], object], clock: Callable[[], float], before: Callable[[], None] = lambda: None
) -> Turn:
    """Returns a turn that repeats some work until it has taken a moment; what comes before each is not timed."""

    def turn() -> float:
        done, spent = 0, 0.0
        while spent < _SECONDS:
            before()
            start = clock()
            work()
            spent += clock() - start
            done += amount
        return done / spent

    return turn
