"""`tfkd.bench`: benchmarks files on a target from Python."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfkd import arguments
from tfkd.arguments import PathLike
from tfkd.benchmark import TARGETS, gates, outputs
from tfkd.benchmark import bundle as bundles
from tfkd.benchmark.options import names
from tfkd.bundle.loading import Bundle
from tfkd.bundle.results import Result, Skipped
from tfkd.interface.calls import folder_of, public_call
from tfkd.progress import for_caller
from tfkd.report.tables import Table, Tables
from tfkd.verification.records import Gate


@dataclasses.dataclass(frozen=True, repr=False)
class BenchReport(Tables):
    """Results of a benchmark on a target.

    Attributes:
        results: results of every file and number of threads, with every sample.
        skipped: what a GPU or an NPU does not support, with the reason.
        gates: the verdicts on the limits and the golden predictions; empty without either.
        record: the file in the bundle's `measurements`; None for a file alone, and with `record=False`.
    """

    results: tuple[Result, ...]
    skipped: tuple[Skipped, ...]
    gates: tuple[Gate, ...]
    record: Path | None

    @property
    def passed(self) -> bool:
        """True if no limit was missed."""
        return all(gate.passed for gate in self.gates)

    def tables(self) -> Iterator[Table]:
        """Yields the results and, where there are any, the verdicts."""
        yield Table(outputs.table(list(self.results)), (each.model_dump(mode="json") for each in self.results))
        if self.gates:
            yield Table(outputs.gates_table(list(self.gates)), (gate.model_dump(mode="json") for gate in self.gates))


@public_call()
def bench(
    subject: Bundle | PathLike, target: str = "host", *, progress: bool | None = None, **options: Any
) -> BenchReport:
    """Benchmarks the files of a bundle, or a .tflite file, on a target, as `tfkd bench` does.

    A bundle keeps the results in its folder `measurements`.

    Args:
        subject: a bundle, its folder, or the path of a .tflite file.
        target: host, ssh://user@board[:port], arm64, android[:SERIAL], or ios[:DEVICE or RESULTS.json].
        progress: show progress; None: in notebooks and terminals only.
        options: those of `tfkd bench`, with their names in Python: `runs`, `warmup`, `processes`, `threads=(1, 0)`,
            `only="*_int8.tflite"`, `record=False`; limits such as `max_median_ms=5`; and those of a target.

    Raises:
        RequestError: the request is wrong, or its results could not be judged: nothing was measured then.
        MachineError: the device or the machine could not be measured.

    Example:
        >>> tfkd.bench("exported_models/quickstart", max_median_ms=5).passed
    """
    arguments.text("target", target, f"the name of a target: {', '.join(TARGETS)}")
    arguments.flag("progress", progress, optional=True)
    path = folder_of("subject", subject, "a Bundle, its folder, or the path of a .tflite file")
    measured, verdicts = bundles.bench(bundles.BenchRequest(path, target, **_parts(options)), for_caller(progress).say)
    return BenchReport(tuple(measured.results), tuple(measured.skipped), tuple(verdicts), measured.record)


def _parts(options: dict[str, Any]) -> dict[str, Any]:
    """Returns the parts of a request from keyword arguments; the target's record checks its own options."""
    fields = dict(options)
    parts = {name: _REQUEST[name](name, fields.pop(name)) for name in _REQUEST if name in fields}
    limits = {name: fields.pop(name) for name in names(gates.Limits) if name in fields}
    if limits.get("baseline") is not None:
        limits["baseline"] = arguments.path("baseline", limits["baseline"])
    if limits.get("max_regression") is not None:
        limits["max_regression"] = gates.parse_fraction(str(limits["max_regression"]))
    return {"options": fields, "limits": gates.Limits(**limits), **parts}


def _pattern(name: str, value: Any) -> str:
    arguments.text(name, value, "a pattern of files, e.g. '*_int8.tflite'")
    return str(value)


def _file(name: str, value: Any) -> Path | None:
    return None if value is None else arguments.path(name, value)


def _choice(name: str, value: Any) -> bool:
    arguments.flag(name, value)
    return bool(value)


_REQUEST: dict[str, Callable[[str, Any], Any]] = {"only": _pattern, "golden": _file, "record": _choice}
