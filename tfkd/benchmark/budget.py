"""A budget for one file on a target: latency or instructions, size, and peak memory."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from tfkd.benchmark.selecting import SelectedTarget, targets_with
from tfkd.benchmark.statistics import joined, summarised
from tfkd.bundle.results import Result
from tfkd.errors import MachineError, RequestError, enumerated

FORMAT = "tflite"  # of the files that have a budget


@dataclass(frozen=True)
class TargetFigures:
    """One file on a target. A target measures a latency or counts instructions, never both.

    Attributes:
        kb: size of the file, kB of 1,000 bytes.
        ms: median latency of one inference.
        mb: peak memory, the runtime's own included, MB of 1,000,000 bytes.
        instructions: of one inference.
        partitions: parts of the graph that the delegate took.
        delegate: what ran the graph.
    """

    kb: float
    ms: float | None = None
    mb: float | None = None
    instructions: float | None = None
    partitions: int | None = None
    delegate: str = ""


@dataclass(frozen=True)
class Quantity:
    """What a limit applies to.

    Attributes:
        field: of `TargetFigures`.
        gate: the limit of `tfkd.benchmark.gates` on the same quantity; None for the size, which needs no target.
    """

    field: str
    gate: str | None


QUANTITIES = {
    "max_ms": Quantity("ms", "max_median_ms"),
    "max_kb": Quantity("kb", None),
    "max_mb": Quantity("mb", "max_memory_mb"),
    "max_instructions": Quantity("instructions", "max_instructions"),
}


@dataclass(frozen=True)
class Budget:
    """The limits of one file, by the names of QUANTITIES."""

    limits: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def require_measured(self, target: SelectedTarget) -> None:
        """Refuses an empty budget, and limits on what a target does not measure.

        Raises:
            RequestError: there is no limit, or the target does not measure what one applies to.
        """
        if not self.limits:
            fields = enumerated([f"fit.{name}" for name in QUANTITIES], "or")
            raise RequestError(f"There is no limit. Set {fields}, e.g. with --max-ms 2.")
        for name in self.limits:
            gate = QUANTITIES[name].gate
            if gate is not None and gate not in target.module.LIMITS:
                others = enumerated(targets_with(gate, FORMAT))
                raise RequestError(
                    f"fit.{name} is for {others}; the target {target.name} does not measure that. Leave it out."
                )

    @property
    def gates(self) -> frozenset[str]:
        """The limits of `tfkd.benchmark.gates` on the same quantities."""
        return frozenset(gate for name in self.limits if (gate := QUANTITIES[name].gate) is not None)

    def excesses(self, measured: TargetFigures) -> dict[str, float]:
        """Returns by how many times a file exceeds each limit that it does not meet.

        Raises:
            MachineError: the target did not report what a limit applies to.
        """
        ratios = {name: _value(name, measured) / limit for name, limit in self.limits.items()}
        return {name: ratio for name, ratio in ratios.items() if ratio > 1}


def measured(rounds: Sequence[Sequence[Result]], threads: int, size: int) -> TargetFigures:
    """Returns the figures of a file from several rounds of measurements.

    Where a device has several delegates, the fastest counts; where instructions are counted for several processors,
    the largest count does.

    Args:
        rounds: the results of the same file in each round.
        threads: number of threads; results of other numbers are ignored.
        size: bytes of the file.
    """
    keys = set.intersection(*({each.key for each in results} for results in rounds))
    together, *others = [[each for each in results if each.key in keys] for results in rounds]
    for each in others:
        together = joined(together, each)
    found = [summarised(each) for each in together if each.threads in (threads, None)]
    timed = [each for each in found if each.latency_ms is not None]
    counts = [each.counted for each in found if each.counted is not None]
    fastest = min(timed, key=_median) if timed else None
    memory = [each.peak_memory_mb for results in rounds for each in results if _is_same(each, fastest)]
    known = [each for each in memory if each is not None]
    shown = fastest or (found[0] if found else None)
    return TargetFigures(
        kb=size / 1e3,
        ms=None if fastest is None else _median(fastest),
        mb=statistics.median(known) if known else None,
        instructions=max(counts, default=None),
        partitions=shown.partitions if shown else None,
        delegate=shown.delegate if shown else "",
    )


def _is_same(result: Result, other: Result | None) -> bool:
    return other is not None and result.key == other.key


def _median(result: Result) -> float:
    assert result.latency_ms is not None
    return result.latency_ms.median


def _value(name: str, measured: TargetFigures) -> float:
    value: float | None = getattr(measured, QUANTITIES[name].field)
    if value is None:
        raise MachineError(f"fit.{name} cannot be judged: the target did not report it. Leave it out.")
    return value
