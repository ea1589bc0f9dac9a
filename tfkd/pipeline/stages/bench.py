"""The benchmark of the .tflite files of student and teachers on this machine."""

from dataclasses import dataclass

from tfkd import machine
from tfkd.bundle.results import BenchEntry
from tfkd.pipeline.context import RunContext
from tfkd.pipeline.kind import Inputs, StageKind
from tfkd.pipeline.sources import Sources, settings
from tfkd.pipeline.stages.export import EXPORT, compared_files


@dataclass(frozen=True)
class BenchResult:
    """The measured latencies of every file, with one thread and with all cores."""

    entries: tuple[BenchEntry, ...]


def _inputs(sources: Sources, number: int) -> Inputs:
    here = {"processor": machine.processor(), "cores": machine.cores()}
    return Inputs({**settings("bench", sources.recipe_json["bench"]), **here}, (EXPORT.name,))


def _work(context: RunContext, number: int) -> BenchResult:
    from tfkd.benchmark import host

    files = {name: path for row in compared_files(context).values() for name, path in row.items()}
    entries = host.measure(files, context.recipe.bench, lambda text: context.progress.say(f"  {text}"))
    return BenchResult(tuple(entries))


BENCH = StageKind(name="bench", version=3, result=BenchResult, inputs=_inputs, work=_work, product="benchmark")
