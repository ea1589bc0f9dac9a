"""What TFLite's `benchmark_model` and LiteRT's `benchmark_litert_model` write: logs, results, operator profiles.

Both tools share their base class, and with it the line of statistics that every phase ends with:

    count=50 first=14689 curr=14550 min=14431 max=15077 avg=14575.2 std=117 p5=14452 median=14542 p95=14812

in microseconds, once for the warm-up and once for the timed inferences (tflite/tools/benchmark/benchmark_model.cc and
LiteRT's benchmark_litert_model.h; the protobuf is proto/benchmark_result.proto, the profile tensorflow/core/util/
stats_calculator.cc). What comes from a device may be cut short or damaged: all of it ends in a RequestError.
"""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfkd.errors import RequestError

MIB = 1.048576  # MB; what the tools call MB is 1024 KiB
_NUMBER = r"(\d{1,15}(?:\.\d{1,9})?(?:e\+?\d{1,2})?)"
_STATISTICS = re.compile(
    r"count=(\d{1,9})(?: first=\d{1,15})? curr=(\d{1,15})(?:\(all same\))?(?: min=(\d{1,15}) max=\d{1,15}[^\n]*?)?"
    r" p5=\d{1,15} median=(\d{1,15}) p95=(\d{1,15})"
)
_TIMINGS = re.compile(rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, ")
_LITERT_INIT = re.compile(rf"Model initialization: +{_NUMBER} ms")
_LITERT_FIRST = re.compile(rf"Warmup \(first\): +{_NUMBER} ms")
_PEAK = re.compile(rf"(?:peak memory footprint \(MB\) via periodic monitoring|Peak memory): +{_NUMBER}")
_OVERALL = re.compile(rf"(?: overall=|Overall footprint: +){_NUMBER}")
_WHOLE = "the model graph will be completely executed by the delegate"
_PARTS = re.compile(r"partially executed by the delegate w/ (\d{1,6}) delegate kernels")
_MODEL = "Export the file again, or try a newer tool."


@dataclass(frozen=True)
class Summary:
    """One process of the tool.

    Attributes:
        runs: timed inferences.
        warmup: untimed ones before.
        median_ms, p95_ms, min_ms: of the timed ones.
        init_ms: loading the file until it can be run.
        first_ms: the first inference; None if it was not reported separately.
        peak_memory_mb: memory growth of the process, 10⁶ bytes; None if not reported.
        partitions: of the delegate; None if not reported.
    """

    runs: int
    warmup: int
    median_ms: float
    p95_ms: float
    min_ms: float
    init_ms: float
    first_ms: float | None
    peak_memory_mb: float | None
    partitions: int | None


@dataclass(frozen=True)
class ProfiledOperator:
    """A row of an operator profile.

    Attributes:
        kind: of the operator, as CONV_2D or Fully Connected (NC, F32) GEMM.
        name: of its output.
        mean_ms: of one inference.
        share: of the inference, 0 to 1.
        calls: an inference.
    """

    kind: str
    name: str
    mean_ms: float
    share: float
    calls: int


def is_litert(printed: str) -> bool:
    """Tells whether a tool is LiteRT's by its help or its log; both tools are called benchmark_model by now."""
    return "--use_npu" in printed or bool(_LITERT_INIT.search(printed))


def read_log(log: str) -> Summary:
    """Reads what either tool wrote to stdout and stderr.

    Raises:
        RequestError: the tool did not finish, or is so old that it reports no median.
    """
    phases = _STATISTICS.findall(log)
    timings, init, first = _TIMINGS.search(log), _LITERT_INIT.search(log), _LITERT_FIRST.search(log)
    if not phases or not (timings or init):
        raise _unfinished(log)
    count, current, least, median, p95 = phases[-1]
    if not int(count):
        raise RequestError("The benchmark tool ran no inference. Ask for at least one.")
    return _checked(
        Summary(
            runs=int(count),
            warmup=int(phases[0][0]) if len(phases) > 1 else 0,
            median_ms=int(median) / 1e3,
            p95_ms=int(p95) / 1e3,
            min_ms=int(least or current) / 1e3,
            init_ms=float(timings[1]) / 1e3 if timings else float(init[1] if init else 0),
            first_ms=float(timings[2]) / 1e3 if timings else float(first[1]) if first else None,
            peak_memory_mb=_memory(log),
            partitions=_partitions(log),
        )
    )


def read_result(content: bytes) -> Summary:
    """Reads the binary `tflite.tools.benchmark.BenchmarkResult` that --result_file_path names.

    Raises:
        RequestError: it is damaged, or lacks the median.
    """
    parts: dict[int, Any] = dict(_fields(content))
    latency, memory, misc = (dict(_fields(_message(parts.get(number, b"")))) for number in (2, 3, 4))
    try:
        gained = float(memory[3]) if 3 in memory else _integer(memory[2]) / 1024 if 2 in memory else None
        found = Summary(
            runs=_integer(misc[2]),
            warmup=_integer(misc.get(3, 0)),
            median_ms=float(latency[5]),
            p95_ms=float(latency[7]),
            min_ms=float(latency[2]),
            init_ms=float(latency[8]),
            first_ms=float(latency[9]) if 9 in latency else None,
            peak_memory_mb=None if gained is None else max(0.0, gained * MIB),
            partitions=None,
        )
    except KeyError as error:
        raise _damaged(f"it lacks field {error.args[0]}") from None
    except (TypeError, ValueError):
        raise _damaged("a field is of another type") from None
    return _checked(found)


def read_profile(text: str) -> list[ProfiledOperator]:
    """Reads the operators in the order in which they ran, from the CSV that --op_profiling_output_file names.

    Raises:
        RequestError: there is no such table in it, or a row is damaged.
    """
    found: list[ProfiledOperator] | None = None
    header: list[str] = []
    for line in text.splitlines():
        if "Run Order" in line and line.startswith("==="):
            found, header = [], []
        elif line.startswith("===") and found:
            break
        elif found is not None and line.strip():
            row = [cell.strip() for cell in line.split(",")]
            if not header:
                header = row
            elif len(row) >= 6:
                found.append(_operator(header, row))
            else:
                break
    if not found:
        raise RequestError("The operator profile holds no table of the run order. Measure it again.")
    return found


def _operator(header: list[str], row: list[str]) -> ProfiledOperator:
    """Reads a row from its end: the kind may hold commas, which the tool does not quote."""
    try:
        names = header[1:]
        values = dict(zip(names, row[-len(names) :], strict=True))
        kind = ", ".join(row[: len(row) - len(names)])
        found = ProfiledOperator(
            kind=kind,
            name=values["name"],
            mean_ms=float(values["avg_ms"]),
            share=float(values["%"].removesuffix("%")) / 100,
            calls=int(values["times called"]),
        )
    except (KeyError, ValueError):
        raise RequestError(
            f"The operator profile's row {','.join(row)[:100]!r} is damaged. Measure it again."
        ) from None
    if not (math.isfinite(found.mean_ms) and math.isfinite(found.share)):
        raise RequestError(f"The operator profile's row {','.join(row)[:100]!r} holds no number. Measure it again.")
    return found


def _memory(log: str) -> float | None:
    found = _PEAK.search(log) or _OVERALL.search(log)
    return float(found[1]) * MIB if found else None


def _partitions(log: str) -> int | None:
    if _WHOLE in log:
        return 1
    found = _PARTS.search(log)
    return int(found[1]) if found else 0 if "the model graph will not be executed by the delegate" in log else None


def _unfinished(log: str) -> RequestError:
    if "count=" in log and "median=" not in log:
        return RequestError("The benchmark tool is so old that it reports no median. Build or download a newer one.")
    errors = [line for line in log.splitlines() if re.match(r"\s*(ERROR|FATAL|E/|F/|error)", line)]
    last = next(iter(errors), next(iter(reversed(log.strip().splitlines())), "it wrote nothing"))
    return RequestError(f"The benchmark tool did not finish: {' '.join(last.split())[:300]} {_MODEL}")


def _checked(summary: Summary) -> Summary:
    numbers = (summary.median_ms, summary.p95_ms, summary.min_ms, summary.init_ms, summary.first_ms or 0.0)
    memory = summary.peak_memory_mb or 0.0
    if summary.runs < 1 or summary.warmup < 0 or not all(0 <= each < math.inf for each in (*numbers, memory)):
        raise _damaged("it holds numbers that nothing can last")
    if not summary.min_ms <= summary.median_ms <= summary.p95_ms:
        raise _damaged("its minimum, median and 95th percentile fall")
    return summary


def _fields(content: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yields the fields of a protobuf message: number, and an integer, a float or bytes by its wire type.

    Raises:
        RequestError: it ends in the middle of a field, or has a wire type that the tools never write.
    """
    position = 0
    while position < len(content):
        key, position = _varint(content, position)
        match key & 7:
            case 0:
                value, position = _varint(content, position)
                yield key >> 3, value
            case 2:
                size, position = _varint(content, position)
                yield key >> 3, _slice(content, position, size)
                position += size
            case 5:
                yield key >> 3, struct.unpack("<f", _slice(content, position, 4))[0]
                position += 4
            case other:
                raise _damaged(f"it has a field of wire type {other}")


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = 0
    for count in range(10):
        if position + count >= len(content):
            break
        byte = content[position + count]
        value |= (byte & 127) << 7 * count
        if byte < 128:
            return value, position + count + 1
    raise _damaged("it ends in the middle of a number")


def _slice(content: bytes, position: int, size: int) -> bytes:
    if size > len(content) - position:
        raise _damaged("it ends in the middle of a field")
    return content[position : position + size]


def _message(value: int | float | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise _damaged("a part of it is a number")
    return value


def _integer(value: int | float | bytes) -> int:
    """Returns an int64, whose negative values protobuf writes as 64 bits."""
    if not isinstance(value, int):
        raise TypeError
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _damaged(how: str) -> RequestError:
    return RequestError(f"The benchmark tool's result is damaged: {how}. Measure it again.")
