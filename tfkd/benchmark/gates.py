"""Judges results against limits; what a limit needs and a target did not measure is an error, never a pass."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from tfkd import arguments
from tfkd.benchmark import statistics
from tfkd.bundle.results import Device, Result
from tfkd.errors import MachineError, RequestError
from tfkd.verification.records import Gate

TIMES = frozenset({"max_median_ms", "max_p90_ms", "max_p95_ms", "max_regression"})
"""The limits on what every clock measures."""


@dataclass(frozen=True)
class Limits:
    """What every measured file must keep; None switches a limit off.

    Attributes:
        max_median_ms: of the latency.
        max_p90_ms: of the latency.
        max_p95_ms: of the latency.
        max_memory_mb: of the peak memory, MB of 10⁶ bytes.
        max_instructions: of one inference, all classes together.
        baseline: a file of earlier results.
        max_regression: the share by which a file may be slower than in the baseline; None without a baseline.
    """

    max_median_ms: float | None = None
    max_p90_ms: float | None = None
    max_p95_ms: float | None = None
    max_memory_mb: float | None = None
    max_instructions: float | None = None
    baseline: Path | None = None
    max_regression: float | None = None

    def __post_init__(self) -> None:
        """Raises RequestError for a limit that is no finite number, or a baseline without a limit or the reverse."""
        for name in self.set_names:
            arguments.number(name, getattr(self, name))
        if (self.baseline is None) != (self.max_regression is None):
            raise RequestError("--baseline FILE and --max-regression 5% go together; give both.")

    @property
    def set_names(self) -> list[str]:
        """The names of the limits that are on; the baseline is none."""
        return [each.name for each in fields(self) if each.name != "baseline" and getattr(self, each.name) is not None]


def parse_fraction(text: str, most: float | None = None) -> float:
    """Returns the fraction of a text such as `5%` or `0.05`.

    Args:
        text: the text.
        most: largest fraction that has a meaning; None: any. It is for the message alone.

    Raises:
        RequestError: it is not above 0 and below 1000 %, or is 100 % or more without the sign.
    """
    number = text.strip()
    try:
        value = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 10:
        raise RequestError(f"{text!r} is not a limit of a change. Write a fraction above 0, such as 5% or 0.05.")
    if value >= 1 and not number.endswith("%"):
        other = f", or {100 * value:g}%" if most is None or value <= most else ""
        raise RequestError(f"{number} would be {100 * value:g} % of change. Write {number}%{other}.")
    return value


def require_baseline(
    limits: Limits,
    earlier: list[Result],
    target: str,
    paths: Iterable[str],
    device: Device | None = None,
    threads: tuple[int, ...] = (),
) -> None:
    """Refuses what could not be compared with the baseline, before it is measured.

    Args:
        limits: the limits.
        earlier: the results in `limits.baseline`.
        target: its name.
        paths: of the files to measure.
        device: where; None while it is not known.
        threads: numbers of threads; empty while they are not known.

    Raises:
        RequestError: the baseline has no result of a file there, or one without samples and instructions.
    """
    for path in paths if limits.max_regression is not None else ():
        known = [each for each in earlier if (each.target, each.artifact.path) == (target, path)]
        if device is not None:
            known = [each for each in known if (each.device.name, each.device.soc) == (device.name, device.soc)]
        for count in threads or (None,):
            found = [each for each in known if count is None or each.threads == count]
            if not found:
                place = "" if device is None else f" on {device.name}"
                place += "" if count is None else f" with {count} thread{'s'[: count > 1]}"
                raise _not_in_baseline(f"{path}{place}", target)
            if not any(each.samples_ms or each.counted is not None for each in found):
                raise RequestError(
                    f"The baseline's result of {path} has no samples, so a change cannot be told from noise. "
                    "Measure a new baseline with --json FILE."
                )


def _not_in_baseline(what: str, target: str) -> RequestError:
    return RequestError(f"The baseline has no result of {what} by {target}. Measure a new baseline with --json FILE.")


def judge(limits: Limits, results: list[Result], earlier: list[Result]) -> list[Gate]:
    """Returns the verdict on every limit for every result, and on the golden predictions wherever they were checked.

    Args:
        limits: the limits.
        results: what was measured now.
        earlier: the results in `limits.baseline`.

    Raises:
        RequestError: a limit needs what was not measured, or the baseline lacks a file.
        MachineError: there are no results, or the noise is too large to detect a change.
    """
    if not results:
        raise MachineError("Nothing was measured, so nothing passes.")
    return [gate for result in results for gate in _judged(limits, result, earlier)]


def unclear(limits: Limits, results: list[Result], earlier: list[Result]) -> list[Result]:
    """Returns the results that must be measured longer to separate their change from noise."""
    if limits.max_regression is None:
        return []
    return [each for each in results if _change(each, earlier, limits.max_regression).verdict == "unclear"]


def _judged(limits: Limits, result: Result, earlier: list[Result]) -> Iterator[Gate]:
    if result.golden is not None:
        golden = result.golden
        yield Gate(
            name=f"golden/{result.title}",
            value=golden.max_abs_error,
            limit=golden.tolerance,
            passed=golden.passed,
            reason="" if golden.fault is None else f"its predictions {golden.fault}",
        )
    latency = result.latency_ms
    for name, limit, value in (
        ("max_median_ms", limits.max_median_ms, None if latency is None else latency.median),
        ("max_p90_ms", limits.max_p90_ms, None if latency is None else latency.p90),
        ("max_p95_ms", limits.max_p95_ms, None if latency is None else latency.p95),
        ("max_memory_mb", limits.max_memory_mb, result.peak_memory_mb),
        ("max_instructions", limits.max_instructions, result.counted),
    ):
        if limit is not None:
            yield _at_most(name, value, limit, result)
    if limits.max_regression is not None:
        yield _regression(result, earlier, limits.max_regression)


def _at_most(name: str, value: float | None, limit: float, result: Result) -> Gate:
    if value is None:
        option = name.replace("_", "-")
        raise RequestError(f"--{option}: {result.target} does not measure that of {result.title}; leave it out.")
    return Gate(name=f"{name}/{result.title}", value=value, limit=limit, passed=value <= limit)


def _regression(result: Result, earlier: list[Result], limit: float) -> Gate:
    change = _change(result, earlier, limit)
    if change.verdict == "unclear":
        low, high = (100 * (value - 1) for value in change.interval)
        raise MachineError(
            f"{result.title}: the machine is too noisy to tell {100 * limit:.3g} % of change: it lies between "
            f"{low:+.1f} % and {high:+.1f} %. Increase --runs, or stop other work on the machine."
        )
    return Gate(
        name=f"max_regression/{result.title}", value=change.ratio - 1, limit=limit, passed=change.verdict == "same"
    )


def _change(result: Result, earlier: list[Result], limit: float) -> statistics.Change:
    for each in earlier:
        if each.key == result.key:
            return statistics.regression(each, result, limit)
    raise _not_in_baseline(f"{result.title} on {result.device.name}", result.target)
