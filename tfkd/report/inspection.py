"""The tables and the plot of `tfkd inspect`."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from tfkd.report import units
from tfkd.verification.delegates import DelegateReport, replacement
from tfkd.verification.inspect import Inspection
from tfkd.verification.noise import Noise, NoiseComparison

WORST = 10
_INK, _FAINT, _DOT, _WORST = "#222222", "#dddddd", "#0b6e99", "#b3611e"
_LABELLED = 5


def tables(inspection: Inspection) -> Iterator[Table]:
    """Yields the operators, what accelerators take of them, and, where it was measured, the noise."""
    yield _operators(inspection)
    yield _accelerators(inspection)
    if inspection.outside or any(report.findings for report in inspection.delegates):
        yield _findings(inspection)
    if inspection.comparison:
        yield _noise(inspection.comparison)


def plot(comparison: NoiseComparison) -> str:
    """Draws the signal-to-noise ratio of every layer in the order in which they run, as an SVG document."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(*_points(comparison.layers), "o-", color=_DOT, markersize=3.5, linewidth=0.8)
    axes.plot(*_points(_labelled(comparison)), "o", color=_WORST, markersize=6)
    for layer in _labelled(comparison):
        axes.annotate(
            str(layer.number),
            (layer.number, layer.signal_to_noise),
            xytext=(0, -10),
            textcoords="offset points",
            horizontalalignment="center",
            fontsize=7,
            color=_WORST,
            parse_math=False,
        )
    _dress(axes, f"signal-to-noise ratio against the float file, dB, on {comparison.images} examples: higher is better")
    return _svg(figure)


def _dress(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=9, color=_INK)
    axes.set_xlabel("operator of the file", fontsize=9, color=_INK)
    axes.grid(True, axis="y", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(y=0.15)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")


def _points(layers: Sequence[Noise]) -> tuple[list[int], list[float]]:
    ratios = {layer.number: layer.signal_to_noise for layer in layers if layer.signal_to_noise is not None}
    return list(ratios), list(ratios.values())


def _labelled(comparison: NoiseComparison) -> list[Noise]:
    return [layer for layer in comparison.worst[:_LABELLED] if layer.signal_to_noise is not None]


def _svg(figure: Any) -> str:
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "inspection"}):
        figure.savefig(stream, format="svg", metadata={"Date": None}, facecolor="white")
    return stream.getvalue()


def _operators(inspection: Inspection) -> Table:
    size, deflated = units.size(inspection.bytes), units.size(inspection.compressed)
    table = Table(
        title=Text(f"{Path(inspection.path).name}: {size}, deflated {deflated}"),
        caption=f"{inspection.multiply_adds / 1e6:,.1f} M multiply-adds per example; XNNPACK runs it in "
        f"{units.counted(inspection.partitions, 'partition')} with "
        f"{units.counted(len(inspection.outside), 'operator')} outside",
    )
    table.add_column("operator")
    for name in ("count", "outside XNNPACK", "weights", "multiply-adds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("type", no_wrap=True)
    for (kind, dtype), count in Counter((row.kind, row.dtype) for row in inspection.operators).most_common():
        rows = [row for row in inspection.operators if (row.kind, row.dtype) == (kind, dtype)]
        table.add_row(
            Text(kind),
            str(count),
            str(sum(row.part is None for row in rows) or ""),
            units.size(sum(row.stored for row in rows)),
            f"{sum(row.multiply_adds for row in rows) / 1e6:,.2f} M",
            dtype,
        )
    table.add_section()
    table.add_row("", str(len(inspection.operators)), "", units.size(inspection.stored), "", "")
    return table


def _accelerators(inspection: Inspection) -> Table:
    table = Table(title="what accelerators take of it: XNNPACK measured, the others by published rules")
    table.add_column("accelerator", overflow="fold")
    for name in ("taken", "left out", "not stated"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note", overflow="fold")
    outside, count = len(inspection.outside), len(inspection.operators)
    table.add_row("XNNPACK (CPU)", str(count - outside), str(outside), "0", "measured on this machine")
    for report in inspection.delegates:
        verdicts = Counter(finding.verdict for finding in report.findings)
        table.add_row(
            report.delegate,
            str(report.taken),
            str(verdicts["left out"]),
            str(verdicts["not stated"]),
            report.note,
        )
    return table


def _findings(inspection: Inspection) -> Table:
    table = Table(title="why, and what to change", caption="--json gives the addresses of the rules, as sources")
    for name in ("accelerator", "operators", "why", "change"):
        table.add_column(name, overflow="fold")
    for (kind, looks_up), count in Counter((row.kind, row.looks_up) for row in inspection.outside).items():
        change = "nothing: it looks up word vectors" if looks_up else replacement(kind) or "–"
        table.add_row("XNNPACK (CPU)", f"{count} {kind}", "left to LiteRT's own kernels: measured", change)
    for report in inspection.delegates:
        for (reason, change), kinds in _grouped(report).items():
            counted = "all" if len(kinds) == report.operators else f"{len(kinds)} {', '.join(sorted(set(kinds)))}"
            table.add_row(report.delegate, Text(counted), Text(reason), Text(change or "–"))
    return table


def _grouped(report: DelegateReport) -> dict[tuple[str, str], list[str]]:
    """Returns the kinds of the operators, one entry an operator, that are left out for one reason."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for finding in report.findings:
        kinds.setdefault((finding.reason, finding.change), []).append(finding.kind)
    return kinds


def _noise(comparison: NoiseComparison) -> Table:
    table = Table(
        title=Text(f"noisiest of {len(comparison.layers)} layers, against {Path(comparison.against).name}"),
        caption=f"on {comparison.images} examples, fed with {comparison.pixels}, the float file with "
        f"{comparison.pixels_against}; export.float_layers takes the names, for layers to keep in float",
    )
    table.add_column("operator", justify="right")
    table.add_column("kind", no_wrap=True)
    table.add_column("signal to noise", justify="right", no_wrap=True)
    table.add_column("name", overflow="fold")
    for layer in comparison.worst[:WORST]:
        ratio = "no noise" if layer.signal_to_noise is None else f"{layer.signal_to_noise:.1f} dB"
        table.add_row(str(layer.number), Text(layer.kind), ratio, Text(layer.name))
    return table
