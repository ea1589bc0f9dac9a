"""The table and the plot of a sweep."""

import io
import math
import statistics
import textwrap
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from tfkd.report import units
from tfkd.training.trials import Sweep, Trial

_INK, _FAINT, _STUDENT, _CONTROL = "#222222", "#dddddd", "#0b6e99", "#b3611e"
_INCHES_A_ROW, _INCHES_A_LINE = 0.32, 0.15
_LETTERS_A_LINE = 40


def mean_and_spread(fractions: Sequence[float]) -> str:
    """[0.81, 0.83] -> '82.0 % ± 1.4': the mean, and the standard deviation where there are several."""
    if not fractions:
        return "not run"
    mean = statistics.fmean(fractions)
    return units.plus_minus(mean, statistics.stdev(fractions)) if len(fractions) > 1 else units.percent(mean)


def gain(trial: Trial) -> str:
    """Returns the mean gain over the control, with the standard error of the paired differences."""
    gains = trial.gains
    if not gains:
        return "no control"
    mean = units.points(statistics.fmean(gains))
    return f"{mean} ± {100 * standard_error(gains):.1f}" if len(gains) > 1 else mean


def standard_error(values: Sequence[float]) -> float:
    """Returns the standard error of a mean of several values."""
    return statistics.stdev(values) / math.sqrt(len(values))


def table(sweep: Sweep) -> Table:
    """Returns every variation with its validation and test accuracy and its gain, best on validation first."""
    drawn = Table(
        title=Text(f"teacher {units.known(sweep.teacher_accuracy, units.percent)} on the test examples"),
        caption="mean ± standard deviation over seeds; gain paired by seed, ± standard error; p over the test examples",
    )
    drawn.add_column("variation", overflow="fold")
    for name in ("validation", "test", "control", "gain", "p", "seeds", "seconds"):
        drawn.add_column(name, justify="right", no_wrap=True)
    for trial in sorted(sweep.trials, key=lambda trial: -statistics.fmean(trial.validation_accuracies)):
        drawn.add_row(
            Text(trial.name),
            mean_and_spread(trial.validation_accuracies),
            mean_and_spread(trial.accuracies),
            mean_and_spread(trial.control_accuracies),
            gain(trial),
            "" if trial.p_value is None else f"{trial.p_value:.4f}",
            str(len(trial.seeds)),
            f"{statistics.fmean(trial.seconds):,.0f}",
        )
    return drawn


def plot(sweep: Sweep) -> str:
    """Draws every variation's test accuracy, seed by seed with the mean, above its control's, as an SVG document.

    The order is that of the table, by validation accuracy: nobody is to choose by the test split.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    trials = sorted(sweep.trials, key=lambda trial: statistics.fmean(trial.validation_accuracies))
    names = [textwrap.fill(trial.name, _LETTERS_A_LINE) for trial in trials]
    lines = max(name.count("\n") + 1 for name in names)
    height = 1.2 + max(_INCHES_A_ROW, _INCHES_A_LINE * lines) * len(trials)
    figure = Figure(figsize=(7.5, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for row, trial in enumerate(trials):
        _dots(axes, row - 0.12, trial.control_accuracies, _CONTROL, "s")
        _dots(axes, row + 0.12, trial.accuracies, _STUDENT, "o")
    if sweep.teacher_accuracy is not None:
        axes.axvline(100 * sweep.teacher_accuracy, color=_INK, linewidth=1, linestyle=":")
    axes.set_yticks(range(len(trials)), names, fontsize=8, parse_math=False)
    figure.suptitle(
        "accuracy on the test examples, %: students (circles), their control (squares), teacher (dotted);\n"
        "the best on the validation examples is at the top",
        x=0.01,
        horizontalalignment="left",
        fontsize=9,
        color=_INK,
    )
    axes.grid(True, axis="x", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylim(-0.6, len(trials) - 0.4)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None}, facecolor="white")
    return stream.getvalue()


def _dots(axes: Any, row: float, fractions: Sequence[float], colour: str, marker: str) -> None:
    """Draws one value a seed, faintly, and their mean."""
    if fractions:
        values = [100 * fraction for fraction in fractions]
        axes.plot(values, [row] * len(values), marker, color=colour, alpha=0.35, markersize=4, linestyle="none")
        axes.plot(statistics.fmean(values), row, marker, color=colour, markersize=6)
