"""Measures memory and speed of a soft-label store: 1,000,000 views of 1,000 classes, read at random and trained from.

    python tools/benchmarks/store_memory.py --out store_memory.json

A synthetic store is written into a temporary folder, once with all classes and once with the largest logits only. A
separate process opens each, reads random batches of 64, and then trains a small Keras student from it, after it has
trained the same student on random logits: the difference is the cost of the store. Memory is read from
/proc/self/smaps_rollup (Linux), split into anonymous and file-mapped pages. Rows are read warm (the files are in the
system's cache), and the first reads, which compare the checksums, are reported separately. The table goes to stderr,
JSON to stdout.
"""

import argparse
import json
import multiprocessing
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfkd import machine
from tfkd.files import write_json
from tfkd.store.layout import Layout
from tfkd.store.soft_labels import SoftLabels, write_soft_labels

CLASSES, BATCH, SEED = 1_000, 64, 1
STEPS_BETWEEN_LOOKS = 20
MIB = 1 << 20
LAYOUTS = {"all": Layout(CLASSES), "top": Layout.for_classes(CLASSES)}


def main() -> None:
    """Measures both layouts and prints the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--views", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=400, help="training steps from the store")
    parser.add_argument("--reads", type=int, default=2_000, help="batches read without a training")
    parser.add_argument("--folder", type=Path, help="parent of the temporary folder")
    parser.add_argument("--out", type=Path, help="file for the JSON")
    options = parser.parse_args()
    found: dict[str, Any] = {"command": shlex.join(["python", *sys.argv]), "environment": machine.environment()}
    for name, layout in LAYOUTS.items():
        found[name] = _measured(layout, options)
        print(_summary_line(name, found[name]), file=sys.stderr, flush=True)
    print(json.dumps(found, indent=2))
    if options.out:
        write_json(options.out, found)


def _measured(layout: Layout, options: argparse.Namespace) -> dict[str, Any]:
    header = {"fingerprint": "synthetic", "images": options.views, "views": 1, "layout": layout.described()}
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="soft-labels-") as folder:
        start = time.perf_counter()
        write_soft_labels(Path(folder), header, _answer, lambda views: None)
        written = {
            "views": options.views,
            "layout": layout.described(),
            "bytes": sum(path.stat().st_size for path in Path(folder).glob("*.npy")),
            "writing_views_per_second": options.views / (time.perf_counter() - start),
        }
        with multiprocessing.get_context("spawn").Pool(1) as process:
            return written | process.apply(_read_and_train, (Path(folder), header, options.reads, options.steps))


def _answer(images: Any, view: int) -> Iterator[dict[str, Any]]:
    """Returns one of 4,096 random rows per image, shifted by a number specific to the image."""
    rows = np.random.default_rng(SEED).normal(0.0, 3.0, (4_096, CLASSES)).astype(np.float32)
    for start in range(0, len(images), 256):
        chosen = images[start : start + 256]
        yield {"logits": rows[chosen % len(rows)] + (chosen % 7)[:, None].astype(np.float32) / 8}


def _read_and_train(folder: Path, header: dict[str, Any], reads: int, steps: int) -> dict[str, Any]:
    start = time.perf_counter()
    store = SoftLabels(folder, header)
    opening = time.perf_counter() - start
    found = {"opening_seconds": opening, "reading": _reading(store, reads)}
    return found | {"training": _training(SoftLabels(folder, header), steps)}


def _reading(store: SoftLabels, batches: int) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    before = _memory()
    start = time.perf_counter()
    for shard in range(0, store.images, store.layout.rows_per_shard):
        store.read([shard], 0)
    first = time.perf_counter() - start
    looks = []
    start, start_cpu = time.perf_counter(), time.process_time()
    for number in range(batches):
        store.read(rng.integers(0, store.images, BATCH), 0)
        if number % STEPS_BETWEEN_LOOKS == 0:
            looks.append(_memory())
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
    return {
        "first_touch_of_all_shards_seconds": first,
        "rows_per_second": batches * BATCH / seconds,
        "rows_per_cpu_second": batches * BATCH / cpu_seconds,  # without other processes
        "memory": _growth(before, looks),
    }


def _training(store: SoftLabels, steps: int) -> dict[str, Any]:
    """Trains on random logits, then from the store, in one `fit` each."""
    import keras
    import tensorflow as tf

    from tfkd.distill.losses import SoftTargetsLoss
    from tfkd.inputs.image.tensors import signature
    from tfkd.models import build_student
    from tfkd.recipe import Student

    student = build_student(Student(), signature(32), CLASSES, SEED)
    student.compile(keras.optimizers.AdamW(1e-3), SoftTargetsLoss(temperature=4.0), jit_compile=False)

    def batches(answers: Callable[[Any], Any], seed: int) -> tf.data.Dataset:
        order = np.random.default_rng(seed).integers(0, store.images, steps * BATCH)

        def example(index: Any) -> tuple[Any, Any]:
            logits = tf.numpy_function(answers, [index], tf.float32, stateful=False)
            logits.set_shape((BATCH, CLASSES))
            images = tf.random.stateless_uniform((BATCH, 32, 32, 3), tf.stack([index[0], seed])) * 255.0
            return images, logits

        return tf.data.Dataset.from_tensor_slices(order).batch(BATCH).map(example).prefetch(2)

    made_up = np.random.default_rng(SEED).normal(0.0, 3.0, (BATCH, CLASSES)).astype(np.float32)
    without = _Looks()
    student.fit(batches(lambda index: made_up, 1), shuffle=False, verbose=0, callbacks=[without.callback()])
    during = _Looks()
    start = time.perf_counter()
    student.fit(
        batches(lambda index: store.read(index, 0)["logits"], 2),
        shuffle=False,
        verbose=0,
        callbacks=[during.callback()],
    )
    seconds = time.perf_counter() - start
    return {
        "steps": steps,
        "student_parameters": student.count_params(),
        "images_per_second": steps * BATCH / seconds,
        "memory": _growth(without.found[-1], during.found),
    }


class _Looks:
    """Samples the memory of this process while a model is trained."""

    def __init__(self) -> None:
        self.found: list[dict[str, float]] = []

    def callback(self) -> Any:
        import keras

        def look(batch: int, logs: Any) -> None:
            if batch % STEPS_BETWEEN_LOOKS == STEPS_BETWEEN_LOOKS - 1:
                self.found.append(_memory())

        return keras.callbacks.LambdaCallback(on_train_batch_end=look)


def _memory() -> dict[str, float]:
    """Returns MiB of this process's memory, split into anonymous and file-mapped pages."""
    fields: dict[str, float] = {}
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        key, value, *_ = line.split()
        fields[key.rstrip(":")] = float(value) * 1024 / MIB
    return {"rss": fields["Rss"], "anonymous": fields["Anonymous"], "file": fields["Rss"] - fields["Anonymous"]}


def _growth(before: dict[str, float], looks: list[dict[str, float]]) -> dict[str, Any]:
    """Returns the memory before, the maximum, and the growth over the second half of the samples, in MiB."""
    middle = looks[len(looks) // 2]
    return {
        "unit": "MiB",
        "before": before,
        "most": {kind: max(look[kind] for look in looks) for kind in before},
        "above": {kind: max(look[kind] for look in looks) - before[kind] for kind in before},
        "grown_in_second_half": {kind: looks[-1][kind] - middle[kind] for kind in before},
        "rss": [look["rss"] for look in looks],
    }


def _summary_line(name: str, found: dict[str, Any]) -> str:
    reading, training = found["reading"], found["training"]
    lines = [
        f"{name}: {found['bytes'] / 1e9:.2f} GB, written at {found['writing_views_per_second']:,.0f} views/s, "
        f"opened in {found['opening_seconds']:.3f} s, first touch of all shards "
        f"{reading['first_touch_of_all_shards_seconds']:.1f} s, {reading['rows_per_second']:,.0f} rows/s"
    ]
    for what in ("reading", "training"):
        memory = found[what]["memory"]
        above, grown = memory["above"], memory["grown_in_second_half"]
        lines.append(
            f"  {what}: {memory['before']['rss']:,.0f} MiB before, at most {above['rss']:,.1f} MiB above it "
            f"(anonymous {above['anonymous']:,.1f}, file {above['file']:,.1f}), "
            f"{grown['rss']:+,.1f} MiB over the second half"
        )
    lines.append(f"  training: {training['images_per_second']:,.0f} images/s, {training['steps']} steps")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
