"""Latency of TFLite files on this machine, with LiteRT, with one thread and with all cores."""

import sys
import tempfile
from pathlib import Path

import numpy as np

from tfkd.benchmark import driver, gates
from tfkd.benchmark.driver import Listener, RunnerPlace
from tfkd.benchmark.options import HostOptions
from tfkd.benchmark.programs import ChildError
from tfkd.benchmark.subject import BenchSubject, of_files
from tfkd.bundle.results import BenchEntry, Result
from tfkd.errors import RequestError, nearest
from tfkd.progress import Say
from tfkd.recipe import Bench

FORMATS = ("tflite",)
LIMITS = gates.TIMES | {"max_memory_mb"}


def check(address: str, options: HostOptions) -> None:
    """Checks the address without measuring.

    Raises:
        RequestError: there is one.
    """
    if address:
        raise RequestError(f"The target host is this machine; it has no address {address!r}. For a board: ssh://…")


def bench(
    address: str,
    subject: BenchSubject,
    options: HostOptions,
    progress: Say | None = None,
    listener: Listener = driver.DEAF,
) -> list[Result]:
    """Times one inference (batch 1) of every file, all files in turn, in a process without TensorFlow.

    Args:
        address: the text after `host:`; must be empty.
        subject: .tflite files, each with one uint8 or float32 image input.
        options: how often.
        progress: receives a line about what is being done.
        listener: hears of this machine before anything is timed.

    Returns:
        For every file one result a number of threads.

    Raises:
        RequestError: LiteRT cannot load or run a file.
    """
    check(address, options)
    with tempfile.TemporaryDirectory() as folder:
        golden = Path(folder) / "golden.npy"
        np.save(golden, subject.images)
        place = RunnerPlace(
            target="host",
            title="this machine",
            # -P: what lies beside the runner must not take the place of the standard library.
            command=[sys.executable, "-P", str(driver.RUNNER)],
            files={name: str(path) for name, path in subject.paths.items()},
            golden=str(golden) if len(subject.images) else None,
        )
        try:
            return driver.run(place, subject, options, progress, listener)
        except ChildError as error:
            raise RequestError(f"LiteRT's process ended with code {error.code}: {error.last_line}") from None


def measure(files: dict[str, Path], settings: Bench, progress: Say | None = None) -> list[BenchEntry]:
    """Times files by the settings of a recipe; returns the manifest's entries, by number of threads.

    Args:
        files: artifact name to .tflite file.
        settings: number of timed and of warm-up runs.
        progress: receives a line about what is being done.

    Raises:
        RequestError: a file is missing, or LiteRT cannot load or run it.
    """
    options = HostOptions(runs=settings.runs, warmup=settings.warmup)
    found = bench("", of_files(files), options, progress)
    return [BenchEntry.of(result) for result in sorted(found, key=lambda result: result.threads or 0)]


def ratio(entries: list[BenchEntry], numerator: str, denominator: str, threads: int = 1) -> float:
    """Returns how many times longer one artifact takes than another: the ratio of their medians.

    Raises:
        RequestError: one of the two was not timed with that many threads.
    """
    medians = {
        entry.artifact: entry.latency_ms.median
        for entry in entries
        if entry.latency_ms is not None and entry.threads == threads
    }
    for name in (numerator, denominator):
        if name not in medians:
            raise RequestError(f"{name!r} was not timed with {threads} threads.{nearest(name, list(medians))}")
    return medians[numerator] / medians[denominator]
