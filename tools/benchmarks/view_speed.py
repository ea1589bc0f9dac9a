"""Measures the processor time per training view, in milliseconds on one thread.

    python tools/benchmarks/view_speed.py --images folder:photos --out view_speed.json

The streams of views take turns in rounds, each over the same photos: plain views, with two operations, and with half of
the views mixed; with every photo decoded again, and with cached photos, as for a small data set. The table goes to
stderr, JSON to stdout.
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

from tfkd import machine
from tfkd.data import batches
from tfkd.data.cache import ExampleCache
from tfkd.data.dataset import Split
from tfkd.data.folder import unlabelled
from tfkd.errors import RequestError, TfkdError
from tfkd.files import write_json
from tfkd.inputs.image.reading import ImageReading
from tfkd.inputs.image.samples import write_samples
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
    """Returns the milliseconds per view by memory and augmentation, after a warm-up round."""
    turns = {(memory, name): _turn(split, size, memory, name) for memory in MEMORIES for name in AUGMENTS}
    samples: dict[str, dict[str, list[float]]] = {memory: {name: [] for name in AUGMENTS} for memory in MEMORIES}
    for number in range(rounds + 1):
        for (memory, name), turn in turns.items():
            milliseconds = turn()
            if number:
                samples[memory][name].append(milliseconds)
    return {memory: {name: _spread(taken) for name, taken in each.items()} for memory, each in samples.items()}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", help="folder:PATH of a folder or .zip; default: generated JPEGs of 160x200")
    parser.add_argument("--count", type=int, default=512, help="photos per turn")
    parser.add_argument("--size", type=int, default=96, help="side of the views, pixels")
    parser.add_argument("--rounds", type=int, default=7, help="turns per stream")
    parser.add_argument("--out", type=Path, help="file for a copy of the JSON")
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            split = _photos(options.images, options.count, Path(scratch))
            milliseconds = measure(split, options.size, options.rounds)
    except TfkdError as error:
        parser.error(str(error))
    result = {
        "benchmark": "view_speed",
        "images": options.images or f"{WIDTH}x{HEIGHT} JPEG",
        "count": len(split),
        "image_size": options.size,
        "rounds": options.rounds,
        "machine": machine.environment(),
        "load_before": load,
        "cpu_ms_per_view": milliseconds,
    }
    for memory, each in milliseconds.items():
        for name, spread in each.items():
            print(f"{memory:8} {name:14} {spread['median']:7.3f} ms of CPU per view", file=sys.stderr)
    print(json.dumps(result, indent=2))
    if options.out:
        write_json(options.out, result)


def _photos(images: str | None, count: int, scratch: Path) -> Split:
    if images is None:
        write_samples(scratch, count, WIDTH, HEIGHT, SEED)
        images = f"folder:{scratch}"
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
