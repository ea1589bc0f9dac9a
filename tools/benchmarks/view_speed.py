"""What a training view costs: milliseconds of processor time, on one thread.

    python tools/benchmarks/view_speed.py --images folder:photos --out view_speed.json

The streams of views take turns, round after round, each over the same photos: plain views, with two operations, and
with half of the views mixed; with every photo decoded anew, and with the decoded photos cached in memory, as those of a
small data set are. The table goes to stderr, JSON to stdout.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfkd import machine
from tfkd.data import batches
from tfkd.data.cache import ExampleCache
from tfkd.data.dataset import Split
from tfkd.data.folder import unlabelled
from tfkd.errors import RequestError, TfkdError
from tfkd.files import write_json
from tfkd.inputs.image.reading import ImageReading
from tfkd.inputs.image.tensors import signature
from tfkd.inputs.seeds import partners, view_seeds
from tfkd.recipe import Augment

BATCH, SEED = 64, 1
WIDTH, HEIGHT = 160, 200
AUGMENTS = {
    "base": Augment(),
    "operations=2": Augment(operations=2),
    "mixup half": Augment(mix="mixup", mix_share=0.5),
    "cutmix half": Augment(mix="cutmix", mix_share=0.5),
}
MEMORIES = {"decoded": ExampleCache(0), "kept": ExampleCache(1 << 40)}


def measure(split: Split, size: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Returns the milliseconds a view by memory and augmentation, after a round that does not count."""
    turns = {(memory, name): _turn(split, size, memory, name) for memory in MEMORIES for name in AUGMENTS}
    samples: dict[str, dict[str, list[float]]] = {memory: {name: [] for name in AUGMENTS} for memory in MEMORIES}
    for number in range(rounds + 1):
        for (memory, name), turn in turns.items():
            milliseconds = turn()
            if number:
                samples[memory][name].append(milliseconds)
    return {memory: {name: _spread(taken) for name, taken in each.items()} for memory, each in samples.items()}


def write_photos(folder: Path, count: int) -> None:
    """Writes JPEGs of smooth colours with some grain."""
    for k in range(count):
        random = np.random.default_rng([SEED, k])
        coarse = Image.fromarray(random.integers(0, 256, (12, 10, 3), np.uint8))
        photo = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) + random.normal(
            0, 8, (HEIGHT, WIDTH, 1)
        )
        Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(folder / f"{k:04}.jpg", quality=90)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", help="folder:PATH of a folder or .zip; default: JPEGs of 160x200 made for it")
    parser.add_argument("--count", type=int, default=512, help="photos of a turn")
    parser.add_argument("--size", type=int, default=96, help="side of the views, pixels")
    parser.add_argument("--rounds", type=int, default=7, help="turns of every stream")
    parser.add_argument("--out", type=Path, help="file that gets the JSON too")
    asked = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    try:
        with tempfile.TemporaryDirectory() as made:
            split = _photos(asked.images, asked.count, Path(made))
            milliseconds = measure(split, asked.size, asked.rounds)
    except TfkdError as error:
        parser.error(str(error))
    result = {
        "benchmark": "view_speed",
        "images": asked.images or f"{WIDTH}x{HEIGHT} JPEG",
        "count": len(split),
        "image_size": asked.size,
        "rounds": asked.rounds,
        "machine": machine.environment(),
        "load_before": load,
        "cpu_ms_per_view": milliseconds,
    }
    for memory, each in milliseconds.items():
        for name, spread in each.items():
            print(f"{memory:8} {name:14} {spread['median']:7.3f} ms of CPU a view", file=sys.stderr)
    print(json.dumps(result, indent=2))
    if asked.out:
        write_json(asked.out, result)


def _photos(images: str | None, count: int, made: Path) -> Split:
    if images is None:
        write_photos(made, count)
        images = f"folder:{made}"
    kind, _, path = images.partition(":")
    if kind != "folder":
        raise RequestError(f"{images!r} is no folder:PATH.")
    split = unlabelled(path, ImageReading())
    return split.take(np.arange(min(count, len(split))))


def _turn(split: Split, size: int, memory: str, name: str) -> Callable[[], float]:
    indices, own = np.arange(len(split)), replace(split)
    mixed = partners(SEED, 0, indices, len(split))
    seeds = view_seeds(SEED, indices, 0)
    stream = batches.view_batches(
        own, AUGMENTS[name], signature(size), BATCH, indices, seeds, threads=1, partners=mixed
    )

    def turn() -> float:
        batches.cached = MEMORIES[memory]
        start = time.process_time()
        for _ in stream:
            pass
        return 1e3 * (time.process_time() - start) / len(split)

    return turn


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 4), "min": round(min(values), 4), "max": round(max(values), 4)}


if __name__ == "__main__":
    main()
