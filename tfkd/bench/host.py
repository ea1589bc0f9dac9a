"""Latency of TFLite files on this machine, with LiteRT, with one thread and with all cores."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tfkd import machine
from tfkd.errors import RequestError, nearest
from tfkd.export.manifest import BenchEntry, Latency
from tfkd.recipe import Bench


def measure(files: dict[str, Path], bench: Bench, progress: Callable[[str], None] | None = None) -> list[BenchEntry]:
    """Times one inference (batch 1) of every file, all files in turn, in a child process without TensorFlow.

    Args:
        files: artifact name to .tflite file, each with one uint8 or float32 image input.
        bench: number of timed and of warm-up runs.
        progress: receives a line about what is being done.

    Returns:
        For every file one entry with one thread, then, on a machine with several cores, one entry with all of them.

    Raises:
        RequestError: a file is missing, or LiteRT cannot load or run it.
    """
    for path in files.values():
        if not path.is_file():
            raise RequestError(f"Cannot time {path}: there is no such file. Export it again.")
    job = {
        "files": {name: str(path) for name, path in files.items()},
        "threads": sorted({1, machine.cores()}),
        "runs": bench.runs,
        "warmup": bench.warmup,
    }
    device, runtime = machine.processor(), f"LiteRT {version('ai-edge-litert')}"
    entries = []
    for event in _events(job, files):
        if progress is not None and "timing" in event:
            progress(f"timing {len(files)} files in turn, {event['timing']} thread{'s'[: event['timing'] > 1]}")
        if timed := event.get("timed"):
            entries.append(
                BenchEntry(
                    target="host",
                    device=device,
                    runtime=runtime,
                    artifact=timed["artifact"],
                    threads=timed["threads"],
                    runs=len(timed["ms"]),
                    latency_ms=_summary(timed["ms"]),
                    emulated=False,
                )
            )
    return entries


def ratio(entries: list[BenchEntry], numerator: str, denominator: str, threads: int = 1) -> float:
    """Returns how many times longer one artifact takes than another: the ratio of their medians.

    Raises:
        RequestError: one of the two was not timed with that many threads.
    """
    medians = {entry.artifact: entry.latency_ms.median for entry in entries if entry.threads == threads}
    for name in (numerator, denominator):
        if name not in medians:
            raise RequestError(f"{name!r} was not timed with {threads} threads.{nearest(name, list(medians))}")
    return medians[numerator] / medians[denominator]


def _events(job: dict[str, Any], files: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """Yields the runner's events; turns its error, or its death over a broken file, into one line."""
    # -P: a module in the current directory must not take the place of numpy or LiteRT.
    command = [sys.executable, "-P", "-m", "tfkd.bench.host_runner"]
    with tempfile.TemporaryFile("w+") as request, tempfile.TemporaryFile("w+", errors="replace") as log:
        json.dump(job, request)
        request.seek(0)
        with subprocess.Popen(command, stdin=request, stdout=subprocess.PIPE, stderr=log, text=True) as child:
            assert child.stdout is not None
            loading = None
            try:
                for line in child.stdout:
                    event = json.loads(line)
                    loading = event.get("loading", loading)
                    if error := event.get("error"):
                        raise _unusable(files[error["artifact"]], error["reason"])
                    yield event
            except BaseException:
                child.kill()
                raise
        if child.returncode != 0:
            log.seek(0)
            last = (log.read().strip().splitlines() or ["no message"])[-1]
            suspect = files[loading] if loading else Path("the files")
            raise _unusable(suspect, f"LiteRT's process ended with code {child.returncode}: {last}")


def _unusable(path: Path, reason: str) -> RequestError:
    return RequestError(f"LiteRT cannot run {path}: {' '.join(reason.split())[:300]}. Export the file again.")


def _summary(durations: list[float]) -> Latency:
    return Latency(
        median=round(statistics.median(durations), 4),
        p90=round(statistics.quantiles(durations, n=10, method="inclusive")[8], 4),
        min=round(min(durations), 4),
    )
