"""What a benchmark leaves behind: a table, a JUnit report, and its entries in the bundle's manifest."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.table import Table
from rich.text import Text

from tfkd import files
from tfkd.bench import results
from tfkd.bench.results import Result
from tfkd.bench.subject import manifest_of
from tfkd.export.bundle import CHECKSUMS, MANIFEST
from tfkd.export.manifest import Gate

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def table(measured: list[Result]) -> Table:
    """Returns every result of one call in a row of its own; a column that would be empty is left out."""
    first = measured[0]
    title = f"{first.target}: {first.device.name}, {first.device.os}, {first.runtime.name} {first.runtime.version}"
    shown = Table(title=Text(f"{title}; rung: {first.rung}"), caption=_TIMES if first.latency_ms else _COUNTS)
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


def write_junit(path: Path, target: str, measured: list[Result], gates: list[Gate]) -> None:
    """Writes a JUnit report: a test case for every measured file and for every gate.

    Raises:
        RequestError: the file cannot be written.
    """
    cases = [_case(target, f"measured/{result.title}") for result in measured]
    for gate in gates:
        case = _case(target, gate.name)
        if not gate.passed:
            message = gate.reason or f"{gate.value:.6g} is beyond the limit of {gate.limit:.6g}"
            ET.SubElement(case, "failure", message=message, type="limit")
        cases.append(case)
    _write_suite(path, target, cases)


def write_junit_error(path: Path, target: str, message: str) -> None:
    """Writes a JUnit report of a benchmark that could not run.

    Raises:
        RequestError: the file cannot be written.
    """
    case = _case(target, "measure")
    ET.SubElement(case, "error", message=_clean(message), type="error")
    _write_suite(path, target, [case])


def record(bundle: Path, measured: list[Result]) -> None:
    """Appends results to a bundle's manifest, and sets the manifest's line in SHA256SUMS right.

    The other lines stay as they are: a file that was changed behind them must not be sealed anew.

    Raises:
        RequestError: the bundle has no manifest, or cannot be written.
    """
    manifest = manifest_of(bundle)
    entries = [*manifest.bench, *map(results.entry, measured)]
    path = bundle / MANIFEST
    content = manifest.model_copy(update={"bench": entries}).model_dump(mode="json", by_alias=True)
    files.write_json(path, content)
    sums = bundle / CHECKSUMS
    if sums.is_file():
        lines = sums.read_text(encoding="utf-8").splitlines()
        right = f"{files.sha256(path)}  {MANIFEST}"
        kept = [right if line.partition("  ")[2] == MANIFEST else line for line in lines]
        files.write_text(sums, "".join(f"{line}\n" for line in kept))


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


def _case(target: str, name: str) -> ET.Element:
    return ET.Element("testcase", classname=f"tfkd.bench.{_clean(target)}", name=_clean(name))


def _write_suite(path: Path, target: str, cases: list[ET.Element]) -> None:
    suite = ET.Element("testsuite", name=f"tfkd bench {_clean(target)}", tests=str(len(cases)))
    for counted, found in (("failures", "failure"), ("errors", "error")):
        suite.set(counted, str(sum(case.find(found) is not None for case in cases)))
    suite.extend(cases)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    files.write_bytes(path, ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("�", text)
