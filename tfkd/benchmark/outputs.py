"""What a benchmark shows and reports: a table, and a JUnit report."""

import datetime
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

from rich.table import Table
from rich.text import Text

from tfkd import files
from tfkd.bundle.results import Result, Skipped
from tfkd.errors import MachineError, TfkdError
from tfkd.verification.records import Gate

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def table(measured: list[Result]) -> Table:
    """Returns every result of one call in a row of its own; a column that would be empty is left out."""
    first = measured[0]
    title = f"{first.target}: {first.device.name}, {first.device.os}, {first.runtime.name} {first.runtime.version}"
    shown = Table(title=Text(f"{title}; evidence level: {first.rung}"), caption=_TIMES if first.latency_ms else _COUNTS)
    columns = {name: [cell(result) for result in measured] for name, cell in _COLUMNS.items()}
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    for name in filled:
        words = name in _WORDS
        shown.add_column(name, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for row in zip(*filled.values(), strict=True):
        shown.add_row(*map(Text, row))
    return shown


def gates_table(gates: list[Gate]) -> Table:
    """Returns every gate with its value, its limit and its verdict."""
    shown = Table(title=Text(f"{sum(gate.passed for gate in gates)} of {len(gates)} gates passed"))
    shown.add_column("gate", overflow="fold")
    for name in ("value", "limit"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("verdict", no_wrap=True)
    for gate in gates:
        verdict = Text("passed", "green") if gate.passed else Text("failed", "bold red")
        shown.add_row(Text(gate.name), f"{gate.value:.6g}", f"≤ {gate.limit:.6g}", verdict)
    return shown


def write_junit(
    path: Path, target: str, measured: list[Result], skipped: Sequence[Skipped], gates: list[Gate], seconds: float
) -> None:
    """Writes a JUnit report: a test case for every file that was measured or skipped, and for every gate.

    Args:
        path: of the report.
        target: what was measured.
        measured: the results; the time of a case is that of its timed inferences, its properties are its values.
        skipped: what a delegate did not take, with the reason.
        gates: the verdicts; value and limit are properties.
        seconds: that the benchmark took.

    Raises:
        RequestError: the file cannot be written.
    """
    cases = [_case(target, f"measured/{result.title}", _values(result), _seconds(result)) for result in measured]
    for each in skipped:
        case = _case(target, f"measured/{each.path} {each.delegate}")
        ET.SubElement(case, "skipped", message=_clean(each.reason))
        cases.append(case)
    for gate in gates:
        case = _case(target, gate.name, {"value": gate.value, "limit": gate.limit})
        if not gate.passed:
            message = gate.reason or f"{gate.value:.6g} is beyond the limit of {gate.limit:.6g}"
            ET.SubElement(case, "failure", message=_clean(message), type="limit")
        cases.append(case)
    _write_suite(path, target, cases, seconds)


def write_junit_error(path: Path, target: str, error: TfkdError) -> None:
    """Writes a JUnit report of a benchmark that could not run, or not be judged.

    Raises:
        RequestError: the file cannot be written.
    """
    case = _case(target, "measure")
    kind = "not measured" if isinstance(error, MachineError) else "error"
    ET.SubElement(case, "error", message=_clean(str(error)), type=kind)
    _write_suite(path, target, [case])


def _median(result: Result) -> str:
    latency = result.latency_ms
    if latency is None:
        return ""
    half = "" if latency.interval is None else f" ± {(latency.interval[1] - latency.interval[0]) / 2:.2g}"
    return f"{latency.median:.3g}{half}"


def _golden(result: Result) -> str:
    golden = result.golden
    if golden is None:
        return ""
    if golden.fault is not None:
        return f"wrong: {golden.fault}"
    family = f" {golden.family}" if golden.family else ""
    return f"{'equal' if golden.passed else 'differs'} {golden.max_abs_error:.1g}{family}"


def _remarks(result: Result) -> str:
    latency = result.latency_ms
    return ", ".join(
        remark
        for applies, remark in (
            (result.emulated, "emulated"),
            (bool(result.partitions and result.partitions > 1), f"{result.partitions} partitions"),
            (bool(latency and latency.throttled), "throttled: became slower"),
            (result.dropped > 0, f"{result.dropped} impossible samples dropped"),
        )
        if applies
    )


def _latency(quantile: str, result: Result) -> str:
    return _known(getattr(result.latency_ms, quantile, None), ".3g")


def _known(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


_COLUMNS: dict[str, Callable[[Result], str]] = {
    "file": lambda result: result.artifact.path.rpartition("/")[2],
    "processor": lambda result: result.device.soc or "",
    "by": lambda result: result.delegate,
    "threads": lambda result: _known(result.threads, "d"),
    "median": _median,
    "p90": partial(_latency, "p90"),
    "p95": partial(_latency, "p95"),
    "min": partial(_latency, "min"),
    "init": lambda result: _known(result.init_ms, ".3g"),
    "first": lambda result: _known(result.first_inference_ms, ".3g"),
    "MB": lambda result: _known(result.peak_memory_mb, ".1f"),
    "instructions": lambda result: _known(result.counted, ",d"),
    "golden": _golden,
    "remarks": _remarks,
}
_WORDS = {"file", "processor", "remarks"}
_TIMES = "milliseconds of one inference; ± is half of the median's 95 % interval"
_COUNTS = "instructions of one inference: a count, and no time"


def _values(result: Result) -> dict[str, float | None]:
    latency = result.latency_ms
    quantiles = ("median", "p90", "p95", "p99", "min")
    return {
        **{f"{name}_ms": getattr(latency, name, None) for name in quantiles},
        "init_ms": result.init_ms,
        "first_inference_ms": result.first_inference_ms,
        "peak_memory_mb": result.peak_memory_mb,
        "instructions": result.counted,
        "golden_error": result.golden.max_abs_error if result.golden else None,
    }


def _seconds(result: Result) -> float:
    if result.samples_ms:
        return sum(result.samples_ms) / 1e3
    return result.runs * result.latency_ms.median / 1e3 if result.latency_ms else 0.0


def _case(
    target: str, name: str, values: Mapping[str, float | None] = MappingProxyType({}), seconds: float = 0.0
) -> ET.Element:
    case = ET.Element(
        "testcase", classname=f"tfkd.benchmark.{_clean(target)}", name=_clean(name), time=f"{seconds:.6f}"
    )
    known = {key: value for key, value in values.items() if value is not None}
    if known:
        properties = ET.SubElement(case, "properties")
        for key, value in known.items():
            ET.SubElement(properties, "property", name=key, value=f"{value:.9g}")
    return case


def _write_suite(path: Path, target: str, cases: list[ET.Element], seconds: float = 0.0) -> None:
    suite = ET.Element("testsuite", name=f"tfkd bench {_clean(target)}", tests=str(len(cases)), time=f"{seconds:.3f}")
    suite.set("timestamp", datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))
    for counted, found in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(counted, str(sum(case.find(found) is not None for case in cases)))
    suite.extend(cases)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    files.write_bytes(path, ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("�", text)
