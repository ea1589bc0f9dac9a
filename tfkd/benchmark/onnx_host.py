"""Latency of ONNX files on this machine, with onnxruntime in a process apart."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from tfkd import machine
from tfkd.benchmark import driver, statistics
from tfkd.benchmark.options import HostOptions
from tfkd.bundle.results import BenchEntry
from tfkd.errors import RequestError
from tfkd.models import onnx_worker
from tfkd.progress import Say
from tfkd.recipe import Bench, Teacher
from tfkd.sandbox import Sandbox


def measure(teachers: Mapping[str, Teacher], settings: Bench, progress: Say | None = None) -> list[BenchEntry]:
    """Times one inference per image of the files of teachers, with one thread and with all cores.

    Args:
        teachers: blocks of the recipe, by the names of their files in benchmarks.
        settings: number of timed and of warm-up runs.
        progress: receives a line about what is being done.

    Raises:
        RequestError: a file cannot be run.
    """
    counts = driver.counts(HostOptions(runs=settings.runs, warmup=settings.warmup), machine.cores())
    entries = []
    for name, teacher in teachers.items():
        path = Path(teacher.model)
        if progress is not None:
            progress(f"timing {path.name} with onnxruntime, {settings.runs} runs")
        with Sandbox(RequestError) as sandbox:
            description = sandbox.call(path, onnx_worker.describe, path, teacher.output, (), teacher.image_size)
            for threads in counts:
                samples = sandbox.call(
                    path, onnx_worker.timed, path, description, threads, settings.warmup, settings.runs
                )
                entries.append(_entry(name, threads, samples))
    return entries


def _entry(name: str, threads: int, samples: list[float]) -> BenchEntry:
    return BenchEntry(
        target="host",
        device=machine.processor(),
        runtime=f"onnxruntime {version('onnxruntime')}",
        artifact=name,
        threads=threads,
        runs=len(samples),
        latency_ms=statistics.summary(samples),
        delegate="cpu",
        emulated=False,
        rung=driver.evidence_level(platform.machine()),
    )
