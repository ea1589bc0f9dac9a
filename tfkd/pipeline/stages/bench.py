"""The benchmark of the .tflite files of student and teachers on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tfkd import machine
from tfkd.bundle.results import BenchEntry
from tfkd.formats.base import load
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.folders import teacher_file_name
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources, settings
from tfkd.pipeline.stages.export import EXPORT, compared_files
from tfkd.pipeline.stages.teacher import kind_in
from tfkd.recipe import Teacher

TIMERS = {"onnxruntime": "tfkd.benchmark.onnx_host:measure"}  # by `TeacherKind.timed_by`


@dataclass(frozen=True)
class BenchResult:
    """The measured latencies of every file, with one thread and with all cores."""

    entries: tuple[BenchEntry, ...]


def _inputs(sources: Sources, number: int) -> Inputs:
    here = {"processor": machine.processor(), "cores": machine.cores()}
    return Inputs({**settings("bench", sources.recipe_json["bench"]), **here}, (EXPORT.name,))


def _work(context: RunContext, number: int) -> BenchResult:
    return BenchResult(tuple(measure_rows(context, compared_files(context))))


def measure_rows(context: RunContext, rows: Mapping[str, Mapping[str, Path]]) -> list[BenchEntry]:
    """Returns the latencies of the files of a comparison; foreign files of teachers are run by their own library.

    Args:
        context: of the run, whose teachers must be finished.
        rows: files by their names in benchmarks, by row.
    """
    from tfkd.benchmark import host

    def say(text: str) -> None:
        context.progress.say(f"  {text}")

    files = {name: path for row in rows.values() for name, path in row.items()}
    foreign: dict[str, dict[str, Teacher]] = {}
    for number, teacher in enumerate(context.recipe.teachers):
        name, library = teacher_file_name(number), kind_in(context, number).timed_by
        if library and name in files:
            foreign.setdefault(library, {})[name] = teacher
            del files[name]
    entries = host.measure(files, context.recipe.bench, say)
    for library, teachers in foreign.items():
        entries += load(TIMERS[library])(teachers, context.recipe.bench, say)
    return entries


BENCH = StageKind(name="bench", version=3, result=BenchResult, inputs=_inputs, work=_work, product="benchmark")
