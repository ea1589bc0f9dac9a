"""Measures training speed in images per second, distilled by tfkd and by keras.distillation.

    python tools/benchmarks/distill_speed.py --teacher efficientnet_b0 --out efficientnet_b0.json

All contestants run in one process and take turns in rounds. They share TensorFlow's threads and memory, so that only
their differences are measured, and other load on the machine affects all of them. Each trains its own copy of the same
student with the same optimizer on the same stream of views, with two prefetched batches. An untrained teacher takes as
long as a trained one.

    peer_default       keras.distillation.Distiller by its defaults: XLA, Kullback-Leibler divergence by name
    peer_best          the same without XLA and with a KLDivergence instance
    online             tfkd's Distiller with an online teacher
    stored             tfkd's Distiller with a soft-label store
    stored_bfloat16    the same with the student in mixed bfloat16
    student            `fit` of the student alone, without XLA
    store              writing the store: views, teacher, shards on the disk
    teacher_float32    the teacher alone, on images in memory
    teacher_bfloat16   the same in mixed bfloat16, which the store uses if the top classes are the same
    views              the stream alone, an upper bound for all that read it

With --only, the named contestants alone take turns. The speed of a round is that of the steps of one `fit` after the
first few. The table goes to stderr, JSON to stdout.
"""

import argparse
import json
import os
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfkd import machine
from tfkd.data import Split, open_source
from tfkd.data.batches import view_batches
from tfkd.distill.distiller import Distiller
from tfkd.distill.predict import predictor
from tfkd.errors import RequestError, TfkdError
from tfkd.files import write_json
from tfkd.inputs.image.tensors import signature
from tfkd.inputs.seeds import view_seeds
from tfkd.models import build_student, build_teacher
from tfkd.recipe import Augment, Data, Student, Teacher
from tfkd.store.inference import ViewPredictor, in_bfloat16, view_predictor
from tfkd.store.layout import Layout
from tfkd.store.soft_labels import SoftLabels, write_soft_labels
from tfkd.training.loop import epoch_order
from tfkd.training.student import with_predictions

DATA = Data(source="embedded:fashion_mnist_mini", image_size=64)
SIZE, BATCH, SEED, VIEW = DATA.image_size, 64, 1, 0
VIEWS_OF_A_RUN = 40  # per image; the number decides whether a search for batch size and dtype is worth its time
WARM_STEPS = 4  # then the stream's buffers are full, and tracing and compilation are over
TEMPERATURE = 4.0
RATIOS = (
    ("online", "peer_default"),
    ("online", "peer_best"),
    ("stored", "peer_best"),
    ("stored", "student"),
    ("stored_bfloat16", "stored"),
)
SHOWN = ("median", "min", "max")
TEACHER_ALONE = ("teacher_float32", "teacher_bfloat16")


@dataclass(frozen=True)
class Pair:
    """The networks and the number of steps that are measured.

    Attributes:
        teacher: as recipes name it.
        student: as recipes name it.
        steps: timed steps of every contestant in every round.
        image_size: side of the images, pixels.
        batch: images per step.
    """

    teacher: str
    student: str
    steps: int
    image_size: int = SIZE
    batch: int = BATCH


@dataclass(frozen=True)
class Sample:
    """One turn of one contestant; processor seconds are those of all threads."""

    images: int
    seconds: float
    cpu_seconds: float


Contestant = Callable[[int], Sample]  # takes the index of the round


class Stopwatch(keras.callbacks.Callback):
    """Times the steps of a `fit` after the first WARM_STEPS."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch not in (WARM_STEPS - 1, self.params["steps"] - 1):
            return
        self.model.trainable_variables[-1].numpy()  # a GPU works on after the step has returned
        self.end = _now()
        if batch == WARM_STEPS - 1:
            self.start = self.end


@dataclass(frozen=True)
class Materials:
    """What the contestants share: the networks, the images and a store that they read.

    Attributes:
        pair: the names of the networks.
        pool: the images.
        classes: number of classes.
        teacher: an untrained network.
        predict: predicts the views of the pool as a store does.
        store: of the first view of every image.
        folder: of the stores.
    """

    pair: Pair
    pool: Split
    classes: int
    teacher: keras.Model
    predict: ViewPredictor
    store: SoftLabels
    folder: Path

    def student(self, precision: str = "float32") -> keras.Model:
        """Builds a copy of the student."""
        return build_student(
            Student(model=self.pair.student), signature(self.pair.image_size), self.classes, SEED, precision
        )

    def views(self, number: int) -> tf.data.Dataset:
        """Returns the stream of views of a round."""
        length = (WARM_STEPS + self.pair.steps) * self.pair.batch
        order = epoch_order(SEED, number, len(self.pool), length)
        seeds = view_seeds(SEED, order, VIEW)
        return view_batches(self.pool, Augment(), signature(self.pair.image_size), self.pair.batch, order, seeds)

    def answered(self, batch: dict[str, Any]) -> tuple[Any, Any]:
        """Returns a batch with the stored predictions."""
        return with_predictions(batch, [self.store], VIEW), batch["label"]

    def fill(self, name: str) -> Path:
        """Writes a store of the pool."""
        return _filled(self.folder / name, self.pool, self.classes, self.predict)

    def alone(self, teacher: keras.Model) -> Contestant:
        """Returns the contestant that runs a teacher on images in memory."""
        batch, size = self.predict.inference.batch, self.pair.image_size
        run = predictor(teacher)
        given = tf.random.stateless_uniform((batch, size, size, 3), (SEED, 0), maxval=255.0)
        steps = -(-len(self.pool) // batch)

        def answer() -> None:
            for _ in range(steps):
                last = run(given)
            last.numpy()  # a GPU works on after the call

        return lambda number: timed(steps * batch, answer)


def materials(pair: Pair, folder: Path) -> Materials:
    """Builds the networks, and the store that the contestants read, in `folder`."""
    data = open_source(DATA.model_copy(update={"image_size": pair.image_size}), SEED)
    classes = len(data.classes)
    pool = data.train.take(np.arange(min(len(data.train), (WARM_STEPS + pair.steps) * pair.batch)))
    teacher = build_teacher(Teacher(model=pair.teacher, weights="none", image_size=pair.image_size), classes, SEED)
    teacher.trainable = False
    predict = view_predictor(teacher, (), pool, Augment(), SEED, classes, VIEWS_OF_A_RUN, folder)
    read = _filled(folder / "read", pool, classes, predict)
    return Materials(pair, pool, classes, teacher, predict, SoftLabels(read, _header(pool, classes)), folder)


def _filled(folder: Path, pool: Split, classes: int, predict: ViewPredictor) -> Path:
    write_soft_labels(folder, _header(pool, classes), predict, lambda views: None)
    return folder


def _header(pool: Split, classes: int) -> dict[str, Any]:
    return {"images": len(pool), "views": 1, "layout": Layout(classes).described()}


def contestants(pair: Pair, folder: Path) -> dict[str, Contestant]:
    """Builds the contestants; the store that they read is in `folder`."""
    shared = materials(pair, folder)
    teacher, student = shared.teacher, shared.student

    def training(model: keras.Model, jit_compile: bool | str, form: Callable[[Any], Any] = plain) -> Contestant:
        compiled(model, jit_compile)
        return lambda number: fitted(model, shared.views(number).map(form).prefetch(2), pair)

    return {
        "peer_default": training(peer(teacher, student(), "kl_divergence"), "auto"),
        "peer_best": training(peer(teacher, student(), keras.losses.KLDivergence()), False),
        "online": training(Distiller(student(), teachers=[teacher]), False),
        "stored": training(Distiller(student()), False, shared.answered),
        "stored_bfloat16": training(Distiller(student("mixed_bfloat16")), False, shared.answered),
        "student": training(student(), False),
        "store": lambda number: timed(len(shared.pool), lambda: shared.fill(f"made-{number}")),
        "teacher_float32": shared.alone(teacher),
        "teacher_bfloat16": shared.alone(in_bfloat16(teacher)),
        "views": lambda number: _drain(shared.views(number)),
    }


def measure(
    pair: Pair, rounds: int, only: list[str], folder: Path, say: Callable[[str], None]
) -> dict[str, list[Sample]]:
    """Returns a sample of every contestant from every round, after a warm-up round; `only` of these, unless empty.

    Raises:
        RequestError: there is no such contestant.
    """
    turns = contestants(pair, folder)
    if unknown := sorted(set(only) - set(turns)):
        raise RequestError(f"--only: no contestant {unknown[0]!r}; there are {', '.join(turns)}.")
    turns = {name: turn for name, turn in turns.items() if name in only or not only}
    samples: dict[str, list[Sample]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name, turn in turns.items():
            sample = turn(number)
            say(f"round {number} of {rounds}  {name:17} {sample.images / sample.seconds:9.1f} images/s")
            if number:
                samples[name].append(sample)
    return samples


def summary(samples: dict[str, list[Sample]]) -> dict[str, Any]:
    """Returns speeds and ratios; ratios are computed within rounds, so that other load affects both sides."""
    rates = {name: [sample.images / sample.seconds for sample in taken] for name, taken in samples.items()}
    pairs = [pair for pair in (*RATIOS, *_store_and_inference(rates)) if set(pair) <= set(rates)]
    return {
        "images_per_second": {name: spread(values) for name, values in rates.items()},
        "cpu_ms_per_image": {
            name: spread([1e3 * sample.cpu_seconds / sample.images for sample in taken])
            for name, taken in samples.items()
        },
        "ratios": {
            f"{upper} / {lower}": spread([u / v for u, v in zip(rates[upper], rates[lower], strict=True)])
            for upper, lower in pairs
        },
    }


def _store_and_inference(rates: dict[str, list[float]]) -> list[tuple[str, str]]:
    alone = [name for name in TEACHER_ALONE if name in rates]
    return [("store", max(alone, key=lambda name: statistics.median(rates[name])))] if alone else []


def table(result: dict[str, Any]) -> str:
    """Returns the result as a table for the terminal."""
    lines = [" " * 28 + "".join(f"{key:>9}" for key in SHOWN)]
    for part, digits in (("images_per_second", 1), ("ratios", 3)):
        for name, spread in result[part].items():
            lines.append(f"{name:28}" + "".join(f"{spread[key]:9.{digits}f}" for key in SHOWN))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="efficientnet_b0", help="a name from `tfkd list teachers`")
    parser.add_argument("--student", default="mobilenet_v3_small", help="a name from `tfkd list students`")
    parser.add_argument("--rounds", type=int, default=7, help="turns per contestant")
    parser.add_argument("--steps", type=int, default=40, help="timed steps per turn")
    parser.add_argument("--only", nargs="+", default=[], metavar="CONTESTANT", help="default: all of them")
    parser.add_argument("--quick", action="store_true", help="1 round of 5 steps, as a check")
    parser.add_argument("--out", type=Path, help="file for a copy of the JSON")
    options = parser.parse_args(arguments)
    rounds, steps = (1, 5) if options.quick else (options.rounds, options.steps)
    pair = Pair(options.teacher, options.student, steps)
    load = os.getloadavg()[0]
    try:
        with tempfile.TemporaryDirectory() as folder:
            samples = measure(
                pair, rounds, options.only, Path(folder), lambda line: print(line, file=sys.stderr, flush=True)
            )
    except TfkdError as error:
        parser.error(str(error))
    result = {
        "benchmark": "distill_speed",
        "command": shlex.join(["python", *sys.argv]),
        **asdict(pair),
        "rounds": rounds,
        "machine": machine.environment(),
        "load_before": load,
        **summary(samples),
    }
    print(table(result), file=sys.stderr)
    print(json.dumps(result, indent=2))
    if options.out:
        write_json(options.out, result)


def peer(teacher: keras.Model, student: keras.Model, loss: Any) -> keras.Model:
    """Returns Keras's own Distiller; its best form has a loss instance."""
    distillation = keras.distillation.LogitsDistillation(temperature=TEMPERATURE, loss=loss)
    return keras.distillation.Distiller(teacher, student, distillation)


def compiled(model: keras.Model, jit_compile: bool | str) -> keras.Model:
    """Compiles a contestant with the optimizer and the loss that all have."""
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )
    return model


def plain(batch: dict[str, Any]) -> tuple[Any, Any]:
    """Returns a batch without predictions."""
    return batch["inputs"], batch["label"]


def fitted(model: keras.Model, batches: tf.data.Dataset, pair: Pair) -> Sample:
    """Trains on a stream, and times the steps after the first ones."""
    watch = Stopwatch()
    model.fit(batches, verbose=0, callbacks=[watch])
    return _sample(pair.steps * pair.batch, watch.start, watch.end)


def _drain(batches: tf.data.Dataset) -> Sample:
    stream = iter(batches)
    for _ in range(WARM_STEPS):
        next(stream)
    start = _now()
    images = sum(len(batch["index"]) for batch in stream)
    return _sample(images, start, _now())


def timed(images: int, work: Callable[[], object]) -> Sample:
    """Runs and times some work on so many images."""
    start = _now()
    work()
    return _sample(images, start, _now())


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _sample(images: int, start: tuple[float, float], end: tuple[float, float]) -> Sample:
    return Sample(images, end[0] - start[0], end[1] - start[1])


def spread(values: list[float]) -> dict[str, Any]:
    """Returns the median, the smallest and the largest of the rounds."""
    rounded = [round(value, 4) for value in values]
    return {"median": round(statistics.median(values), 4), "min": min(rounded), "max": max(rounded), "rounds": rounded}


if __name__ == "__main__":
    main()
