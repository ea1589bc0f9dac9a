"""Measures a bundle on a target, judges the results, and keeps them in the bundle's manifest."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfkd.bench import TARGETS, gates, outputs, results, statistics, subject
from tfkd.bench.driver import Options, Say
from tfkd.bench.gates import Limits
from tfkd.bench.results import Result
from tfkd.errors import RequestError, nearest
from tfkd.export.manifest import Gate
from tfkd.export.publishing import claimed, opened

MORE = 4  # times that an unclear change is measured again


@dataclass(frozen=True)
class Outcome:
    """What a benchmark found.

    Attributes:
        results: for every file and number of threads.
        gates: the verdicts; empty without limits and without golden answers.
    """

    results: list[Result]
    gates: list[Gate]

    @property
    def passed(self) -> bool:
        return all(gate.passed for gate in self.gates)


def bench(
    folder: Path,
    target: str,
    options: Options,
    limits: Limits,
    only: str = "*",
    progress: Say | None = None,
) -> Outcome:
    """Measures the files of a bundle, and appends the results to its manifest, whether or not they keep the limits.

    A change against the baseline that is lost in noise is measured up to four times more, until it is clear.

    Args:
        folder: of the bundle.
        target: name, or name:address.
        options: how to measure.
        limits: what to keep.
        only: pattern of the files' paths in the bundle.
        progress: receives a line about what is being done.

    Raises:
        RequestError: the target is unknown or could not measure, the bundle is damaged, or a limit cannot be judged.
    """
    name, _, address = target.partition(":")
    if name not in TARGETS:
        raise RequestError(f"There is no target {name!r}.{nearest(name, list(TARGETS))}")
    place, _, function = TARGETS[name].partition(":")
    module = importlib.import_module(place)
    measure = getattr(module, function)
    earlier = results.read(limits.baseline) if limits.baseline else []
    with opened(folder) as here:
        files = subject.of_bundle(here, module.FORMATS, only)

        def once() -> list[Result]:
            return measure(address, files, options, progress)

        # Results that stand in a file stay what they are, however often they are read.
        found = once() if address.endswith(".json") else until_clear(once, limits, earlier, progress)
    judged = gates.judge(limits, found, earlier)
    with claimed(folder):
        outputs.record(folder, found)
    return Outcome(found, judged)


def until_clear(
    measure: Callable[[], list[Result]], limits: Limits, earlier: list[Result], progress: Say | None = None
) -> list[Result]:
    """Measures, and up to four times more while a change against the earlier results is lost in noise."""
    found = measure()
    for _ in range(MORE):
        if not gates.unclear(limits, found, earlier):
            break
        if progress is not None:
            progress("the change is lost in noise; measuring more")
        found = [statistics.summarised(each) for each in results.joined(found, measure())]
    return found
