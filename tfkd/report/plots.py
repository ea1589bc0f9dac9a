"""The plots of the report as SVG text for inside an HTML page, in the page's own colours, light or dark.

matplotlib draws with stand-in colours; each is then replaced by the CSS variable of its role, so that one drawing suits
both themes.
"""

import datetime
import io
import itertools
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tfkd.bundle.evidence import EvidencePoint
from tfkd.report import units

_ROLES = {
    "ink": "#010101",
    "faint": "#010102",
    "teacher": "#010103",
    "control": "#010104",
    "student": "#010105",
}
# The page sets size and fonts; ids such as `axes_1`, equal in all figures, and rules for `*` would reach beyond one.
_UNWANTED = [
    re.compile(r"(?<=<svg)(?= ).*?(?= viewBox)", re.DOTALL),
    re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL),
    re.compile(r' id="[\w.]+_\d+"'),
    re.compile(r"font-family: [^;]*; "),
]
_MARKERS = {"teacher": "D", "control": "s", "student": "o"}
_RINGS = (9, 20, 32, 46, 62)  # points from a dot to its label
_FEW_DECADES = 1e3  # as a ratio: over more, ticks at 2 and 5 would touch
_LETTERS_PER_LINE = 40
_BEFORE_ANCHOR = {"left": 0.0, "center": 0.5, "right": 1.0}  # fraction of a label's width, by its alignment
_DIRECTIONS = [math.radians(angle) for angle in (0, 180, 45, -45, 135, -135, 90, -90, 20, -20, 160, -160)]


@dataclass(frozen=True)
class Dot:
    """One variant in a scatter plot; `error` is the half length of its accuracy's error bar."""

    label: str
    role: str
    x: float
    accuracy: float
    error: float


@dataclass(frozen=True)
class _Place:
    """A place for a label: its offset from the dot in points, its horizontal alignment, and its box on the canvas."""

    offset: tuple[float, float]
    side: str
    box: Any


@dataclass(frozen=True)
class Curve:
    """What one network did, seed by seed."""

    label: str
    role: str
    seeds: list[list[EvidencePoint]]


@dataclass(frozen=True)
class Distribution:
    """Images of one network by a correlation from -1 to 1.

    Attributes:
        role: which network; also its label.
        counts: images in equal bins.
        mean: over the images.
    """

    role: str
    counts: list[int]
    mean: float


@dataclass(frozen=True)
class Bar:
    """A bar of parts that follow each other, by their names; `role` is its colour."""

    label: str
    role: str
    parts: dict[str, float]


def scatter(dots: Sequence[Dot], x_label: str, split: str = "test") -> str:
    """Draws accuracy (percent, with error bars) over a cost, better the smaller it is, and the Pareto front."""
    figure, axes = _figure(f"accuracy on the {split} examples, %")
    best = front(dots)
    axes.plot(
        [dot.x for dot in best],
        [100 * dot.accuracy for dot in best],
        color=_ROLES["ink"],
        alpha=0.4,
        linewidth=1,
        linestyle="--",
        drawstyle="steps-post",
    )
    for dot in dots:
        axes.errorbar(
            dot.x,
            100 * dot.accuracy,
            yerr=100 * dot.error,
            fmt=_MARKERS[dot.role],
            color=_ROLES[dot.role],
            markersize=7,
            elinewidth=1,
            capsize=3,
        )
    costs = [dot.x for dot in dots]
    if min(costs) > 0 and max(costs) / min(costs) > 5:
        _logarithmic(axes, min(costs), max(costs))
    else:
        axes.set_xlim(0, 1.2 * max(costs) or 1)
    axes.margins(y=0.15)
    axes.set_xlabel(f"{x_label}  (left is better)", color=_ROLES["ink"])
    _label_dots(figure, axes, dots)
    return _svg(figure, x_label)


def front(dots: Sequence[Dot]) -> list[Dot]:
    """Returns the dots that no other one beats or equals in both cost and accuracy, from the cheapest on."""
    found: list[Dot] = []
    for dot in sorted(dots, key=lambda dot: (dot.x, -dot.accuracy)):
        if not found or dot.accuracy > found[-1].accuracy:
            found.append(dot)
    return found


def learning_curves(curves: Sequence[Curve], measure: str, title: str = "training loss") -> str:
    """Draws a measure over the epochs: the mean over seeds, the band from the worst to the best seed.

    Args:
        curves: the networks to draw.
        measure: "validation_accuracy" or "loss".
        title: what a loss is.
    """
    accuracy = measure == "validation_accuracy"
    figure, axes = _figure("accuracy on the validation examples, %" if accuracy else title)
    ends = []
    for curve in curves:
        epochs, values = _aligned(curve.seeds, measure, 100.0 if accuracy else 1.0)
        if not epochs:
            continue
        mean = [sum(each) / len(each) for each in values]
        colour = _ROLES[curve.role]
        style = {"color": colour, "linestyle": "--" if curve.role == "control" else "-"}
        axes.plot(epochs, mean, linewidth=2, marker=_MARKERS[curve.role] if len(epochs) < 4 else None, **style)
        low, high = [min(each) for each in values], [max(each) for each in values]
        axes.fill_between(epochs, low, high, color=colour, alpha=0.18, linewidth=0)
        ends.append((mean[-1], epochs[-1], curve))
    axes.set_xlabel("epoch", color=_ROLES["ink"])
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    _label_ends(figure, axes, ends)
    return _svg(figure, measure + "".join(curve.role for curve in curves))


def distributions(networks: Sequence[Distribution], x_label: str) -> str:
    """Draws the fraction of images in each bin of a correlation, and the mean of each network."""
    figure, axes = _figure("test examples, %")
    by_mean = sorted(networks, key=lambda each: each.mean)
    for number, each in enumerate(by_mean):
        colour, style = _ROLES[each.role], "--" if each.role == "control" else "-"
        edges = [2 * bin / len(each.counts) - 1 for bin in range(len(each.counts) + 1)]
        heights = [100 * count / sum(each.counts) for count in each.counts]
        axes.stairs(heights, edges, color=colour, linestyle=style, linewidth=2)
        axes.axvline(each.mean, color=colour, linestyle=style, linewidth=1)
        is_left = number < len(by_mean) - 1
        axes.annotate(
            f"{each.role}, mean {each.mean:.2f}".replace("-", "−"),
            (each.mean, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-5 if is_left else 5, -12 - 14 * number),
            textcoords="offset points",
            horizontalalignment="right" if is_left else "left",
            fontsize=9,
            color=colour,
            parse_math=False,
        )
    axes.margins(y=0.25)
    axes.set_xlabel(x_label, color=_ROLES["ink"])
    return _svg(figure, x_label)


def stacked(bars: Sequence[Bar], x_label: str) -> str:
    """Draws horizontal bars from the top down, each with its parts and their sizes above it."""
    figure, axes = _figure("")
    for number, bar in enumerate(bars):
        start = 0.0
        for place, size in enumerate(bar.parts.values()):
            faint = 1.0 - 0.6 * place / len(bar.parts)
            axes.barh(number, size, left=start, height=0.3, color=_ROLES[bar.role], alpha=faint)
            start += size
        parts = ", ".join(f"{name} {units.significant(size)}" for name, size in bar.parts.items())
        axes.annotate(
            f"{bar.label}: {parts}",
            (0, number - 0.24),
            fontsize=9,
            color=_ROLES[bar.role],
            parse_math=False,
        )
    axes.set_ylim(len(bars) - 0.5, -0.7)
    axes.set_yticks([])
    axes.set_xlim(0, 1.05 * max(sum(bar.parts.values()) for bar in bars))
    axes.set_xlabel(x_label, color=_ROLES["ink"])
    return _svg(figure, x_label)


def histograms(reference: Sequence[int], observed: Sequence[int], x_label: str) -> str:
    """Draws the fractions of two histograms in equal bins from 0 to 1: the reference dashed, as a control is."""
    figure, axes = _figure("predictions, %")
    edges = [number / len(reference) for number in range(len(reference) + 1)]
    for counts, role, style, label in (
        (reference, "control", "--", "test examples"),
        (observed, "student", "-", "phones"),
    ):
        heights = [100 * count / max(sum(counts), 1) for count in counts]
        axes.stairs(heights, edges, color=_ROLES[role], linestyle=style, linewidth=2, label=label)
    axes.margins(y=0.2)
    axes.legend(frameon=False, labelcolor=_ROLES["ink"], fontsize=9)
    axes.set_xlabel(x_label, color=_ROLES["ink"])
    return _svg(figure, x_label)


def by_day(days: Sequence[str], values: Sequence[float], alarms: Sequence[bool], level: float, y_label: str) -> str:
    """Draws a percentage by day; days with an alarm are large diamonds, and a dashed line is the reference's level.

    Args:
        days: such as "2026-11-30", in order.
        values: of each day, 0 to 1.
        alarms: whether a look at the day raised an alarm.
        level: the same of the reference.
        y_label: what is drawn.
    """
    figure, axes = _figure(f"{y_label}, %")
    places = [datetime.date.fromisoformat(day).toordinal() for day in days]
    heights = [100 * value for value in values]
    axes.axhline(100 * level, color=_ROLES["control"], linestyle="--", linewidth=1)
    axes.plot(places, heights, color=_ROLES["student"], linewidth=1)
    for alarm, marker, size in ((False, "o", 4), (True, "D", 8)):
        chosen = [number for number, each in enumerate(alarms) if each is alarm]
        dots = [places[number] for number in chosen], [heights[number] for number in chosen]
        axes.plot(*dots, marker, color=_ROLES["student"], markersize=size)
    shown = sorted({0, len(days) // 2, len(days) - 1})
    axes.set_xticks([places[number] for number in shown], [days[number] for number in shown])
    axes.margins(x=0.1, y=0.2)
    return _svg(figure, y_label)


def coverage(points: Sequence[tuple[float, float]], chosen: tuple[float, float] | None) -> str:
    """Draws the accuracy of the labels over the fraction of examples that get one.

    Args:
        points: coverage and accuracy, 0 to 1, of rising coverage.
        chosen: that of the threshold; None without one.
    """
    figure, axes = _figure("accuracy of the labels, %")
    across, up = ([100 * value for value in column] for column in zip(*points, strict=True))
    axes.plot(across, up, color=_ROLES["student"], linewidth=2)
    if chosen is not None:
        place = (100 * chosen[0], 100 * chosen[1])
        axes.plot(*place, _MARKERS["student"], color=_ROLES["student"], markersize=8)
        axes.annotate(
            "threshold",
            place,
            xytext=(-8, -14),
            textcoords="offset points",
            horizontalalignment="right",
            fontsize=9,
            color=_ROLES["student"],
        )
    axes.set_xlim(0, 100)
    axes.margins(y=0.15)
    axes.set_xlabel("test examples with a label, %", color=_ROLES["ink"])
    return _svg(figure, "coverage")


def _aligned(seeds: list[list[EvidencePoint]], measure: str, scale: float) -> tuple[list[int], list[list[float]]]:
    """Returns the epochs that every seed has, and the values of all seeds at each of them."""
    tracks = [
        {point.epoch: scale * value for point in points if (value := getattr(point, measure)) is not None}
        for points in seeds
    ]
    epochs = sorted(set.intersection(*(set(track) for track in tracks))) if tracks else []
    return epochs, [[track[epoch] for track in tracks] for epoch in epochs]


def _figure(y_label: str) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(y_label, loc="left", fontsize=10, color=_ROLES["ink"])
    axes.grid(True, color=_ROLES["faint"], linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=_ROLES["ink"], length=0, labelsize=9)
    axes.patch.set_visible(False)
    figure.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_ROLES["ink"])
    return figure, axes


def _logarithmic(axes: Any, low: float, high: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_xlim(low / 2.5, high * 1.6)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5) if high / low < _FEW_DECADES else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _label_dots(figure: Any, axes: Any, dots: Sequence[Dot]) -> None:
    """Writes each label inside the axes, at the nearest place to its dot where it covers the least."""
    figure.draw_without_rendering()
    occupied = [*_along(figure, axes, front(dots)), *(box for dot in dots for box in _boxes(figure, axes, dot))]
    for dot in _outside_in(dots):
        label = axes.annotate(
            textwrap.fill(dot.label, _LETTERS_PER_LINE),
            (dot.x, 100 * dot.accuracy),
            xytext=(0, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=9,
            color=_ROLES[dot.role],
            parse_math=False,
            arrowprops={"arrowstyle": "-", "color": _ROLES[dot.role], "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4},
        )
        label.set_in_layout(False)
        place = _clearest(_places(figure, axes, label), occupied)
        label.set_position(place.offset)
        label.set_horizontalalignment(place.side)
        occupied.append(place.box)


def _places(figure: Any, axes: Any, label: Any) -> Iterator[_Place]:
    """Yields places around the dot of a label, the nearest first; one outside the axes is moved to their edge."""
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    width, height = Text.get_window_extent(label, figure.canvas.get_renderer()).size
    x, y = axes.transData.transform(label.xy)
    point = figure.dpi / 72
    for ring, angle in itertools.product(_RINGS, _DIRECTIONS):
        side = _side(math.cos(angle))
        left = x + point * ring * math.cos(angle) - width * _BEFORE_ANCHOR[side]
        bottom = y + point * ring * math.sin(angle) - height / 2
        inner_left = min(max(left, axes.bbox.x0), axes.bbox.x1 - width)
        inner_bottom = min(max(bottom, axes.bbox.y0), axes.bbox.y1 - height)
        offset = (
            ring * math.cos(angle) + (inner_left - left) / point,
            ring * math.sin(angle) + (inner_bottom - bottom) / point,
        )
        yield _Place(offset, side, Bbox.from_bounds(inner_left, inner_bottom, width, height))


def _clearest(places: Iterator[_Place], occupied: Sequence[Any]) -> _Place:
    """Returns the first place that covers nothing, otherwise the one that covers the smallest area."""
    covered: list[tuple[float, _Place]] = []
    for place in places:
        covered.append((sum(_common_area(place.box, other) for other in occupied), place))
        if covered[-1][0] == 0:
            break
    return min(covered, key=lambda each: each[0])[1]


def _common_area(box: Any, other: Any) -> float:
    width = min(box.x1, other.x1) - max(box.x0, other.x0)
    height = min(box.y1, other.y1) - max(box.y0, other.y0)
    return float(max(width, 0) * max(height, 0))


def _outside_in(dots: Sequence[Dot]) -> list[Dot]:
    """Orders dots from both ends to the middle: the outer ones have room, and leave theirs to the inner ones last."""
    left_to_right = sorted(dots, key=lambda dot: dot.x)
    ends = zip(left_to_right, reversed(left_to_right), strict=True)
    return list(dict.fromkeys(itertools.chain.from_iterable(ends)))


def _boxes(figure: Any, axes: Any, dot: Dot) -> Iterator[Any]:
    """Yields the room, in pixels, that a dot and its error bar take."""
    from matplotlib.transforms import Bbox

    (x, low), (_, high) = axes.transData.transform(
        [(dot.x, 100 * (dot.accuracy - dot.error)), (dot.x, 100 * (dot.accuracy + dot.error))]
    )
    point = figure.dpi / 72
    yield Bbox.from_extents(x - point, low, x + point, high)
    middle = (low + high) / 2
    yield Bbox.from_extents(x - 5 * point, middle - 5 * point, x + 5 * point, middle + 5 * point)


def _along(figure: Any, axes: Any, best: Sequence[Dot]) -> Iterator[Any]:
    """Yields the room, in pixels, that the level parts of the front's line take."""
    from matplotlib.transforms import Bbox

    point = figure.dpi / 72
    for dot, following in itertools.pairwise(best):
        (left, y), (right, _) = axes.transData.transform(
            [(dot.x, 100 * dot.accuracy), (following.x, 100 * following.accuracy)]
        )
        yield Bbox.from_extents(left, y - point, right, y + point)


def _side(cosine: float) -> str:
    return "center" if abs(cosine) < 0.1 else "left" if cosine > 0 else "right"


def _label_ends(figure: Any, axes: Any, ends: list[tuple[float, int, Curve]]) -> None:
    """Writes each curve's name at its end, pushed up where two would touch."""
    figure.draw_without_rendering()
    height = -math.inf
    for value, epoch, curve in sorted(ends, key=lambda end: end[0]):
        y = axes.transData.transform((epoch, value))[1] * 72 / figure.dpi
        shifted = max(y, height + 12)
        height = shifted
        axes.annotate(
            curve.label,
            (epoch, value),
            xytext=(7, shifted - y),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=9,
            color=_ROLES[curve.role],
            parse_math=False,
            annotation_clip=False,
        )


def _svg(figure: Any, salt: str) -> str:
    """Returns the figure as an `<svg>` element without size, prolog or metadata, coloured by CSS variables."""
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    for unwanted in _UNWANTED:
        text = unwanted.sub("", text)
    for role, colour in _ROLES.items():
        text = text.replace(colour, f"var(--{role})")
    return text
